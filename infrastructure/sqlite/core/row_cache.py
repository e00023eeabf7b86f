"""Rows that were read lately: they spare a reader thread, and the hand-over to it and back.

All of a process's writes of what is remembered pass here, and only one process has a SQLite file
open for writing its mirror, so a remembered row is never older than the file. It belongs to the
event loop.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Generic, TypeVar

MAX_ROWS: Final = 10_000

Key = tuple[str, str, str]
"""What a row is found by: of the mirror the noun's name, the Stripe account and the id."""

R = TypeVar("R")
V = TypeVar("V")


class RowCache(Generic[V]):
    """The rows read last, at most MAX_ROWS; none whose key is being written."""

    def __init__(self) -> None:
        self._rows: OrderedDict[Key, V] = OrderedDict()
        self._writing: Counter[Key] = Counter()
        self._written = 0

    @property
    def moment(self) -> int:
        """What `keep` wants to know of before the row was read."""
        return self._written

    def get(self, key: Key) -> V | None:
        """The row of a key, if it is remembered."""
        row = self._rows.get(key)
        if row is not None:
            self._rows.move_to_end(key)
        return row

    def keep(self, key: Key, row: V, moment: int) -> None:
        """Remember a row that was read since `moment`, unless something was written since then."""
        if moment != self._written or key in self._writing:
            return
        self._rows[key] = row
        if len(self._rows) > MAX_ROWS:
            self._rows.popitem(last=False)

    async def write(self, keys: Iterable[Key], write: Awaitable[R]) -> R:
        """Write, with the rows forgotten until it has ended, whoever still waits for it."""
        ended = self.writing(keys)
        task = asyncio.ensure_future(write)
        task.add_done_callback(lambda _: ended())
        return await asyncio.shield(task)

    def writing(self, keys: Iterable[Key]) -> Callable[[], None]:
        """Forget the keys and remember none of them until the returned function is called.

        Call it once the write has ended, well or not: a failed one may have been done.
        """
        touched = list(keys)
        self._forget(touched)
        self._writing.update(touched)

        def ended() -> None:
            self._writing.subtract(touched)
            self._writing += Counter()  # drops what is no longer written
            self._forget(touched)

        return ended

    def _forget(self, keys: Iterable[Key]) -> None:
        self._written += 1
        for key in keys:
            self._rows.pop(key, None)
