"""What callers ask of notes."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListNotes:
    """A page of the notes; times bound `created_at`, from inclusive to exclusive."""

    page_size: int = 0
    page_token: str = ""
    customer: str = ""
    author: str = ""
    created_after: dt.datetime | None = None
    created_before: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class NewNote:
    """A note to be written."""

    customer: str
    text: str
    author: str


@dataclass(frozen=True, slots=True)
class NoteChange:
    """Another text for a note. Empty `etag`: whatever it has. `editor` None: who may change all."""

    id: str
    text: str
    etag: str
    editor: str | None


@dataclass(frozen=True, slots=True)
class NoteDeletion:
    """The deletion of a note; fields as those of NoteChange."""

    id: str
    etag: str
    editor: str | None
