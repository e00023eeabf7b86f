"""What was found lately is told for a while, and nothing else is."""

import pytest

from application.checkouts import lately
from application.checkouts.lately import MOMENT, Lately
from tests.support.fakes.stores import FakeClock


class Shelf:
    """What there is, and how often somebody looked."""

    def __init__(self) -> None:
        self.things = {("a", "b"): "first"}
        self.looks = 0

    async def find(self, *key: str) -> str | None:
        self.looks += 1
        return self.things.get((key[0], key[1]))


async def test_what_was_found_is_told_until_its_time_is_over() -> None:
    clock, shelf = FakeClock(), Shelf()
    finds = Lately(shelf.find, clock, MOMENT)
    assert [await finds("a", "b") for _ in range(3)] == ["first"] * 3
    shelf.things["a", "b"] = "second"
    clock.advance(seconds=1.9)
    assert (await finds("a", "b"), shelf.looks) == ("first", 1)
    clock.advance(seconds=0.1)
    assert (await finds("a", "b"), shelf.looks) == ("second", 2)
    # A clock that was set back makes nothing last.
    clock.advance(hours=-1)
    assert (await finds("a", "b"), shelf.looks) == ("second", 3)


async def test_what_was_not_found_is_looked_for_again() -> None:
    shelf = Shelf()
    finds = Lately(shelf.find, FakeClock(), MOMENT)
    assert [await finds("b", "a") for _ in range(2)] == [None, None]
    shelf.things["b", "a"] = "made"
    assert (await finds("b", "a"), shelf.looks) == ("made", 3)


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lately, "_MOST", 2)
    shelf = Shelf()
    shelf.things |= {("a", name): name for name in "cde"}
    finds = Lately(shelf.find, FakeClock(), MOMENT)
    for name in "bcd":
        await finds("a", name)
    await finds("a", "b")
    assert shelf.looks == 4
