"""Attempts: a payment is exactly one of paid, open, failed, blocked."""

import datetime as dt
from dataclasses import replace
from itertools import permutations

import pytest

from domain.attempts import attempts
from domain.charges import Charge
from domain.mirror import Snapshot, Version
from domain.money import Money

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
AT = 1_772_366_400_000


def told(number: int, status: str, captured: int = 0, outcome: str = "") -> Snapshot[Charge]:
    """The nth attempt, a minute after the one before."""
    charge = Charge(
        f"ch_{number}", NOON + number * dt.timedelta(minutes=1), Money(1_000, "usd"),
        Money(captured, "usd"), Money(0, "usd"), status, captured > 0, False, False,
        payment_intent="pi_1", outcome_type=outcome or None,
    )  # fmt: skip
    return Snapshot("acct_1", charge.id, Version.of_event(AT + number * 60_000), charge)


@pytest.mark.parametrize(
    ("charges", "outcome", "recovered", "captured"),
    [
        ([told(0, "succeeded", 1_000)], "paid", False, 1_000),
        ([told(0, "failed"), told(1, "succeeded", 900)], "paid", True, 900),
        ([told(0, "failed", outcome="blocked"), told(1, "succeeded", 9)], "paid", False, 9),
        ([told(0, "succeeded", 9), told(1, "failed")], "paid", False, 9),
        ([told(0, "succeeded")], "open", False, 0),
        ([told(0, "pending"), told(1, "failed")], "open", False, 0),
        ([told(0, "of_tomorrow")], "open", False, 0),
        ([told(0, "failed"), told(1, "failed", outcome="blocked")], "failed", False, 0),
        ([told(0, "failed", outcome="blocked")], "blocked", False, 0),
    ],
)
def test_what_became_of_a_payment(
    charges: list[Snapshot[Charge]], outcome: str, recovered: bool, captured: int
) -> None:
    for order in permutations(charges):
        facet = attempts("pi_1", order)
        assert facet is not None
        assert facet.values == {
            "first_attempt": AT,
            "currency": "usd",
            "outcome": outcome,
            "recovered": recovered,
            "count": len(charges),
            "captured": captured,
        }


def test_whoever_has_seen_more_of_a_second_is_the_later() -> None:
    charge = told(0, "failed").object
    assert charge is not None
    first, second = (
        Snapshot("acct_1", id_, Version.of_event(AT), replace(charge, id=id_))
        for id_ in ("ch_1", "ch_2")
    )
    one, both = attempts("pi_1", [first]), attempts("pi_1", [second, first])
    assert one is not None
    assert both is not None
    assert one.version.place() < both.version.place()


def test_without_charges_there_is_nothing_to_tell() -> None:
    assert attempts("pi_1", []) is None
    assert attempts("pi_1", [Snapshot("acct_1", "ch_1", Version.of_event(1), None)]) is None
