"""Where an account's notes are kept."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from domain.notes import Note

MAX_NOTES: Final = 1_000
"""How many notes one call lists at most."""


@dataclass(frozen=True, slots=True)
class NoteFilter:
    """What a list is narrowed to; all conditions hold at once, None is no condition.

    `created_from` is inclusive, `created_to` exclusive.
    """

    customer: str | None = None
    author: str | None = None
    created_from: dt.datetime | None = None
    created_to: dt.datetime | None = None


class NoteRepository(Protocol):
    """Keeps the notes of accounts.

    The boundary is here because they are ours alone: nothing at Stripe knows of them. Every method
    raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def add(self, note: Note) -> None:
        """Keep a new note, durably. One of its id that is there, deleted or not, stays."""
        ...

    async def get(self, account: str, note_id: str) -> Note | None:
        """A note, deleted ones too; None for one that the account never had."""
        ...

    async def replace(self, note: Note) -> bool:
        """Put a note in the place of its revision before, atomically and durably.

        False, and nothing written, where that is not the one that stands.
        """
        ...

    async def list(
        self, account: str, where: NoteFilter, *, after: tuple[int, str] | None, limit: int
    ) -> Sequence[Note]:
        """Notes that match, newest first, by id among those of one instant; no deleted ones.

        From after a place (`created_at` in milliseconds, id), at most `limit` (1 to MAX_NOTES). A
        note that was there all the while is listed exactly once over the pages.
        """
        ...
