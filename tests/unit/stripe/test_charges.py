"""Charges: from Stripe's payload to the domain's charge."""

import datetime as dt
from typing import Any

import pytest

from domain.charges import Charge
from domain.mirror import Snapshot, Version
from domain.money import Money
from infrastructure.stripe.charges.translation import CHARGE
from tests.unit.stripe.samples import charge, encoded, without

VERSION = Version.of_event(1)


def observed(payload: dict[str, Any]) -> Snapshot[Charge]:
    return CHARGE.observe(encoded(payload), "acct_1", VERSION)


def read(payload: dict[str, Any]) -> Charge:
    found = observed(payload).object
    assert found is not None
    return found


def test_every_field_is_read() -> None:
    snapshot = observed(charge(failure_code="card_declined", refunded=True, disputed=True))
    assert snapshot == Snapshot(
        "acct_1",
        "ch_1",
        VERSION,
        Charge(
            id="ch_1",
            created=dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC),
            amount=Money(2_500, "eur"),
            amount_captured=Money(2_500, "eur"),
            amount_refunded=Money(100, "eur"),
            status="succeeded",
            captured=True,
            refunded=True,
            disputed=True,
            customer="cus_1",
            payment_intent="pi_1",
            payment_method="pm_1",
            payment_method_type="card",
            balance_transaction="txn_1",
            description="Order 7",
            failure_code="card_declined",
            outcome_type="authorized",
            outcome_reason=None,
            risk_level="normal",
            metadata={"order": "7"},
        ),
    )


@pytest.mark.parametrize(
    ("absent", "unknown"),
    [
        ("amount_captured", {"amount_captured"}),
        ("amount_refunded", {"amount_refunded"}),
        ("status", {"status"}),
        ("captured", {"captured"}),
        ("refunded", {"refunded"}),
        ("disputed", {"disputed"}),
        ("customer", {"customer"}),
        ("payment_intent", {"payment_intent"}),
        ("payment_method", {"payment_method"}),
        ("payment_method_details", {"payment_method_type"}),
        ("balance_transaction", {"balance_transaction"}),
        ("description", {"description"}),
        ("failure_code", {"failure_code"}),
        ("outcome", {"outcome_type", "outcome_reason", "risk_level"}),
        ("metadata", {"metadata"}),
    ],
)
def test_an_absent_field_is_unknown(absent: str, unknown: set[str]) -> None:
    assert observed(without(charge(), absent)).unknown == unknown


@pytest.mark.parametrize(
    "field",
    ["customer", "payment_intent", "payment_method", "balance_transaction", "description"],
)
def test_null_is_known_to_be_empty(field: str) -> None:
    snapshot = observed(charge(**{field: None}))
    assert getattr(snapshot.object, field) is None
    assert not snapshot.unknown


def test_a_null_outcome_is_known_to_be_empty() -> None:
    snapshot = observed(charge(outcome=None, payment_method_details=None, metadata=None))
    found = snapshot.object
    assert found is not None
    assert (found.outcome_type, found.risk_level, found.payment_method_type) == (None, None, None)
    assert found.metadata == {}
    assert not snapshot.unknown


def test_an_outcome_without_risk_level_tells_that_there_is_none() -> None:
    snapshot = observed(charge(outcome={"type": "blocked", "reason": "rule"}))
    assert snapshot.object is not None
    assert (snapshot.object.outcome_type, snapshot.object.risk_level) == ("blocked", None)
    assert not snapshot.unknown


@pytest.mark.parametrize(
    "field", ["customer", "payment_intent", "payment_method", "balance_transaction"]
)
def test_an_expanded_object_counts_by_its_id(field: str) -> None:
    expanded = {"id": "obj_9", "object": "whatever", "deleted": True, "nested": {"id": "no"}}
    assert getattr(read(charge(**{field: expanded})), field) == "obj_9"


def test_an_unknown_status_is_kept() -> None:
    assert read(charge(status="teleported")).status == "teleported"


def test_an_unknown_currency_is_kept() -> None:
    assert read(charge(currency="zzz")).amount == Money(2_500, "zzz")


@pytest.mark.parametrize(
    "nonsense",
    [
        without(charge(), "id"),
        without(charge(), "amount"),
        without(charge(), "currency"),
        without(charge(), "created"),
        charge(id=""),
        charge(id=None),
        charge(id=7),
        charge(amount=25.5),
        charge(amount="2500"),
        charge(amount=True),
        charge(amount=None),
        charge(amount=2**63),
        charge(currency=None),
        charge(currency="EUR"),
        charge(currency="euro"),
        charge(created=-1),
        charge(created=10**15),
        charge(customer={"object": "customer"}),
        charge(customer=["cus_1"]),
        charge(metadata={"order": 7}),
    ],
)
def test_structural_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\$|required|currency:"):
        observed(nonsense)
