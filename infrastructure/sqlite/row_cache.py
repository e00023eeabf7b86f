"""Rows that were read lately: they spare a reader thread, and the hand-over to it and back.

Only one process has a SQLite file open for writing its mirror, and all its writes pass here, so a
remembered row is never older than the file. It belongs to the event loop: no method waits.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final

from domain.mirror import Row

MAX_ROWS: Final = 10_000

Key = tuple[str, str, str]
"""The noun's name, the Stripe account, the id."""


class RowCache:
    """The rows read last, at most MAX_ROWS; none whose key is being written."""

    def __init__(self) -> None:
        self._rows: OrderedDict[Key, Row[Any]] = OrderedDict()
        self._writing: Counter[Key] = Counter()
        self._written = 0

    @property
    def moment(self) -> int:
        """What `keep` wants to know of before the row was read."""
        return self._written

    def get(self, key: Key) -> Row[Any] | None:
        """The row of a key, if it is remembered."""
        row = self._rows.get(key)
        if row is not None:
            self._rows.move_to_end(key)
        return row

    def keep(self, key: Key, row: Row[Any], moment: int) -> None:
        """Remember a row that was read since `moment`, unless something was written since then."""
        if moment != self._written or key in self._writing:
            return
        self._rows[key] = row
        if len(self._rows) > MAX_ROWS:
            self._rows.popitem(last=False)

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
