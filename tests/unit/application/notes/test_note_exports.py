"""Notes as a file: whole, in parts, and bounded."""

import csv
import datetime as dt
import io
from contextlib import aclosing

import pytest

from application.notes import use_cases as use_case
from application.notes.commands import ListNotes
from application.requests import exports
from domain.errors import RateLimited, Reason, Unavailable
from domain.notes import Note
from tests.support.fakes.stores import NOON, Failing, store_down
from tests.support.rooms.notes import ADA, RIVAL, NotesOnFakes, export, parts


@pytest.fixture
async def desk() -> NotesOnFakes:
    made = NotesOnFakes()
    await made.customer("cus_1", "cus_2")
    return made


async def test_a_file_has_a_header_and_every_note(desk: NotesOnFakes) -> None:
    assert await export(desk.notes) == [[*use_case.COLUMNS]]
    first = await desk.write('say "two\nlines", ö')
    second = await desk.write("=1+1", customer="cus_2")
    assert await export(desk.notes) == [
        [*use_case.COLUMNS],
        [second.id, "cus_2", "ada", "2026-11-02T12:00:02.000Z", "2026-11-02T12:00:02.000Z",
         "'=1+1"],
        [first.id, "cus_1", "ada", "2026-11-02T12:00:01.000Z", "2026-11-02T12:00:01.000Z",
         'say "two\nlines", ö'],
    ]  # fmt: skip
    assert len(await export(desk.notes, ListNotes(customer="cus_2"))) == 2
    later = ListNotes(created_after=second.created_at)
    assert [row[0] for row in await export(desk.notes, later)] == ["id", second.id]
    assert b"note_" not in b"".join(await parts(desk.notes, caller=RIVAL))


async def test_a_file_is_read_by_pages_and_sent_in_parts(desk: NotesOnFakes) -> None:
    text = '"' * 10_000
    for number in range(250):
        at = NOON + dt.timedelta(seconds=number)
        made = Note(f"note_{number:032}", "acme", "acct_1", "cus_1", "ada", text, at, at)
        await desk.store.add(made)
    found = await parts(desk.notes)
    assert max(map(len, found)) < 256 * 1_024
    assert len(found) > 50
    rows = await export(desk.notes)
    assert [row[0] for row in rows[1:]] == [f"note_{number:032}" for number in range(249, -1, -1)]
    assert [limit for _, limit in desk.store.listed] == [use_case.EXPORT_PAGE] * 6


async def test_a_note_written_meanwhile_doubles_and_drops_nothing(desk: NotesOnFakes) -> None:
    async def note(name: str, second: int) -> None:
        at = NOON + dt.timedelta(seconds=second)
        await desk.store.add(
            Note(f"note_{name}", "acme", "acct_1", "cus_1", "ada", "x" * 9_000, at, at)
        )

    for number in range(150):
        await note(f"{number:03}", number)
    found = b""
    async with aclosing(desk.notes.export(ADA, ListNotes())) as stream:
        async for part in stream:
            found += part
            await note(f"new{len(found)}", 1_000)
    ids = [row[0] for row in csv.reader(io.StringIO(found.decode()[1:], newline=""))][1:]
    old = [one for one in ids if "new" not in one]
    assert old == [f"note_{number:03}" for number in range(149, -1, -1)]
    assert len(ids) == len({*ids})


async def test_exports_at_once_are_bounded(
    desk: NotesOnFakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "MAX_EXPORTS", 1)
    first = desk.notes.export(ADA, ListNotes())
    await anext(first)
    with pytest.raises(RateLimited) as refused:
        await parts(desk.notes)
    assert refused.value.reason is Reason.OVERLOADED
    await first.aclose()
    assert len(await parts(desk.notes)) == 1


async def test_one_account_does_not_take_all_exports(desk: NotesOnFakes) -> None:
    most = exports.MAX_EXPORTS_OF_AN_ACCOUNT
    slow = [desk.notes.export(ADA, ListNotes()) for _ in range(most)]
    for one in slow:
        await anext(one)
    with pytest.raises(RateLimited):
        await parts(desk.notes)
    assert len(await parts(desk.notes, caller=RIVAL)) == 1
    for one in slow:
        await one.aclose()
    assert len(await parts(desk.notes)) == 1
    assert desk.notes._exports.running == {}


async def test_a_store_that_fails_ends_the_file(desk: NotesOnFakes) -> None:
    desk.store.pause = Failing({0: store_down()})
    with pytest.raises(Unavailable):
        await parts(desk.notes)
    assert desk.notes._exports.running == {}
