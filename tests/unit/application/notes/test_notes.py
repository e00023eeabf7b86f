"""Notes: what may be written, who may change it, and that a change is made once."""

import datetime as dt
from dataclasses import replace

import pytest

from application.mutations.ports import MutationState
from application.notes.commands import ListNotes
from domain.connections import ConnectionState, Mode
from domain.errors import (
    Conflict,
    FailedPrecondition,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    Reason,
    Unavailable,
)
from domain.notes import Note, is_note_text
from tests.support.fakes.stores import NOON, store_down
from tests.support.rooms.notes import (
    ADA,
    ADMIN,
    BOB,
    CONNECTION,
    RIVAL,
    NotesOnFakes,
    export,
    violations,
)


@pytest.fixture
async def desk() -> NotesOnFakes:
    made = NotesOnFakes()
    await made.customer("cus_1", "cus_2")
    return made


async def test_a_note_is_its_authors_and_of_its_time(desk: NotesOnFakes) -> None:
    note = await desk.notes.create(ADA, "r-1", "cus_1", "Prefers\tmail.\nCalls back.")
    assert note == Note(
        note.id, "acme", "acct_1", "cus_1", "ada", "Prefers\tmail.\nCalls back.", NOON, NOON
    )
    assert await desk.notes.get(BOB, note.id) == note
    desk.clock.advance(seconds=5)
    assert await desk.notes.create(ADA, "r-1", "cus_1", note.text) == note
    assert await desk.texts() == [note.text]


async def test_the_customer_must_be_in_the_mirror(desk: NotesOnFakes) -> None:
    await desk.customer("cus_2", deleted=True)
    for id_ in ("cus_2", "cus_9"):
        with pytest.raises(NotFound) as missing:
            await desk.notes.create(ADA, f"r-{id_}", id_, "hi")
        assert missing.value.metadata == {"resource": "customer", "id": id_}
    assert desk.store.kept == {}


async def test_only_writing_needs_the_connection(desk: NotesOnFakes) -> None:
    note = await desk.write()
    gone = replace(CONNECTION, state=ConnectionState.REVOKED)
    desk.connections.kept["acme", Mode.TEST] = gone
    desk.clock.advance(seconds=60)
    with pytest.raises(FailedPrecondition) as refused:
        await desk.notes.create(ADA, "r-9", "cus_1", "hi")
    assert refused.value.reason is Reason.STRIPE_CONNECTION_REVOKED
    assert await desk.notes.get(ADA, note.id) == note
    assert await desk.texts(ListNotes(customer="cus_1")) == ["hi"]
    assert (await desk.notes.update(ADA, "r-2", note.id, "new")).text == "new"
    assert len(await export(desk.notes)) == 2
    await desk.notes.delete(ADA, "r-3", note.id)
    assert await desk.texts() == []


async def test_another_accounts_notes_are_not_found(desk: NotesOnFakes) -> None:
    note = await desk.write()
    for number, call in enumerate(
        (
            desk.notes.get(RIVAL, note.id),
            desk.notes.update(RIVAL, "r-1", note.id, "mine"),
            desk.notes.delete(RIVAL, "r-2", note.id),
        )
    ):
        with pytest.raises(NotFound):
            await call
        assert await desk.notes.get(ADA, note.id) == note, number
    assert (await desk.notes.list(RIVAL, ListNotes())).items == []
    await desk.write("second")
    page = await desk.notes.list(ADA, ListNotes(page_size=1))
    call = desk.notes.list(RIVAL, ListNotes(page_size=1, page_token=page.next_page_token))
    assert await violations(call) == ["page_token"]


async def test_only_the_author_or_an_admin_changes_a_note(desk: NotesOnFakes) -> None:
    note = await desk.write()
    for call in (
        desk.notes.update(BOB, "r-1", note.id, "not mine"),
        desk.notes.delete(BOB, "r-2", note.id),
    ):
        with pytest.raises(PermissionDenied) as denied:
            await call
        assert denied.value.reason is Reason.NOT_AUTHOR
    assert await desk.notes.get(ADA, note.id) == note
    changed = await desk.notes.update(ADMIN, "r-3", note.id, "by the admin")
    assert (changed.text, changed.author, changed.created_at) == (
        "by the admin", "ada", note.created_at,
    )  # fmt: skip
    await desk.notes.delete(ADMIN, "r-4", note.id)
    with pytest.raises(NotFound):
        await desk.notes.get(ADA, note.id)


