"""Invoice payments: from Stripe's payload to the domain's invoice payment."""

import datetime as dt
from typing import Any

import pytest

from domain.invoice_payments import InvoicePayment
from domain.mirror import Snapshot, Version
from domain.money import Money
from infrastructure.stripe.invoice_payments import INVOICE_PAYMENT
from tests.unit.stripe.billing_samples import invoice_payment
from tests.unit.stripe.samples import CREATED, encoded, without

VERSION = Version.of_event(1)


def observed(payload: dict[str, Any]) -> Snapshot[InvoicePayment]:
    return INVOICE_PAYMENT.observe(encoded(payload), "acct_1", VERSION)


def read(payload: dict[str, Any]) -> InvoicePayment:
    found = observed(payload).object
    assert found is not None
    return found


def at(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(CREATED + seconds, dt.UTC)


def test_every_field_is_read() -> None:
    assert observed(invoice_payment()) == Snapshot(
        "acct_1",
        "inpay_1",
        VERSION,
        InvoicePayment(
            id="inpay_1",
            created=at(0),
            invoice="in_1",
            status="paid",
            amount_requested=Money(2_100, "eur"),
            amount_paid=Money(2_000, "eur"),
            payment_intent="pi_1",
            charge=None,
            is_default=True,
            paid_at=at(1),
        ),
    )


@pytest.mark.parametrize(
    ("payment", "intent", "charge"),
    [
        ({"type": "payment_intent", "payment_intent": "pi_1"}, "pi_1", None),
        (
            {"type": "payment_intent", "payment_intent": {"id": "pi_2"}, "charge": None},
            "pi_2",
            None,
        ),
        ({"type": "charge", "charge": "ch_1"}, None, "ch_1"),
        ({"type": "charge", "charge": {"id": "ch_2"}, "payment_intent": None}, None, "ch_2"),
        ({"type": "payment_record", "payment_record": "pr_1"}, None, None),
        ({"type": "telepathy"}, None, None),
    ],
)
def test_what_pays_is_known_by_its_type(
    payment: dict[str, Any], intent: str | None, charge: str | None
) -> None:
    snapshot = observed(invoice_payment(payment=payment))
    assert snapshot.object is not None
    assert (snapshot.object.payment_intent, snapshot.object.charge) == (intent, charge)
    assert not snapshot.unknown


def test_an_intent_that_is_not_named_is_unknown() -> None:
    snapshot = observed(invoice_payment(payment={"type": "payment_intent"}))
    assert snapshot.unknown == {"payment_intent"}


def test_what_is_open_has_paid_nothing() -> None:
    changes = {"canceled_at": None, "paid_at": None}
    snapshot = observed(
        invoice_payment(status="open", amount_paid=None, status_transitions=changes)
    )
    assert snapshot.object is not None
    assert (snapshot.object.amount_paid, snapshot.object.paid_at) == (None, None)
    assert not snapshot.unknown


UNDER_THEIR_OWN_NAME = """
    invoice status amount_paid is_default
""".split()


@pytest.mark.parametrize(
    ("absent", "unknown"),
    [
        *((name, {name}) for name in UNDER_THEIR_OWN_NAME),
        ("payment", {"payment_intent", "charge"}),
        ("status_transitions", {"paid_at"}),
    ],
)
def test_an_absent_field_is_unknown(absent: str, unknown: set[str]) -> None:
    assert observed(without(invoice_payment(), absent)).unknown == unknown


def test_an_expanded_invoice_counts_by_its_id() -> None:
    assert read(invoice_payment(invoice={"id": "in_9", "object": "invoice"})).invoice == "in_9"


@pytest.mark.parametrize(
    "nonsense",
    [
        without(invoice_payment(), "id"),
        without(invoice_payment(), "amount_requested"),
        without(invoice_payment(), "currency"),
        invoice_payment(amount_paid="2000"),
        invoice_payment(payment={"payment_intent": "pi_1"}),
        invoice_payment(status_transitions={"paid_at": -1}),
    ],
)
def test_structural_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\$|required|currency:"):
        observed(nonsense)
