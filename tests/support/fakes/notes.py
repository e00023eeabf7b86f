"""An in-memory fake of the notes' port, as in `tests/support/fakes/stores.py`."""

from collections.abc import Sequence

from typing_extensions import override

from application.notes.ports import NoteFilter, NoteRepository
from domain.notes import Note
from domain.periods import to_milliseconds
from tests.support.fakes.stores import Fake, Pause, no_pause


class FakeNotes(Fake, NoteRepository):
    """Notes in a dictionary. `listed` are the lists that were asked for: account and limit."""

    def __init__(self, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.kept: dict[tuple[str, str], Note] = {}
        self.listed: list[tuple[str, int]] = []

    @override
    async def add(self, note: Note) -> None:
        async with self._step("notes.add"):
            self.kept.setdefault((note.account, note.id), note)

    @override
    async def get(self, account: str, note_id: str) -> Note | None:
        async with self._step("notes.get"):
            return self.kept.get((account, note_id))

    @override
    async def replace(self, note: Note) -> bool:
        key = (note.account, note.id)
        async with self._step("notes.replace"):
            if key not in self.kept or self.kept[key].revision != note.revision - 1:
                return False
            self.kept[key] = note
        return True

    @override
    async def list(
        self, account: str, where: NoteFilter, *, after: tuple[int, str] | None, limit: int
    ) -> Sequence[Note]:
        self.listed.append((account, limit))
        async with self._step("notes.list"):
            own = [one for one in self.kept.values() if one.account == account and not one.deleted]
        found = sorted(
            ((to_milliseconds(one.created_at), one.id) for one in own if _matches(one, where)),
            reverse=True,
        )
        places = [place for place in found if after is None or place < after]
        return [self.kept[account, id_] for _, id_ in places[:limit]]


def _matches(note: Note, where: NoteFilter) -> bool:
    start, end = where.created_from, where.created_to
    return (
        where.customer in (None, note.customer)
        and where.author in (None, note.author)
        and (start is None or note.created_at >= start)
        and (end is None or note.created_at < end)
    )