async def test_an_etag_changes_with_each_change_and_guards_the_next(desk: NotesOnFakes) -> None:
    note = await desk.write()
    desk.clock.advance(seconds=3)
    second = await desk.notes.update(ADA, "r-1", note.id, "two", etag=note.etag)
    assert second.updated_at - second.created_at == dt.timedelta(seconds=3)
    third = await desk.notes.update(ADA, "r-2", note.id, "three")
    assert len({note.etag, second.etag, third.etag}) == 3
    for call in (
        desk.notes.update(ADA, "r-3", note.id, "late", etag=second.etag),
        desk.notes.delete(ADA, "r-4", note.id, etag="nonsense"),
    ):
        with pytest.raises(Conflict) as conflict:
            await call
        assert conflict.value.reason is Reason.ETAG_MISMATCH
    assert await desk.notes.get(ADA, note.id) == third
    await desk.notes.delete(ADA, "r-5", note.id, etag=third.etag)


async def test_a_refusal_is_told_again_and_leaves_nothing_open(desk: NotesOnFakes) -> None:
    note = await desk.write()
    for _ in range(2):
        with pytest.raises(Conflict) as conflict:
            await desk.notes.update(ADA, "r-1", note.id, "late", etag="old")
        assert conflict.value.reason is Reason.ETAG_MISMATCH
        with pytest.raises(PermissionDenied) as denied:
            await desk.notes.delete(BOB, "r-2", note.id)
        assert denied.value.reason is Reason.NOT_AUTHOR
        desk.notes = desk.process()
    assert {one.record.state for one in desk.log.records.values()} == {MutationState.DONE}


async def test_deleting_again_is_success_and_an_unknown_note_is_none(desk: NotesOnFakes) -> None:
    note = await desk.write()
    for request in ("r-1", "r-1", "r-2"):
        await desk.notes.delete(ADA, request, note.id, etag=note.etag)
    with pytest.raises(NotFound):
        await desk.notes.delete(ADA, "r-3", f"note_{'0' * 32}")
    with pytest.raises(NotFound):
        await desk.notes.update(ADA, "r-4", note.id, "back")


def failing_finish(desk: NotesOnFakes) -> None:
    """Let the process end after a change was made, before it could be written down as done."""

    async def pause(where: str) -> None:
        if where == "log.finish":
            raise store_down()

    desk.log.pause = pause


async def again(desk: NotesOnFakes) -> None:
    """Another process carries on what is open."""

    async def no_pause(where: str) -> None: ...

    desk.log.pause = no_pause
    desk.clock.advance(minutes=5)
    desk.notes = desk.process()
    await desk.mutations.recover()


async def test_a_creation_that_is_run_again_makes_one_note(desk: NotesOnFakes) -> None:
    failing_finish(desk)
    with pytest.raises((Unavailable, OutcomeUnknown)):
        await desk.notes.create(ADA, "r-1", "cus_1", "once")
    (made,) = desk.store.kept.values()
    await desk.customer("cus_1", deleted=True)  # what was looked at is no longer so
    await again(desk)
    assert await desk.notes.create(ADA, "r-1", "cus_1", "once") == made
    assert [*desk.store.kept.values()] == [made]


async def test_a_creation_that_is_run_again_brings_no_deleted_note_back(desk: NotesOnFakes) -> None:
    failing_finish(desk)
    with pytest.raises((Unavailable, OutcomeUnknown)):
        await desk.notes.create(ADA, "r-1", "cus_1", "once")
    ((_, id_),) = desk.store.kept
    await desk.store.replace(desk.store.kept["acme", id_].erased("x", NOON))
    await again(desk)
    assert await desk.texts() == []


async def test_a_change_that_is_run_again_recognises_its_own_result(desk: NotesOnFakes) -> None:
    note = await desk.write()
    failing_finish(desk)
    with pytest.raises((Unavailable, OutcomeUnknown)):
        await desk.notes.update(ADA, "r-1", note.id, "mine", etag=note.etag)
    stood = desk.store.kept["acme", note.id]
    assert stood.text == "mine"
    theirs = stood.edited("theirs", "another change", NOON)
    assert await desk.store.replace(theirs)
    await again(desk)
    # It neither fails for its etag, nor writes over what came after it.
    assert await desk.notes.update(ADA, "r-1", note.id, "mine", etag=note.etag) == theirs
    assert await desk.notes.get(ADA, note.id) == theirs


