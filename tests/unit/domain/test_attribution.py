"""Attribution: what the other pieces tell, whichever of them comes first."""

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any, Final

import pytest
from stripe.params.reporting._report_run_create_params import ReportRunCreateParamsParameters

from application.mirror.enrichment import Enrichment
from application.mirror.nouns import (
    BALANCE_TRANSACTIONS,
    CHARGES,
    DISPUTES,
    INVOICE_PAYMENTS,
    INVOICES,
    PAYOUTS,
    REFUNDS,
)
from application.mirror.ports import Noun
from application.mirror.writer import MirrorWriter
from domain.attribution import FACETS, SETTLED, first_movement, settlement, told_by
from domain.balance_transactions import BalanceTransaction
from domain.charges import Charge
from domain.invoice_payments import InvoicePayment
from domain.invoices import Invoice, InvoiceLine
from domain.mirror import MirroredObject, Snapshot, Version
from domain.money import Money
from domain.periods import to_milliseconds
from domain.reporting_categories import APART, CATEGORIES, NetPart, categories_of, net_part
from tests.support.fakes.stores import NOON, FakeMirror

ACCOUNT: Final = "acct_1"
USD = Money(1_000, "usd")

TRANSACTION = BalanceTransaction(
    "txn_1", NOON, Money(900, "eur"), Money(30, "eur"), Money(870, "eur"), "charge", "pending",
    NOON + dt.timedelta(days=2), source="ch_1", exchange_rate="0.9",
)  # fmt: skip
CHARGE = Charge("ch_1", NOON, USD, USD, USD, "succeeded", True, False, False, payment_intent="pi_1")
PAYMENT = InvoicePayment("inpay_1", NOON, "in_1", "paid", USD, payment_intent="pi_1")
INVOICE = Invoice(
    "in_1", NOON, "usd", "paid", USD, USD, USD, USD, billing_reason="subscription_cycle",
    subscription="sub_1", subscription_metadata={"plan": "gold"},
    lines=(
        InvoiceLine("il_1", USD, product="prod_1"),
        InvoiceLine("il_2", USD, product="prod_2"),
        InvoiceLine("il_3", USD, product="prod_1"),
        InvoiceLine("il_4", USD),
    ),
)  # fmt: skip
PIECES: Final[Sequence[tuple[Noun[Any], MirroredObject]]] = (
    (BALANCE_TRANSACTIONS, TRANSACTION),
    (CHARGES, CHARGE),
    (INVOICE_PAYMENTS, PAYMENT),
    (INVOICES, INVOICE),
)


def snapshot(found: Any, at: int = 0, **more: Any) -> Snapshot[Any]:
    version = Version.of_event(to_milliseconds(NOON) + at)
    return Snapshot(ACCOUNT, found.id, version, found, **more)


async def arrive(mirror: FakeMirror, noun: Noun[Any], told: Snapshot[Any]) -> None:
    await MirrorWriter(mirror).observe(noun, [told])
    await Enrichment(mirror).after(noun, [told])


@pytest.mark.parametrize("order", list(permutations(range(4))))
async def test_the_order_of_the_pieces_does_not_matter(order: Sequence[int]) -> None:
    mirror = FakeMirror()
    for number in order:
        noun, found = PIECES[number]
        await arrive(mirror, noun, snapshot(found))
    derived = (await mirror.fetch(CHARGES, ACCOUNT, ["ch_1"]))["ch_1"].derived
    assert derived["settlement"].values == {
        "balance_transaction": "txn_1", "amount": 900, "fee": 30, "net": 870, "currency": "eur",
        "exchange_rate": "0.9", "created": to_milliseconds(NOON),
        "available_on": to_milliseconds(NOON + dt.timedelta(days=2)),
    }  # fmt: skip
    assert derived["invoice"].values == {
        "invoice": "in_1", "subscription": "sub_1", "products": ["prod_1", "prod_2"],
        "billing_reason": "subscription_cycle", "subscription_metadata": {"plan": "gold"},
    }  # fmt: skip


async def test_a_charge_without_an_intent_is_found_by_itself() -> None:
    mirror = FakeMirror()
    payment = InvoicePayment("inpay_1", NOON, "in_1", "paid", USD, charge="ch_old")
    for noun, found in ((INVOICES, INVOICE), (INVOICE_PAYMENTS, payment)):
        await arrive(mirror, noun, snapshot(found))
    row = (await mirror.fetch(CHARGES, ACCOUNT, ["ch_old"]))["ch_old"]
    assert row.snapshot is None
    assert row.derived["invoice"].values["invoice"] == "in_1"


