"""A balance beside the mirror: which sums Stripe may have had, and what the next one ties to."""

from dataclasses import replace

import pytest

from domain.balances import BalanceReading, Compared, CurrencyReading, Tie, compare

READING = CurrencyReading("usd", 900, 100)
CERTAIN = 8_000


def compared(
    *possible: tuple[int, int],
    before: Tie | None = None,
    certain: int = 1_000,
    complete: bool = True,
) -> Compared:
    return compare(
        READING,
        before,
        certain_before_ms=CERTAIN,
        certain=certain,
        possible=possible,
        complete=complete,
    )


def test_a_reading_that_agrees_is_the_next_tie() -> None:
    tied = replace(READING, tie=Tie(CERTAIN, 1_000))
    assert compared() == Compared(tied, 1_000, None, 0)
    later = compared(before=Tie(5_000, 950), certain=50)
    assert later == Compared(tied, 1_000, 5_000, 0)


@pytest.mark.parametrize(
    ("certain", "possible"),
    [
        (1_000, [(9_000, 7)]),  # not there yet when it was read
        (993, [(9_000, 7)]),
        (993, [(10_000, 3), (9_000, 7)]),  # the first of the two was
    ],
)
def test_stripe_may_have_had_the_first_of_what_came_meanwhile(
    certain: int, possible: list[tuple[int, int]]
) -> None:
    answer = compared(*possible, certain=certain)
    assert (answer.mirrored, answer.difference) == (1_000, 0)
    assert answer.reading.tie == Tie(CERTAIN, certain), "what may come in the same second is left"


def test_a_difference_is_told_and_ties_to_what_agreed_last() -> None:
    tie = Tie(5_000, 900)
    answer = compared(before=tie, certain=50)
    assert (answer.mirrored, answer.since_ms, answer.difference) == (950, 5_000, 50)
    assert answer.reading.tie == tie
    beyond = compared((9_000, 20), certain=900)
    assert (beyond.mirrored, beyond.difference, beyond.reading.tie) == (920, 80, None)


def test_what_lies_between_two_sums_is_not_known() -> None:
    answer = compared((9_000, 20), certain=990)
    assert (answer.mirrored, answer.difference, answer.reading.tie) == (1_010, None, None)


def test_without_all_transactions_there_is_no_difference() -> None:
    tie = Tie(5_000, 0)
    answer = compared(before=tie, complete=False)
    assert (answer.mirrored, answer.difference, answer.reading.tie) == (1_000, None, tie)


def test_a_tie_that_is_later_than_the_reading_is_kept() -> None:
    tie = Tie(CERTAIN + 1_000, 1_000)
    assert compared(before=tie, certain=0).reading.tie == tie


def test_what_is_certain_was_made_a_second_before() -> None:
    reading = BalanceReading(3_600_000 + 2_750, 3_600_000 + 7_000, (READING,))
    assert reading.certain_before_ms == 3_600_000 + 1_000
    assert (reading.hour, reading.agrees) == (1, False)
    tied = replace(READING, tie=Tie(3_601_000, 1_000))
    assert replace(reading, currencies=(tied,)).agrees
    assert reading.of("usd") == READING
    assert reading.of("eur") is None
