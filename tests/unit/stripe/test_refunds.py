"""Refunds: from Stripe's payload to the domain's refund."""

import datetime as dt
from typing import Any

import pytest

from domain.mirror import Snapshot, Version
from domain.money import Money
from domain.refunds import Refund
from infrastructure.stripe.charges.refund_translation import REFUND
from tests.unit.stripe.samples import encoded, refund, without

VERSION = Version.of_event(1)


def observed(payload: dict[str, Any]) -> Snapshot[Refund]:
    return REFUND.observe(encoded(payload), "acct_1", VERSION)


def test_every_field_is_read() -> None:
    payload = refund(status="failed", failure_reason="lost_or_stolen_card", metadata={"a": "b"})
    assert observed(payload) == Snapshot(
        "acct_1",
        "re_1",
        VERSION,
        Refund(
            id="re_1",
            created=dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC),
            amount=Money(100, "eur"),
            status="failed",
            charge="ch_1",
            payment_intent="pi_1",
            reason="requested_by_customer",
            failure_reason="lost_or_stolen_card",
            balance_transaction="txn_2",
            metadata={"a": "b"},
        ),
    )


@pytest.mark.parametrize(
    "absent", ["status", "charge", "payment_intent", "reason", "balance_transaction", "metadata"]
)
def test_an_absent_field_is_unknown(absent: str) -> None:
    assert observed(without(refund(), absent)).unknown == {absent}


def test_a_refund_that_leaves_out_a_failure_reason_has_none() -> None:
    snapshot = observed(refund())
    assert snapshot.object is not None
    assert snapshot.object.failure_reason is None
    assert not snapshot.unknown


@pytest.mark.parametrize("field", ["charge", "payment_intent", "balance_transaction"])
def test_an_expanded_object_counts_by_its_id(field: str) -> None:
    found = observed(refund(**{field: {"id": "obj_9", "object": "whatever"}})).object
    assert getattr(found, field) == "obj_9"


def test_an_unknown_status_is_kept() -> None:
    found = observed(refund(status="pondering")).object
    assert found is not None
    assert found.status == "pondering"


@pytest.mark.parametrize(
    "nonsense",
    [without(refund(), "amount"), without(refund(), "currency"), refund(amount=1.5), refund(id="")],
)
def test_structural_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\$|required"):
        observed(nonsense)
