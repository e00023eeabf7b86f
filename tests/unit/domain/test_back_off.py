"""Back-off: pauses double up to a bound, and never come all at once."""

import pytest

from domain.back_off import BackOff

BACK_OFF = BackOff(first_seconds=1.0, last_seconds=30.0)


def test_the_longest_pause_doubles_up_to_the_last() -> None:
    longest = [BACK_OFF.longest(retries) for retries in range(7)]
    assert longest == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_however_often_it_failed_there_is_a_pause() -> None:
    assert BACK_OFF.longest(1_000_000) == 30.0


@pytest.mark.parametrize("retries", range(8))
def test_chance_makes_it_half_of_the_longest_to_the_whole(retries: int) -> None:
    longest = BACK_OFF.longest(retries)
    assert BACK_OFF.pause(retries, chance=0.0) == longest / 2
    assert BACK_OFF.pause(retries, chance=0.5) == longest * 3 / 4
    assert longest * 0.99 < BACK_OFF.pause(retries, chance=0.999) < longest
