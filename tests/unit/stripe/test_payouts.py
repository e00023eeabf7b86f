"""Payouts: from Stripe's payload to the domain's payout."""

import datetime as dt
from typing import Any

import pytest

from domain.mirror import Snapshot, Version
from domain.money import Money
from domain.payouts import Payout, TraceId
from infrastructure.stripe.payouts.translation import PAYOUT
from tests.unit.stripe.samples import CREATED, encoded, payout, without

VERSION = Version.of_event(1)


def observed(payload: dict[str, Any]) -> Snapshot[Payout]:
    return PAYOUT.observe(encoded(payload), "acct_1", VERSION)


def read(payload: dict[str, Any]) -> Payout:
    found = observed(payload).object
    assert found is not None
    return found


def at(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(CREATED + seconds, dt.UTC)


def test_every_field_is_read() -> None:
    failed = {
        "failure_code": "account_closed",
        "failure_message": "The bank account has been closed.",
        "failure_balance_transaction": "txn_5",
        "original_payout": "po_0",
        "reversed_by": {"id": "po_2"},
        "statement_descriptor": "ACME",
        "trace_id": {"status": "supported", "value": "T1"},
        "application_fee_amount": 12,
    }
    assert observed(payout(**failed, metadata={"a": "b"})) == Snapshot(
        "acct_1",
        "po_1",
        VERSION,
        Payout(
            id="po_1",
            created=at(0),
            amount=Money(9_000, "eur"),
            status="in_transit",
            arrival_date=at(86_400),
            automatic=True,
            type="bank_account",
            method="standard",
            destination="ba_1",
            balance_transaction="txn_4",
            failure_code="account_closed",
            reconciliation_status="in_progress",
            description="STRIPE PAYOUT",
            metadata={"a": "b"},
            failure_message="The bank account has been closed.",
            failure_balance_transaction="txn_5",
            original_payout="po_0",
            reversed_by="po_2",
            source_type="card",
            trace_id=TraceId("supported", "T1"),
            statement_descriptor="ACME",
            application_fee_amount=Money(12, "eur"),
        ),
    )


def test_a_payout_may_take_money_back() -> None:
    assert read(payout(amount=-9_000)).amount == Money(-9_000, "eur")


@pytest.mark.parametrize(
    "absent",
    """
    status arrival_date automatic type method destination balance_transaction failure_code
    reconciliation_status description metadata failure_message failure_balance_transaction
    original_payout reversed_by source_type trace_id statement_descriptor application_fee_amount
    """.split(),
)
def test_an_absent_field_is_unknown(absent: str) -> None:
    assert observed(without(payout(), absent)).unknown == {absent}


@pytest.mark.parametrize("field", ["destination", "balance_transaction"])
def test_an_expanded_object_counts_by_its_id(field: str) -> None:
    expanded = {"id": "obj_9", "object": "whatever", "nested": {"id": "no"}}
    assert getattr(read(payout(**{field: expanded})), field) == "obj_9"


@pytest.mark.parametrize("field", ["destination", "balance_transaction", "failure_code"])
def test_null_is_known_to_be_empty(field: str) -> None:
    snapshot = observed(payout(**{field: None}))
    assert getattr(snapshot.object, field) is None
    assert not snapshot.unknown


def test_an_unknown_status_is_kept() -> None:
    assert read(payout(status="teleported")).status == "teleported"


@pytest.mark.parametrize(
    "nonsense",
    [
        without(payout(), "id"),
        without(payout(), "amount"),
        without(payout(), "currency"),
        payout(amount=90.5),
        payout(arrival_date="tomorrow"),
        payout(automatic=None),
    ],
)
def test_structural_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\$|required|currency:"):
        observed(nonsense)


@pytest.mark.parametrize(
    ("automatic", "status", "told"),
    [(True, "completed", True), (False, "completed", False), (True, "in_progress", False)],
)
def test_whether_its_transactions_are_told(automatic: bool, status: str, told: bool) -> None:
    found = read(payout(automatic=automatic, reconciliation_status=status))
    assert found.tells_transactions is told
