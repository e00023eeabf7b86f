"""The fields of a draft that callers may change."""

import datetime as dt
from dataclasses import replace
from typing import Final

from application.invoices.ports import InvoiceFields
from application.payment_methods.fields import DEFAULT_METHOD
from application.requests.fields import (
    Field,
    FieldTable,
    choice,
    flag,
    metadata,
    no_limits,
    number,
    text,
)
from domain.invoices import Invoice

SEND: Final = "send_invoice"
"""The collection method in which the customer pays by the hosted page, until the invoice is due."""

_MAX_DAYS: Final = 3_650


def _shows_due_time(invoice: Invoice, written: dt.datetime) -> bool:
    return invoice.due_date == written.replace(microsecond=0)  # Stripe's instants are whole seconds


def _shows_nothing(_invoice: Invoice, _days: int) -> bool:
    return False  # so it is written again, which changes nothing


FIELDS: Final = FieldTable(
    "invoice",
    InvoiceFields,
    (
        choice("collection_method", ("charge_automatically", SEND)),
        replace(number("days_until_due", 0, _MAX_DAYS), shows=_shows_nothing),
        Field("due_time", no_limits, attribute="due_date", shows=_shows_due_time),
        text("description", 1_500),
        text("footer", 5_000),
        DEFAULT_METHOD,
        flag("auto_advance"),
        metadata(),
    ),
)
