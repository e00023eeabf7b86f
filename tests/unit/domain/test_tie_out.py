"""What anchors say of a time: the rules of `domain.tie_out`."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from domain.balances import BalanceReading, CurrencyReading
from domain.reporting_categories import APART, NetPart
from domain.tie_out import (
    BEGINNING,
    MAX_TOLD_APART,
    Anchor,
    Judgement,
    Placed,
    Verdict,
    anchor_of,
    common,
    follow,
    judge,
    moved,
    nearest,
    neighbours,
    origins,
)

SECOND = 1_000
NETS = st.lists(st.integers(-50, 50).filter(bool), max_size=4)


def placed(*amounts: int) -> Placed:
    return Placed(BEGINNING, tuple((amount, amount) for amount in amounts))


def test_a_reading_is_an_anchor_of_what_it_holds_in_all() -> None:
    usd = CurrencyReading("usd", available=5, pending=-2, reserved=9)
    anchor = anchor_of(BalanceReading(3_500, 4_200, (usd,)))
    assert (anchor.total("usd"), anchor.total("eur")) == (3, 0)
    assert (anchor.low_ms, anchor.high_ms) == (2_000, 4_201)


def test_an_anchor_says_one_amount_where_nothing_moved_within() -> None:
    assert origins(142, 42, ()) == ((100, 100),)


def test_an_anchor_may_have_any_first_part_of_the_rows_within() -> None:
    assert origins(142, 42, ([-7], [3])) == ((100, 100), (104, 104), (107, 107))


def test_of_one_second_nobody_knows_which_row_came_first() -> None:
    assert origins(0, 0, ([10, -3],)) == ((-10, -10), (-7, -7), (0, 0), (3, 3))


def test_of_many_rows_in_a_second_only_how_far_they_reach_is_known() -> None:
    many = [10] * MAX_TOLD_APART + [-5]
    assert origins(0, 0, (many,)) == ((-10 * MAX_TOLD_APART, 5),)


def test_two_anchors_tie_where_they_have_something_in_common() -> None:
    assert judge(placed(3, 9), placed(9)) == Judgement(Verdict.TIES, 0, 9)


def test_a_remainder_is_the_nearest_difference() -> None:
    assert judge(placed(3, 9), placed(14)) == Judgement(Verdict.DIFFERS, 5, 9)
    assert judge(placed(14), placed(3, 9)) == Judgement(Verdict.DIFFERS, -5, 14)
    assert nearest(((0, 4), (8, 8)), ((6, 6),)) == (-2, 8)


def test_without_an_anchor_on_a_side_nobody_knows() -> None:
    assert judge(None, None) == Judgement(Verdict.UNKNOWN)
    assert judge(placed(3), None) == Judgement(Verdict.UNKNOWN, 0, 3)
    assert judge(None, placed(3)) == Judgement(Verdict.UNKNOWN, 0, 3)


def test_an_anchor_that_ties_says_what_the_one_before_says_too() -> None:
    after = follow(placed(100), BEGINNING, ((100, 100), (107, 107)))
    assert after.origins == ((100, 100),)
    assert follow(placed(100), BEGINNING, ((105, 105),)).origins == ((105, 105),)
    assert follow(None, BEGINNING, ((105, 105),)).origins == ((105, 105),)


def test_neighbours_are_the_nearest_that_lie_wholly_beside() -> None:
    first, second, third = (Anchor(at, at + 5) for at in (10, 20, 30))
    sides = neighbours([first, second, third], [9, 10, 20, 25, 31])
    assert [(side.left, side.right) for side in sides] == [
        (None, first), (first, second), (second, third), (second, None),
    ]  # fmt: skip


def test_what_moved_adds_up_whatever_it_is() -> None:
    rows: Sequence[tuple[str | None, int, int]] = [
        ("charge", 100, 3), ("payout", -50, 1), (None, 7, 0), ("new here", -2, 0), ("fee", -9, 0),
    ]  # fmt: skip
    parts = moved(rows)
    assert parts == {
        NetPart.GROSS: 100, NetPart.PAYOUTS: -50, NetPart.OTHER: 5, NetPart.FEES: -13,
    }  # fmt: skip
    assert sum(parts.values()) == sum(amount - fee for _, amount, fee in rows)
    assert sum(amount for part, amount in parts.items() if part not in APART) == 92


@given(
    opening=st.integers(-1_000, 1_000),
    seconds=st.lists(NETS, max_size=4),
    taken=st.integers(0, 4),
    between=st.lists(st.integers(-50, 50), max_size=6),
)
def test_a_true_reading_ties_wherever_it_was_taken(
    opening: int, seconds: list[list[int]], taken: int, between: list[int]
) -> None:
    """The first one is exact; the other one was taken after some of its interval's seconds."""
    before = sum(between)
    total = opening + before + sum(sum(nets) for nets in seconds[:taken])
    left, right = placed(opening), Placed(BEGINNING, origins(total, before, seconds))
    assert judge(left, right).verdict is Verdict.TIES
    assert common(left.origins, right.origins) == left.origins


@given(
    opening=st.integers(-1_000, 1_000),
    between=st.lists(st.integers(-50, 50).filter(bool), min_size=1, max_size=6),
    lost=st.integers(0, 5),
)
def test_without_one_of_the_rows_it_differs_by_that(
    opening: int, between: list[int], lost: int
) -> None:
    total = opening + sum(between)
    missing = between.pop(lost % len(between))
    judgement = judge(placed(opening), Placed(BEGINNING, origins(total, sum(between), ())))
    assert judgement == Judgement(Verdict.DIFFERS, missing, opening)
