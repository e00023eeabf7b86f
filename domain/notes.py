"""Notes: what an account's people write down about its customers."""

import datetime as dt
import hashlib
import re
from dataclasses import dataclass, replace
from typing import Final

MAX_TEXT_CHARACTERS: Final = 10_000
TEXT_RULE: Final = (
    f"1 to {MAX_TEXT_CHARACTERS:,} characters, not all of them blank, "
    "no control characters but newline and tab"
)
NOTE_ID: Final = re.compile(r"note_[0-9a-f]{32}")

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_REMEMBERED: Final = 10
"""How many of its last changes a note knows by name."""


@dataclass(frozen=True, slots=True)
class Note:
    """A note on a customer, who is one of `stripe_account`.

    `revision` grows by one with each change. `changes` are the names of the last ones, so that a
    change that is made again recognises its own result. A deleted note stays without its text, so
    that what created it cannot bring it back.
    """

    id: str
    account: str
    stripe_account: str
    customer: str
    author: str
    text: str
    created_at: dt.datetime
    updated_at: dt.datetime
    revision: int = 1
    changes: tuple[str, ...] = ()
    deleted: bool = False

    def __post_init__(self) -> None:
        if not (self.id and self.account and self.customer):
            raise ValueError("id, account, customer: must not be empty")

    @property
    def etag(self) -> str:
        """Another one for each revision of each note."""
        return hashlib.sha256(f"{self.id}/{self.revision}".encode()).hexdigest()[:16]

    def edited(self, text: str, change: str, now: dt.datetime) -> "Note":
        """The next revision, with another text."""
        return replace(self._next(change, now), text=text)

    def erased(self, change: str, now: dt.datetime) -> "Note":
        """The next revision, deleted."""
        return replace(self._next(change, now), text="", deleted=True)

    def _next(self, change: str, now: dt.datetime) -> "Note":
        changes = (*self.changes, change)[-_REMEMBERED:]
        return replace(self, updated_at=now, revision=self.revision + 1, changes=changes)


def note_id_for(tag: str) -> str:
    """The id of the note that a mutation makes, from at least 32 hexadecimal digits of its own."""
    return f"note_{tag[:32]}"


def as_note_text(text: str) -> str:
    """A text as a note keeps it: the CR LF of a browser's text area is a newline."""
    return text.replace("\r\n", "\n")


def is_note_text(text: str) -> bool:
    """Whether it obeys TEXT_RULE."""
    fits = len(text) <= MAX_TEXT_CHARACTERS and not _CONTROL.search(text)
    return fits and bool(text.strip())