async def test_the_paid_one_of_several_payments_stands() -> None:
    mirror = FakeMirror()
    later = NOON + dt.timedelta(days=1)
    canceled = InvoicePayment("inpay_2", later, "in_2", "canceled", USD, payment_intent="pi_1")
    other = Invoice("in_2", later, "usd", "void", USD, USD, USD, USD)
    for noun, found in ((INVOICES, INVOICE), (INVOICES, other), (INVOICE_PAYMENTS, PAYMENT)):
        await arrive(mirror, noun, snapshot(found))
    await arrive(mirror, INVOICE_PAYMENTS, snapshot(canceled, at=-5))
    await arrive(mirror, CHARGES, snapshot(CHARGE))
    row = (await mirror.fetch(CHARGES, ACCOUNT, ["ch_1"]))["ch_1"]
    assert row.derived["invoice"].values["invoice"] == "in_1"


async def test_what_the_invoice_does_not_tell_is_null() -> None:
    mirror = FakeMirror()
    unknown = frozenset({"lines", "subscription_metadata"})
    await arrive(mirror, INVOICES, snapshot(INVOICE, unknown=unknown))
    for noun, found in ((INVOICE_PAYMENTS, PAYMENT), (CHARGES, CHARGE)):
        await arrive(mirror, noun, snapshot(found))
    values = (await mirror.fetch(CHARGES, ACCOUNT, ["ch_1"]))["ch_1"].derived["invoice"].values
    assert values["products"] is None
    assert values["subscription_metadata"] is None
    assert values["subscription"] == "sub_1"


async def test_other_accounts_stay_apart() -> None:
    mirror = FakeMirror()
    for noun, found in PIECES[1:]:
        await arrive(mirror, noun, snapshot(found))
    theirs = Snapshot("acct_2", "ch_1", Version.of_event(0), CHARGE)
    await arrive(mirror, CHARGES, theirs)
    assert (await mirror.fetch(CHARGES, "acct_2", ["ch_1"]))["ch_1"].derived == {}


async def test_an_older_fee_does_not_replace_a_later_one() -> None:
    mirror = FakeMirror()
    await arrive(mirror, BALANCE_TRANSACTIONS, snapshot(TRANSACTION, at=10))
    old = BalanceTransaction(
        "txn_1", NOON, Money(900, "eur"), Money(0, "eur"), Money(900, "eur"), "charge", "pending",
        NOON, source="ch_1",
    )  # fmt: skip
    await Enrichment(mirror).after(BALANCE_TRANSACTIONS, [snapshot(old)])
    row = (await mirror.fetch(CHARGES, ACCOUNT, ["ch_1"]))["ch_1"]
    assert row.derived["settlement"].values["fee"] == 30


def transaction(kind: str, category: str | None, source: str | None = "x_1") -> BalanceTransaction:
    return BalanceTransaction(
        "txn_1", NOON, USD, USD, USD, kind, "available", NOON, source, reporting_category=category
    )


TELLING: Final = [
    ("charge", "charge", CHARGES, "settlement"),
    ("payment", "charge", CHARGES, "settlement"),
    ("payment_failure_refund", "charge_failure", REFUNDS, "settlement"),
    ("payment_reversal", "charge_failure", REFUNDS, "settlement"),
    ("refund", "refund", REFUNDS, "settlement"),
    ("payment_refund", "refund", REFUNDS, "settlement"),
    ("refund", "partial_capture_reversal", REFUNDS, "release"),
    ("refund_failure", "refund_failure", REFUNDS, "reversal"),
    ("adjustment", "refund_failure", REFUNDS, "reversal"),
    ("adjustment", "dispute", DISPUTES, "settlement"),
    ("adjustment", "dispute_reversal", DISPUTES, "reversal"),
    ("payout", "payout", PAYOUTS, "settlement"),
    ("payout_failure", "payout_reversal", PAYOUTS, "reversal"),
    ("payout_cancel", "payout_reversal", PAYOUTS, "reversal"),
]
BY_TYPE_ALONE: Final = [
    ("charge", None, CHARGES, "settlement"),
    ("payment", None, CHARGES, "settlement"),
    ("payment_failure_refund", None, REFUNDS, "settlement"),
    ("refund", "a_new_category", REFUNDS, "settlement"),
    ("payment_refund", None, REFUNDS, "settlement"),
    ("refund_failure", None, REFUNDS, "reversal"),
    ("payout", None, PAYOUTS, "settlement"),
    ("payout_cancel", None, PAYOUTS, "reversal"),
    ("payout_failure", None, PAYOUTS, "reversal"),
]


