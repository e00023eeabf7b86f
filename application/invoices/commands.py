"""What callers ask of invoices."""

import datetime as dt
from dataclasses import dataclass

from application.invoices.ports import InvoiceFields, InvoiceItemFields


@dataclass(frozen=True, slots=True)
class CreateInvoice:
    """A draft to create, with its lines."""

    customer: str
    currency: str
    fields: InvoiceFields
    items: tuple[InvoiceItemFields, ...]


@dataclass(frozen=True, slots=True)
class ListInvoices:
    """A page of the invoices; times bound `created`, from inclusive to exclusive."""

    page_size: int = 0
    page_token: str = ""
    customer: str = ""
    subscription: str = ""
    statuses: tuple[str, ...] = ()
    created_after: dt.datetime | None = None
    created_before: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class UpdateInvoice:
    """New values of a draft, of which `mask` names those that count (empty: all that are set).

    In `values`, None stands for no value.
    """

    id: str
    values: InvoiceFields
    mask: tuple[str, ...] = ()