async def test_of_two_changes_at_once_neither_is_lost_unseen(desk: NotesOnFakes) -> None:
    note = await desk.write()
    overtaken = False

    async def overtake(where: str) -> None:
        nonlocal overtaken
        if where == "notes.replace" and not overtaken:
            overtaken = True
            present = desk.store.kept["acme", note.id]
            desk.store.kept["acme", note.id] = present.edited("theirs", "x", NOON)

    desk.store.pause = overtake
    with pytest.raises(Conflict) as conflict:
        await desk.notes.update(ADA, "r-1", note.id, "mine", etag=note.etag)
    assert conflict.value.reason is Reason.ETAG_MISMATCH
    overtaken = False
    assert (await desk.notes.update(ADA, "r-2", note.id, "mine")).revision == 4


async def test_lists_are_narrowed_and_paged(desk: NotesOnFakes) -> None:
    for number in range(5):
        await desk.write(f"{number}", by=(ADA, BOB)[number % 2], customer=f"cus_{number // 3 + 1}")
    assert await desk.texts() == ["4", "3", "2", "1", "0"]
    assert await desk.texts(ListNotes(customer="cus_1")) == ["2", "1", "0"]
    assert await desk.texts(ListNotes(author="bob")) == ["3", "1"]
    assert await desk.texts(ListNotes(customer="cus_1", author="bob")) == ["1"]
    start, end = (NOON + dt.timedelta(seconds=second) for second in (2, 4))
    assert await desk.texts(ListNotes(created_after=start, created_before=end)) == ["2", "1"]
    found, query = [], ListNotes(page_size=2)
    while True:
        page = await desk.notes.list(ADA, query)
        found.append([one.text for one in page.items])
        if not page.next_page_token:
            break
        query = replace(query, page_token=page.next_page_token)
    assert found == [["4", "3"], ["2", "1"], ["0"]]
    foreign = replace(query, author="bob")
    assert await violations(desk.notes.list(ADA, foreign)) == ["page_token"]


async def test_a_full_last_page_has_no_token(desk: NotesOnFakes) -> None:
    for number in range(2):
        await desk.write(f"{number}")
    assert (await desk.notes.list(ADA, ListNotes(page_size=2))).next_page_token == ""


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("x", True), ("x" * 10_000, True), ("🙂" * 10_000, True), ("a\n\tb", True), ("=1", True),
        ("", False), ("x" * 10_001, False), ("a\rb", False), ("a\x00", False), ("\x1b[31m", False),
        ("\x7f", False), ("\x85", False), (" \n\t\u3000", False), (" a ", True),
    ],
)  # fmt: skip
def test_texts(text: str, right: bool) -> None:
    assert is_note_text(text) is right


async def test_a_text_from_a_browser_has_its_lines(desk: NotesOnFakes) -> None:
    note = await desk.notes.create(ADA, "r-1", "cus_1", "first line\r\nsecond line\r\n")
    assert note.text == "first line\nsecond line\n"
    assert await desk.notes.create(ADA, "r-1", "cus_1", "first line\nsecond line\n") == note
    full = "\r\n" + "x" * 9_999
    assert (await desk.notes.update(ADA, "r-2", note.id, full)).text == f"\n{'x' * 9_999}"
    for blank in (" ", "\r\n \r\n"):
        assert await violations(desk.notes.create(ADA, "r-3", "cus_1", blank)) == ["text"]
        assert await violations(desk.notes.update(ADA, "r-4", note.id, blank)) == ["note.text"]


async def test_every_violation_at_once(desk: NotesOnFakes) -> None:
    notes = desk.notes
    assert await violations(notes.create(ADA, "", "no\tid", "")) == [
        "request_id", "customer", "text",
    ]  # fmt: skip
    assert await violations(notes.update(ADA, "", "cus_1", "\r", mask=["author"])) == [
        "request_id", "note.id", "update_mask", "note.text",
    ]  # fmt: skip
    wrong = f"note_{'0' * 32}"
    assert await violations(notes.update(ADA, "r", wrong, "")) == ["update_mask"]
    assert await violations(notes.update(ADA, "r", wrong, "", mask=["text"])) == ["note.text"]
    assert await violations(notes.update(ADA, "r", wrong, "x", mask=["*"])) == ["update_mask"]
    assert await violations(notes.delete(ADA, "", "x")) == ["request_id", "id"]
    assert await violations(notes.get(ADA, "../x")) == ["id"]
    bad = ListNotes(101, "", "\x85", "a" * 257, NOON, NOON)
    fields = ["page_size", "customer", "author", "created_before"]
    assert await violations(notes.list(ADA, bad)) == fields
    assert await violations(anext(notes.export(ADA, bad))) == fields