@pytest.mark.parametrize(("kind", "category", "noun", "facet"), [*TELLING, *BY_TYPE_ALONE])
def test_which_row_a_balance_transaction_tells_about(
    kind: str, category: str | None, noun: Noun[Any], facet: str
) -> None:
    told = settlement(snapshot(transaction(kind, category)))
    assert told is not None
    assert (told[0], told[1].id, told[1].name) == (noun.name, "x_1", facet)
    assert told[0] in SETTLED
    assert told[1].name in FACETS


@pytest.mark.parametrize(
    "category", sorted(CATEGORIES.keys() - {category for _, category, *_ in TELLING})
)
def test_other_categories_tell_about_none_of_our_rows(category: str) -> None:
    for kind in ("adjustment", "charge", "stripe_fee"):
        assert settlement(snapshot(transaction(kind, category))) is None


@pytest.mark.parametrize(
    ("kind", "source", "unknown"),
    [
        ("stripe_fee", "x_1", ()),
        ("adjustment", "x_1", ()),
        ("payment_reversal", "x_1", ()),
        ("charge", None, ()),
        ("charge", "x_1", ("source",)),
    ],
)
def test_some_tell_about_none(kind: str, source: str | None, unknown: Sequence[str]) -> None:
    found = transaction(kind, None, source)
    assert settlement(snapshot(found, unknown=frozenset(unknown))) is None


def test_every_category_that_the_sdk_knows_is_in_the_table() -> None:
    hint = ReportRunCreateParamsParameters.__annotations__["reporting_category"]
    # The reference of reporting categories has eight more, which no report can be narrowed to.
    assert {*re.findall(r"'([a-z_]+)'", str(hint))} <= {*CATEGORIES}
    assert len(CATEGORIES) == 37 + 8


def test_every_category_has_one_place_in_net_volume() -> None:
    by_part = {part: categories_of(part) for part in NetPart}
    placed = [name for names in by_part.values() for name in names]
    assert sorted(placed) == sorted(CATEGORIES)
    assert by_part[NetPart.GROSS] == ("charge", "partial_capture_reversal")
    for part in (
        NetPart.CHARGE_FAILURE, NetPart.REFUND, NetPart.REFUND_FAILURE, NetPart.DISPUTE,
        NetPart.DISPUTE_REVERSAL,
    ):  # fmt: skip
        assert by_part[part] == (part.value,)
    assert by_part[NetPart.FEES] == ("fee", "network_cost")
    assert {part: len(by_part[part]) for part in APART} == {
        NetPart.PAYOUTS: 2, NetPart.TRANSFERS: 3, NetPart.TOP_UPS: 2, NetPart.RESERVES: 6,
        NetPart.FINANCING: 7, NetPart.ISSUING: 8,
    }  # fmt: skip
    assert {net_part(name) for name in (None, "", "of_tomorrow", "tax")} == {NetPart.OTHER}


def test_a_dispute_counts_at_its_first_withdrawal() -> None:
    def told(number: int, kind: str, category: str, balance: str | None = None) -> Snapshot[Any]:
        moved = replace(
            TRANSACTION, id=f"txn_{number}", created=NOON + dt.timedelta(days=number), type=kind,
            reporting_category=category, source="dp_1", balance_type=balance,
        )  # fmt: skip
        return Snapshot(ACCOUNT, moved.id, Version.of_event(9), moved)

    first, again = told(1, "adjustment", "dispute"), told(5, "adjustment", "dispute", "payments")
    facets = [first_movement(each) for each in (first, again)]
    (noun, one), (_, other) = [place for place in facets if place is not None]
    assert (noun, one.values["at"]) == ("dispute", to_milliseconds(first.object.created))
    assert one.version.place() > other.version.place(), "the earliest stands, in any order"
    assert told_by(first) == [settlement(first), facets[0]]
    for number, (category, balance) in enumerate(
        [("dispute_reversal", None), ("charge_failure", None), ("partial_capture_reversal", None),
         ("dispute", "refund_and_dispute_prefunding"), ("charge", None)]
    ):  # fmt: skip
        assert first_movement(told(number, "adjustment", category, balance)) is None
