"""Notes: what an account's people write down about its customers."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from itertools import chain
from typing import Final

from application.background.clock import Clock
from application.mirror.nouns import CUSTOMERS
from application.mirror.reader import MirrorReader
from application.mutations.mutations import Mutations, request_id_violations
from application.mutations.steps import Steps
from application.notes.commands import ListNotes, NewNote, NoteChange, NoteDeletion
from application.notes.ports import NoteFilter, NoteRepository
from application.requests.callers import Caller
from application.requests.exports import PART_CHARACTERS, Exports
from application.requests.paging import (
    DEFAULT_PAGE_SIZE,
    Page,
    PageTokens,
    Position,
    digest,
    page_size_violations,
)
from application.requests.spreadsheets import BYTE_ORDER_MARK, csv_text
from application.requests.violations import (
    CUSTOMER_ID,
    id_violations,
    mask_violations,
    optional_id_violations,
    refuse,
    span_violations,
    text_violations,
)
from domain.errors import Conflict, FieldViolation, NotFound, PermissionDenied, Reason
from domain.notes import NOTE_ID, TEXT_RULE, Note, as_note_text, is_note_text, note_id_for
from domain.periods import to_milliseconds

ADMIN_SCOPE: Final = "notes.admin"
"""Who has it may change and delete everybody's notes."""

CHANGEABLE: Final = ("text",)
"""The fields that an update mask may name."""

EXPORT_PAGE: Final = 100

COLUMNS: Final = ("id", "customer", "author", "create_time", "update_time", "text")

_TRIES: Final = 10
"""How often a change is tried that always somebody else forestalls."""

_MAX_AUTHOR_CHARACTERS: Final = 256


