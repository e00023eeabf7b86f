"""Invoices: from Stripe's payload to the domain's invoice."""

import datetime as dt
from typing import Any

import pytest

from domain.invoices import Invoice, InvoiceLine, LineDiscount, LineTax
from domain.mirror import Snapshot, Version
from domain.money import Money
from infrastructure.stripe.invoices.translation import INVOICE
from tests.unit.stripe.billing_samples import invoice, invoice_line
from tests.unit.stripe.samples import CREATED, encoded, without

VERSION = Version.of_event(1)


def observed(payload: dict[str, Any]) -> Snapshot[Invoice]:
    return INVOICE.observe(encoded(payload), "acct_1", VERSION)


def read(payload: dict[str, Any]) -> Invoice:
    found = observed(payload).object
    assert found is not None
    return found


def at(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(CREATED + seconds, dt.UTC)


LINE = InvoiceLine(
    id="il_1",
    amount=Money(2_000, "eur"),
    description="2 x Seat",
    quantity=2,
    quantity_decimal="2",
    price="price_1",
    product="prod_1",
    subscription="sub_1",
    subscription_item="si_1",
    proration=False,
    period_start=at(1),
    period_end=at(2),
    unit_amount_decimal="1000",
    discounts=(LineDiscount("di_1", Money(100, "eur")),),
    taxes=(LineTax(Money(380, "eur"), "exclusive"),),
)


def test_every_field_is_read() -> None:
    assert observed(invoice(invoice_line())) == Snapshot(
        "acct_1",
        "in_1",
        VERSION,
        Invoice(
            id="in_1",
            created=at(0),
            currency="eur",
            status="paid",
            total=Money(2_100, "eur"),
            amount_due=Money(2_000, "eur"),
            amount_paid=Money(1_500, "eur"),
            amount_remaining=Money(500, "eur"),
            subtotal=Money(1_900, "eur"),
            total_excluding_tax=Money(1_850, "eur"),
            customer="cus_1",
            customer_email="ada@example.com",
            number="A-0001",
            billing_reason="subscription_cycle",
            collection_method="charge_automatically",
            subscription="sub_1",
            subscription_metadata={"crm": "9"},
            default_payment_method="pm_1",
            default_source="card_1",
            auto_advance=True,
            description="Thank you",
            footer="Ada Ltd",
            due_date=at(10),
            finalized_at=at(3),
            paid_at=at(5),
            voided_at=at(6),
            marked_uncollectible_at=at(4),
            period_start=at(1),
            period_end=at(2),
            hosted_invoice_url="https://invoice.example.com/in_1",
            invoice_pdf="https://invoice.example.com/in_1.pdf",
            next_payment_attempt=at(7),
            attempt_count=1,
            lines=(LINE,),
            metadata={"order": "7"},
        ),
    )


def test_lines_that_are_cut_short_are_unknown() -> None:
    snapshot = observed(invoice(invoice_line(), more=True))
    assert snapshot.unknown == {"lines"}
    assert INVOICE.incomplete(snapshot)


def test_an_invoice_without_lines_is_complete() -> None:
    snapshot = observed(invoice())
    assert snapshot.object is not None
    assert snapshot.object.lines == ()
    assert not INVOICE.incomplete(snapshot)


def line(**changes: Any) -> InvoiceLine:
    (found,) = read(invoice(invoice_line(**changes))).lines
    return found


def test_a_line_of_an_invoice_item() -> None:
    details = {"invoice_item": "ii_1", "proration": True, "subscription": "sub_2"}
    found = line(
        amount=-500,
        parent={
            "invoice_item_details": details,
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
    )
    assert found.amount == Money(-500, "eur")
    assert found.proration
    assert (found.subscription, found.subscription_item) == ("sub_2", None)


@pytest.mark.parametrize("parent", [None, {"type": "telepathy"}])
def test_a_line_that_no_subscription_made(parent: dict[str, Any] | None) -> None:
    found = line(parent=parent, pricing=None, quantity=None, quantity_decimal=None)
    assert (found.subscription, found.subscription_item, found.proration) == (None, None, False)
    assert (found.price, found.product, found.quantity) == (None, None, None)


def test_a_lines_price_and_product_may_be_expanded() -> None:
    details = {"price": {"id": "price_9"}, "product": {"id": "prod_9", "name": "Seat"}}
    found = line(pricing={"price_details": details, "type": "price_details"})
    assert (found.price, found.product) == ("price_9", "prod_9")


@pytest.mark.parametrize(
    "parent",
    [
        None,
        {"type": "quote_details", "quote_details": {"quote": "qt_1"}, "subscription_details": None},
        {"type": "quote_details", "quote_details": {"quote": "qt_1"}},
    ],
)
def test_an_invoice_that_no_subscription_made(parent: dict[str, Any] | None) -> None:
    snapshot = observed(invoice(parent=parent))
    assert snapshot.object is not None
    assert snapshot.object.subscription is None
    assert snapshot.object.subscription_metadata == {}
    assert not snapshot.unknown


def test_a_subscription_that_is_not_told_is_unknown() -> None:
    snapshot = observed(invoice(parent={"type": "subscription_details"}))
    assert snapshot.unknown == {"subscription", "subscription_metadata"}


def test_a_subscription_may_be_expanded() -> None:
    details = {"metadata": None, "subscription": {"id": "sub_9", "object": "subscription"}}
    found = read(invoice(parent={"type": "subscription_details", "subscription_details": details}))
    assert (found.subscription, found.subscription_metadata) == ("sub_9", {})


def test_what_has_not_happened_is_known_not_to_have() -> None:
    changes = dict.fromkeys(("finalized_at", "paid_at", "voided_at", "marked_uncollectible_at"))
    snapshot = observed(invoice(status="draft", status_transitions=changes, due_date=None))
    assert snapshot.object is not None
    assert (snapshot.object.finalized_at, snapshot.object.paid_at) == (None, None)
    assert not snapshot.unknown


UNDER_THEIR_OWN_NAME = """
    status subtotal total_excluding_tax total amount_due amount_paid amount_remaining customer
    customer_email number billing_reason collection_method default_payment_method default_source
    auto_advance description footer due_date period_start period_end hosted_invoice_url
    invoice_pdf next_payment_attempt attempt_count lines metadata
""".split()


@pytest.mark.parametrize(
    ("absent", "unknown"),
    [
        *((name, {name}) for name in UNDER_THEIR_OWN_NAME),
        ("parent", {"subscription", "subscription_metadata"}),
        ("status_transitions", {"finalized_at", "paid_at", "voided_at", "marked_uncollectible_at"}),
    ],
)
def test_an_absent_field_is_unknown(absent: str, unknown: set[str]) -> None:
    assert observed(without(invoice(), absent)).unknown == unknown


def test_an_unknown_status_is_kept() -> None:
    assert read(invoice(status="teleported")).status == "teleported"


def test_an_answer_that_says_deleted_is_a_tombstone() -> None:
    snapshot = observed({"id": "in_1", "object": "invoice", "deleted": True})
    assert snapshot == Snapshot("acct_1", "in_1", VERSION, None)


@pytest.mark.parametrize(
    "nonsense",
    [
        without(invoice(), "id"),
        without(invoice(), "currency"),
        invoice(total=21.5),
        invoice(amount_due=None),
        invoice(lines=None),
        invoice(lines=[]),
        invoice(parent={"subscription_details": None}),
        invoice(without(invoice_line(), "id")),
        invoice(without(invoice_line(), "amount")),
        invoice(invoice_line(currency="EUR")),
        invoice(invoice_line(quantity_decimal="two")),
    ],
)
def test_structural_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\$|required|currency:"):
        observed(nonsense)
