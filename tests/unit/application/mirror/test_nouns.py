"""The declarations of the nouns: which of two states at one time is the later one."""

import datetime as dt
from typing import Any

import pytest

from application.mirror.nouns import DISPUTES, INVOICE_PAYMENTS
from application.mirror.ports import Noun, Search
from domain.disputes import Dispute
from domain.invoice_payments import InvoicePayment
from domain.mirror import Decision, Snapshot, Version, decide
from domain.money import Money

MADE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
USD = Money(100, "usd")


def dispute(status: str, *moved: str) -> Dispute:
    return Dispute("du_1", MADE, USD, status, balance_transactions=moved)


def payment(status: str) -> InvoicePayment:
    return InvoicePayment("inpay_1", MADE, "in_1", status, USD)


@pytest.mark.parametrize(
    ("noun", "earlier", "later"),
    [
        (DISPUTES, dispute("needs_response"), dispute("needs_response", "txn_1")),
        (DISPUTES, dispute("under_review", "txn_1"), dispute("won", "txn_1", "txn_2")),
        (INVOICE_PAYMENTS, payment("open"), payment("paid")),
        (INVOICE_PAYMENTS, payment("open"), payment("canceled")),
    ],
)
def test_what_has_come_further_is_later(noun: Noun[Any], earlier: Any, later: Any) -> None:
    assert verdict(noun, earlier, later) is Decision.REPLACE
    assert verdict(noun, later, earlier) is Decision.KEEP


@pytest.mark.parametrize(
    ("noun", "one", "other"),
    [
        (DISPUTES, dispute("won", "txn_1"), dispute("lost", "txn_2")),
        (INVOICE_PAYMENTS, payment("paid"), payment("canceled")),
        (INVOICE_PAYMENTS, payment("open"), payment("teleported")),
    ],
)
def test_what_may_be_either_is_read(noun: Noun[Any], one: Any, other: Any) -> None:
    assert verdict(noun, one, other) is Decision.REREAD
    assert verdict(noun, other, one) is Decision.REREAD


def verdict(noun: Noun[Any], stored: Any, incoming: Any) -> Decision:
    """What becomes of an observation of the very time of the row's."""
    row, told = (Snapshot("acct_1", one.id, Version(5, 5), one) for one in (stored, incoming))
    return decide(row, told, noun.rank).decision


def test_a_searched_noun_needs_the_column_that_orders_what_is_found() -> None:
    bare = {"name": "thing", "type": Dispute, "collection": "things", "columns": (), "indexes": ()}
    assert Noun(**bare, orders=()).search is None  # type: ignore[arg-type]  # by keyword
    with pytest.raises(ValueError, match="created"):
        Noun(**bare, orders=(), search=Search(texts=("name",)))  # type: ignore[arg-type]  # as above
