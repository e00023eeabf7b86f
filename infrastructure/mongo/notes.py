"""The notes port: one document a note."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from typing_extensions import override

from application.notes.ports import MAX_NOTES, NoteFilter, NoteRepository
from domain.notes import Note
from domain.periods import from_milliseconds
from infrastructure.documents import to_builtins
from infrastructure.mongo.core.collection import (
    DESCENDING,
    Collection,
    Document,
    Duplicate,
    Indexes,
    index,
)
from infrastructure.mongo.core.database import Database

_NOTES: Final = "billing.notes"


def _by_time(*narrowed: str) -> str:
    """The name of the index of notes that are narrowed by these fields."""
    return "_".join(("account", *narrowed, "created_at"))


INDEXES: Final[Indexes] = {
    _NOTES: [
        index(
            *("account", *narrowed, "created_at", "_id"),
            name=_by_time(*narrowed),
            partialFilterExpression={"deleted": False},
        )
        for narrowed in ((), ("customer",), ("author",), ("customer", "author"))
    ],
}

_NEWEST_FIRST: Final = [("created_at", DESCENDING), ("_id", DESCENDING)]


class MongoNotes(NoteRepository):
    """NoteRepository on MongoDB. `_id` is the note's id, which is never another account's too."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def add(self, note: Note) -> None:
        try:
            await self._notes.insert_one(_document(note))
        except Duplicate:
            return  # it is there, and stays as it is

    @override
    async def get(self, account: str, note_id: str) -> Note | None:
        found = await self._notes.find_one({"_id": note_id, "account": account})
        return None if found is None else _note(found)

    @override
    async def replace(self, note: Note) -> bool:
        seen = {"_id": note.id, "account": note.account, "revision": note.revision - 1}
        return await self._notes.update_one(seen, {"$set": _document(note)})

    @override
    async def list(
        self, account: str, where: NoteFilter, *, after: tuple[int, str] | None, limit: int
    ) -> Sequence[Note]:
        if not 1 <= limit <= MAX_NOTES:
            raise ValueError(f"limit: 1 to {MAX_NOTES}")
        narrowed = {
            name: value
            for name in ("customer", "author")
            if (value := getattr(where, name)) is not None
        }
        own = {"account": account, "deleted": False, **narrowed}
        branches = [{**own, **place} for place in _places(where, after)]
        found = await self._notes.find(
            branches[0] if len(branches) == 1 else {"$or": branches},
            sort=_NEWEST_FIRST,
            limit=limit,
            hint=_by_time(*narrowed),
        )
        return [_note(document) for document in found]

    @property
    def _notes(self) -> Collection:
        return self._database.collection(_NOTES)


def _places(where: NoteFilter, after: tuple[int, str] | None) -> Sequence[Document]:
    """The stretches of time to be read, each one range of the index."""
    within: dict[str, Any] = {}
    if where.created_from is not None:
        within["$gte"] = where.created_from
    if where.created_to is not None:
        within["$lt"] = where.created_to
    if after is None:
        return [{"created_at": within}] if within else [{}]
    at = from_milliseconds(after[0])
    return [
        {"created_at": {**within, "$lt": at}},
        {"created_at": at, "_id": {"$lt": after[1]}},
    ]


def _document(note: Note) -> Document:
    document: Document = to_builtins(note)
    document["_id"] = document.pop("id")
    return document


def _note(document: Document) -> Note:
    return msgspec.convert({**document, "id": document["_id"]}, Note)
