"""Figures of subscribers: parts that add up, who is lost, rates."""

import datetime as dt
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.facts import Fact, Series, Statement
from domain.mrr import MOVEMENTS
from domain.subscriber_figures import (
    apportioned,
    conversion,
    known_by,
    lost_in,
    mrr_churn,
    waterfall,
    whole,
    win_rate,
)
from tests.unit.domain.evidence_samples import day


def fact(
    who: str, at: dt.datetime, kind: str, amount: int, count: int = 0, *, number: int = 1,
    known: dt.datetime | None = None, currency: str = "usd",
) -> Fact:  # fmt: skip
    stated = Statement(Series.MRR, who, at, kind, currency, amount * 10_000, count)
    return Fact(stated, number, known or at)


@pytest.mark.parametrize(
    ("amount", "minor"), [(5_000, 0), (15_000, 2), (25_000, 2), (-5_000, 0), (-15_000, -2)]
)
def test_half_goes_to_even(amount: int, minor: int) -> None:
    assert whole(amount) == minor


def test_levels_are_rounded_and_movements_add_up_to_them() -> None:
    found = waterfall(3_333, [{"new": 3_333, "expansion": 3_334}, {}, {"churn": -10_000}])
    assert (found.start, found.levels, found.end) == (0, (1, 1, 0), 0)
    assert found.movements == {"new": (0, 0, 0), "expansion": (1, 0, 0), "churn": (0, 0, -1)}
    assert list(found.movements) == ["new", "expansion", "churn"]


def test_what_half_to_even_makes_too_little_or_too_much_is_in_a_part() -> None:
    assert waterfall(5_000, [{"new": 10_000}]).movements == {"new": (2,)}
    assert waterfall(15_000, [{"new": 10_000}]).movements == {"new": (0,)}


KINDS = st.dictionaries(st.sampled_from([*MOVEMENTS, "of_tomorrow"]), st.integers(-(10**9), 10**9))


@given(st.integers(0, 10**9), st.lists(KINDS, max_size=6))
def test_mrr_at_the_end_is_that_at_the_start_and_all_movements(
    opening: int, moved: list[dict[str, int]]
) -> None:
    found = waterfall(opening, moved)
    levels = [found.start, *found.levels]
    for bucket in range(len(moved)):
        change = sum(amounts[bucket] for amounts in found.movements.values())
        assert levels[bucket + 1] == levels[bucket] + change
    assert found.end == found.start + sum(map(found.total, found.movements))
    for bucket, sums in enumerate(moved):
        for kind, amounts in found.movements.items():
            assert abs(amounts[bucket] - Fraction(sums.get(kind, 0), 10_000)) <= 2
            assert sums.get(kind) or not amounts[bucket]


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=9))
def test_parts_of_a_rounded_sum_add_up(amounts: list[int]) -> None:
    assert sum(apportioned(amounts, whole(sum(amounts)))) == whole(sum(amounts))


def test_lost_is_who_had_mrr_at_the_start_once_and_even_if_back() -> None:
    facts = [
        fact("back", day(1), "new", 10, 1),
        fact("back", day(2, 3), "churn", -10, -1),
        fact("back", day(2, 4), "reactivation", 10, 1),
        fact("back", day(2, 5), "churn", -10, -1),
        fact("paused", day(1), "new", 10, 1),
        fact("paused", day(2, 3), "paused", -10, -1),
        fact("young", day(2, 2), "new", 10, 1),
        fact("young", day(2, 3), "churn", -10, -1),
        fact("stays", day(1), "new", 10, 1),
        fact("restated", day(1), "new", 10, 1),
        fact("restated", day(2, 2), "churn", -10, -1),
        fact("restated", day(2, 2), "churn", 10, 1, number=2),
        fact("later", day(1), "new", 10, 1),
        fact("later", day(3), "churn", -10, -1),
    ]
    assert lost_in(facts, day(2), day(3)) == {"back"}


def test_rates_are_absent_without_anything_to_be_a_part_of() -> None:
    moved = {"churn": -30, "contraction": -10, "expansion": 15, "reactivation": 5, "new": 99}
    found = mrr_churn(100, moved)
    assert (found.gross, found.net) == (Fraction(2, 5), Fraction(1, 5))
    assert mrr_churn(0, moved).gross is None
    assert conversion({"converted": 1, "not_converted": 2, "pending": 9}) == Fraction(1, 3)
    assert conversion({"pending": 9}) is None
    assert win_rate({"won": 1, "lost": 3, "undated": 5}) == Fraction(1, 4)


def test_what_was_known_at_an_instant() -> None:
    early = fact("a", day(1), "new", 10, 1, known=day(2))
    late = fact("b", day(1), "new", 10, 1, known=day(4))
    assert known_by([early, late], day(2)) == [early]
    assert known_by([early, late], day(4)) == [early, late]
