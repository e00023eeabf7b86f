"""The promises of `application.notes.ports`."""

import asyncio
import datetime as dt
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import pytest

from application.notes.ports import NoteFilter
from domain.notes import Note
from domain.periods import to_milliseconds
from tests.contract.samples import NOON, OURS, SECOND
from tests.contract.test_plans import assert_ordered, plans_of, plans_or_nothing
from tests.support.servers.stores import Opener, Stores


def note(number: int = 1, *, account: str = "acme", **fields: Any) -> Note:
    """A note, by default written so many seconds after noon."""
    at = fields.pop("at", NOON + number * SECOND)
    given = {"customer": "cus_1", "author": "ada", "text": f'No. {number}: "ö", \n🙂', **fields}
    id_ = f"note_{account}_{number:03}"
    return Note(id_, account, OURS, created_at=at, updated_at=at, **given)


async def listed(
    stores: Stores, where: NoteFilter | None = None, *, account: str = "acme", limit: int = 1_000
) -> list[Note]:
    """All that a list gives, page by page."""
    found: list[Note] = []
    after: tuple[int, str] | None = None
    while True:
        page = await stores.notes.list(account, where or NoteFilter(), after=after, limit=limit)
        found += page
        if len(page) < limit:
            return found
        after = (to_milliseconds(page[-1].created_at), page[-1].id)


async def test_a_note_is_kept_once(stores: Stores) -> None:
    notes = stores.notes
    assert await notes.get("acme", note().id) is None
    await notes.add(note())
    await notes.add(replace(note(), text="another one of that id"))
    assert await notes.get("acme", note().id) == note()
    assert await notes.get("other", note().id) is None


async def test_a_note_is_replaced_only_by_who_has_seen_it(stores: Stores) -> None:
    notes = stores.notes
    assert await notes.replace(note().edited("unknown", "a", NOON)) is False
    assert await notes.get("acme", note().id) is None
    await notes.add(note())
    second = note().edited("two", "a", NOON + 9 * SECOND)
    assert await notes.replace(second) is True
    assert await notes.get("acme", note().id) == second
    assert await notes.replace(note().edited("late", "b", NOON)) is False
    assert (
        await notes.replace(replace(second.edited("theirs", "c", NOON), account="other")) is False
    )
    assert await notes.get("acme", note().id) == second


async def test_of_changes_at_once_one_stands(opener: Opener) -> None:
    async with opener() as first, opener() as second:
        await first.notes.add(note())
        changes = [note().edited(f"text {number}", str(number), NOON) for number in range(20)]
        stood = await asyncio.gather(
            *((first, second)[number % 2].notes.replace(one) for number, one in enumerate(changes))
        )
        assert stood.count(True) == 1
        assert await first.notes.get("acme", note().id) == changes[stood.index(True)]


async def test_a_deleted_note_stays_without_its_text_and_is_in_no_list(stores: Stores) -> None:
    await stores.notes.add(note())
    gone = note().erased("a", NOON + 9 * SECOND)
    assert await stores.notes.replace(gone) is True
    await stores.notes.add(note())  # by what created it, run again
    assert await stores.notes.get("acme", note().id) == gone
    assert (gone.text, gone.deleted) == ("", True)
    for where in (NoteFilter(), NoteFilter(customer="cus_1"), NoteFilter(author="ada")):
        assert await listed(stores, where) == []


async def test_lists_are_narrowed_and_newest_first(stores: Stores) -> None:
    made = [
        note(
            number,
            customer=f"cus_{number % 2}",
            author=("ada", "bob", "cid")[number % 3],
            at=NOON + number // 4 * SECOND,  # several of one instant
        )
        for number in range(24)
    ]
    for one in made:
        await stores.notes.add(one)
    await stores.notes.add(note(99, account="other"))
    choices = product(
        (None, "cus_1"), (None, "bob"), (None, NOON + 2 * SECOND), (None, NOON + 5 * SECOND)
    )
    for customer, author, start, end in choices:
        wanted = sorted(
            (
                one
                for one in made
                if customer in (None, one.customer)
                and author in (None, one.author)
                and (start is None or one.created_at >= start)
                and (end is None or one.created_at < end)
            ),
            key=lambda one: (one.created_at, one.id),
            reverse=True,
        )
        where = NoteFilter(customer, author, start, end)
        assert wanted, where
        for limit in (1, 5, 1_000):
            assert await listed(stores, where, limit=limit) == wanted, (where, limit)


async def test_pages_hold_each_note_once_whatever_is_written_between_them(stores: Stores) -> None:
    made = [note(number, at=NOON) for number in range(0, 40, 2)]
    for one in made:
        await stores.notes.add(one)
    found: list[str] = []
    after: tuple[int, str] | None = None
    for step in range(100):
        page = await stores.notes.list("acme", NoteFilter(), after=after, limit=3)
        found += [one.id for one in page]
        if len(page) < 3:
            break
        after = (to_milliseconds(page[-1].created_at), page[-1].id)
        await stores.notes.add(note(100 + step, at=NOON + SECOND))
        await stores.notes.add(note(2 * step + 1, at=NOON))
    assert len(found) == len(set(found))
    assert {one.id for one in made} <= {*found}


@pytest.mark.parametrize("limit", [0, 1_001])
async def test_limits_are_bounds(stores: Stores, limit: int) -> None:
    with pytest.raises(ValueError, match="limit"):
        await stores.notes.list("acme", NoteFilter(), after=None, limit=limit)


async def test_every_query_uses_an_index(stores: Stores) -> None:
    notes = stores.notes
    for number in range(9):
        await notes.add(note(number))
    later = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    place = (to_milliseconds(NOON + 5 * SECOND), note(5).id)
    for customer, author, start, end, after in product(
        (None, "cus_1"), (None, "ada"), (None, NOON), (None, later), (None, place)
    ):
        where = NoteFilter(customer, author, start, end)
        narrowed = [
            name
            for name, value in (("customer", customer), ("author", author))
            if value is not None
        ]
        for plan in await assert_ordered(
            stores, partial(notes.list, "acme", where, after=after, limit=3)
        ):
            for index in plan.indexes:
                assert index[:-1] == ("account", *narrowed, "created_at"), plan.text
    await plans_of(stores, lambda: notes.get("acme", note(1).id))
    await plans_of(stores, lambda: notes.replace(note(1).edited("new", "a", NOON)))
    await plans_or_nothing(stores, lambda: notes.add(note(77)))
