"""Disputes: from Stripe's payload to the domain's dispute."""

import datetime as dt
from typing import Any

import pytest

from domain.disputes import Dispute
from domain.mirror import Snapshot, Version
from domain.money import Money
from infrastructure.stripe.disputes import DISPUTE
from tests.unit.stripe.samples import CREATED, dispute, encoded, without

VERSION = Version.of_event(1)


def observed(payload: dict[str, Any]) -> Snapshot[Dispute]:
    return DISPUTE.observe(encoded(payload), "acct_1", VERSION)


def read(payload: dict[str, Any]) -> Dispute:
    found = observed(payload).object
    assert found is not None
    return found


def at(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(CREATED + seconds, dt.UTC)


def test_every_field_is_read() -> None:
    assert observed(dispute()) == Snapshot(
        "acct_1",
        "du_1",
        VERSION,
        Dispute(
            id="du_1",
            created=at(0),
            amount=Money(2_500, "eur"),
            status="needs_response",
            charge="ch_1",
            payment_intent="pi_1",
            reason="fraudulent",
            is_charge_refundable=False,
            balance_transactions=("txn_3",),
            metadata={"case": "7"},
        ),
    )


def test_money_given_back_is_a_second_balance_transaction() -> None:
    moved = [{"id": "txn_3"}, {"id": "txn_5"}]
    assert read(dispute(balance_transactions=moved)).balance_transactions == ("txn_3", "txn_5")


def test_an_inquiry_has_moved_nothing() -> None:
    snapshot = observed(dispute(balance_transactions=[], status="warning_needs_response"))
    assert snapshot.object is not None
    assert snapshot.object.balance_transactions == ()
    assert not snapshot.unknown


@pytest.mark.parametrize(
    "absent",
    """
    status charge payment_intent reason is_charge_refundable balance_transactions metadata
    """.split(),
)
def test_an_absent_field_is_unknown(absent: str) -> None:
    assert observed(without(dispute(), absent)).unknown == {absent}


@pytest.mark.parametrize("field", ["charge", "payment_intent"])
def test_an_expanded_object_counts_by_its_id(field: str) -> None:
    expanded = {"id": "obj_9", "object": "whatever", "nested": {"id": "no"}}
    assert getattr(read(dispute(**{field: expanded})), field) == "obj_9"


@pytest.mark.parametrize("status", ["prevented", "appeal_won", "teleported"])
def test_an_unknown_status_is_kept(status: str) -> None:
    assert read(dispute(status=status)).status == status


@pytest.mark.parametrize(
    "nonsense",
    [
        without(dispute(), "id"),
        without(dispute(), "amount"),
        without(dispute(), "currency"),
        dispute(amount=25.5),
        dispute(status=None),
        dispute(balance_transactions=["txn_3"]),
        dispute(balance_transactions=[{"object": "balance_transaction"}]),
    ],
)
def test_structural_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\$|required|currency:"):
        observed(nonsense)