class Notes:
    """Writes, reads, changes, deletes and exports notes; only writing needs a Stripe connection.

    `violations` are those of reading the caller's input; they are refused with the rest.
    """

    def __init__(
        self,
        reader: MirrorReader,
        notes: NoteRepository,
        mutations: Mutations,
        page_tokens: PageTokens,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._notes = notes
        self._page_tokens = page_tokens
        self._clock = clock
        self._exports = Exports()
        self._create = mutations.method("NoteService.CreateNote", NewNote, Note, self._create_steps)
        self._update = mutations.method(
            "NoteService.UpdateNote", NoteChange, Note, self._update_steps, connected=False
        )
        self._delete = mutations.method(
            "NoteService.DeleteNote",
            NoteDeletion,
            NoteDeletion,
            self._delete_steps,
            connected=False,
        )

    async def create(self, caller: Caller, request_id: str, customer: str, text: str) -> Note:
        """Write a note about a customer of the account's connection. NotFound without one."""
        text = as_note_text(text)
        refuse(
            chain(
                request_id_violations(request_id),
                id_violations(customer, "customer", CUSTOMER_ID),
                _note_text_violations(text, "text"),
            )
        )
        return await self._create.run(caller, request_id, NewNote(customer, text, caller.subject))

    async def get(self, caller: Caller, note_id: str) -> Note:
        """One note. NotFound for one that is unknown, deleted or another account's."""
        refuse(_note_id_violations(note_id, "id"))
        return _live(await self._notes.get(caller.account, note_id), note_id)

    async def list(
        self, caller: Caller, query: ListNotes, violations: Sequence[FieldViolation] = ()
    ) -> Page[Note]:
        """A page of notes, newest first."""
        refuse(chain(violations, _list_violations(query)))
        where = _filter(query)
        scope = digest("notes", caller.account, where)
        place = self._page_tokens.read(query.page_token, scope)
        size = query.page_size or DEFAULT_PAGE_SIZE
        after = None if place is None else (int(place.value), place.id)
        # One more than asked for tells whether there is a next page.
        notes = await self._notes.list(caller.account, where, after=after, limit=size + 1)
        page = notes[:size]
        last = Position(*_place(page[-1])) if len(notes) > size else None
        return Page(page, self._page_tokens.write(scope, last))

    async def update(
        self, caller: Caller, request_id: str, note_id: str, text: str, *, etag: str = "",
        mask: Sequence[str] = (),
    ) -> Note:  # fmt: skip
        """Replace a note's text.

        Raises NotFound, PermissionDenied (NOT_AUTHOR), Conflict (ETAG_MISMATCH).
        """
        text = as_note_text(text)
        has_value = bool(text)
        masked = mask_violations(mask, CHANGEABLE, has_value=has_value, noun="note")
        refuse(
            chain(
                request_id_violations(request_id),
                _note_id_violations(note_id, "note.id"),
                masked,
                _note_text_violations(text, "note.text") if mask or has_value else (),
            )
        )
        change = NoteChange(note_id, text, etag, _editor(caller))
        return await self._update.run(caller, request_id, change)

    async def delete(
        self, caller: Caller, request_id: str, note_id: str, *, etag: str = ""
    ) -> None:
        """Delete a note; finding it deleted is success. Raises as `update` does."""
        refuse(chain(request_id_violations(request_id), _note_id_violations(note_id, "id")))
        deletion = NoteDeletion(note_id, etag, _editor(caller))
        await self._delete.run(caller, request_id, deletion)

    async def export(
        self, caller: Caller, query: ListNotes, violations: Sequence[FieldViolation] = ()
    ) -> AsyncGenerator[bytes, None]:
        """The notes that a list shows on all its pages, as parts of a CSV file. Close it.

        Holds one page and one part. RateLimited (OVERLOADED) where there are too many at once.
        """
        refuse(chain(violations, _list_violations(query)))
        with self._exports.running_for(caller.account):
            gathered = BYTE_ORDER_MARK + csv_text([COLUMNS])
            where, after = _filter(query), None
            while True:
                page = await self._notes.list(caller.account, where, after=after, limit=EXPORT_PAGE)
                for note in page:
                    gathered += csv_text([_row(note)])
                    if len(gathered) >= PART_CHARACTERS:
                        yield gathered.encode()
                        gathered = ""
                if len(page) < EXPORT_PAGE:
                    break
                after = _place(page[-1])
            if gathered:
                yield gathered.encode()

    async def _create_steps(self, steps: Steps, new: NewNote) -> Note:
        at = steps.started_at
        note = Note(
            note_id_for(steps.tag("note")), steps.account, steps.stripe_account, new.customer,
            new.author, new.text, at, at,
        )  # fmt: skip
        if await self._notes.get(steps.account, note.id) is None:
            await self._reader.get(CUSTOMERS, steps.stripe_account, new.customer)
            await self._notes.add(note)
        return note

    async def _update_steps(self, steps: Steps, change: NoteChange) -> Note:
        tag = steps.tag("update")
        for _ in range(_TRIES):
            note = _live(await self._notes.get(steps.account, change.id), change.id)
            if tag in note.changes:
                return note  # done in an earlier run, which did not live to say so
            _check(note, change)
            edited = note.edited(change.text, tag, self._clock.now())
            if await self._notes.replace(edited):
                return edited
        raise _too_busy()

    async def _delete_steps(self, steps: Steps, deletion: NoteDeletion) -> NoteDeletion:
        for _ in range(_TRIES):
            note = await self._notes.get(steps.account, deletion.id)
            if note is None:
                raise NotFound("note", deletion.id)
            if note.deleted:
                return deletion
            _check(note, deletion)
            if await self._notes.replace(note.erased(steps.tag("delete"), self._clock.now())):
                return deletion
        raise _too_busy()


def _editor(caller: Caller) -> str | None:
    return None if ADMIN_SCOPE in caller.scopes else caller.subject


def _check(note: Note, change: NoteChange | NoteDeletion) -> None:
    """Raise what a change of the note as it stands is refused with."""
    if change.editor not in (None, note.author):
        raise PermissionDenied(
            Reason.NOT_AUTHOR,
            f"only the note's author may do this, or a caller with the scope {ADMIN_SCOPE}",
            metadata={"resource": "note", "id": note.id},
        )
    if change.etag not in ("", note.etag):
        raise Conflict(
            Reason.ETAG_MISMATCH,
            "somebody changed the note since; read it again",
            metadata={"resource": "note", "id": note.id},
        )


def _live(note: Note | None, note_id: str) -> Note:
    if note is None or note.deleted:
        raise NotFound("note", note_id)
    return note


def _too_busy() -> Conflict:
    return Conflict(Reason.REQUEST_IN_FLIGHT, "other calls keep changing the note; call again")


def _filter(query: ListNotes) -> NoteFilter:
    return NoteFilter(
        query.customer or None, query.author or None, query.created_after, query.created_before
    )


def _place(note: Note) -> tuple[int, str]:
    return to_milliseconds(note.created_at), note.id


def _row(note: Note) -> Sequence[str]:
    times = (note.created_at, note.updated_at)
    return (
        note.id, note.customer, note.author,
        *(at.isoformat(timespec="milliseconds").replace("+00:00", "Z") for at in times),
        note.text,
    )  # fmt: skip


def _list_violations(query: ListNotes) -> Iterator[FieldViolation]:
    yield from page_size_violations(query.page_size)
    yield from optional_id_violations(query.customer, "customer", CUSTOMER_ID)
    yield from text_violations(query.author, "author", _MAX_AUTHOR_CHARACTERS)
    yield from span_violations(query.created_after, query.created_before)


def _note_id_violations(note_id: str, field: str) -> Iterator[FieldViolation]:
    if not NOTE_ID.fullmatch(note_id):
        yield FieldViolation(field, "the id of a note, as CreateNote gave it")


def _note_text_violations(text: str, field: str) -> Iterator[FieldViolation]:
    if not is_note_text(text):
        yield FieldViolation(field, TEXT_RULE)
