"""The marks of days in MongoDB: raised before the row, by the server's own clock."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from pymongo import UpdateOne

from application.analytics.remembered_port import SETTLED
from domain.errors import Reason, Unavailable
from infrastructure.day_marks import Marked
from infrastructure.mongo.core.collection import Document
from infrastructure.mongo.core.database import Database

MARKS: Final = "billing.day_marks"

Moment = Callable[[], float]
"""Seconds of a clock that never goes back."""

SHARED_SECONDS: Final = 10.0
"""So long after a mark was raised further rows are written under it: a stream of events raises the
mark of its day every ten seconds, and not with each."""

_LANDED_SECONDS: Final = SETTLED.total_seconds() / 2
"""A row whose write took longer than this, from the mark on, may have been missed by a reader."""

_MOST_KNOWN: Final = 10_000
_ATTEMPTS: Final = 5


class DayMarks:
    """The marks that this process raises."""

    def __init__(self, database: Database, moment: Moment = time.monotonic) -> None:
        self._database = database
        self._moment = moment
        self._raised: dict[Marked, float] = {}
        self._owed: set[Marked] = set()

    @asynccontextmanager
    async def raised(self, marks: Sequence[Marked]) -> AsyncIterator[None]:
        """Raises the marks; the rows are to be written inside.

        Where that took long they are raised again behind it, and with the next ones where it fails:
        then it is not known whether, and when, the rows were written.
        """
        since = await self._raise({*marks}) if marks else self._moment()
        try:
            yield
        except BaseException:
            self._owed.update(marks)
            raise
        if marks and self._moment() - since > _LANDED_SECONDS:
            self._owed.update(marks)
            await self._raise({*marks})

    async def _raise(self, marks: set[Marked]) -> float:
        """Raise those that were not raised lately; the time when the first of all was."""
        now = self._moment()
        known = {mark: self._raised[mark] for mark in marks - self._owed if self._holds(mark, now)}
        wanted = (marks | self._owed) - known.keys()
        owed, self._owed = self._owed, set()
        try:
            if wanted:
                await self._write(sorted(wanted))
        except BaseException:
            self._owed |= owed
            raise
        if len(self._raised) + len(wanted) > _MOST_KNOWN:
            self._raised.clear()
        self._raised.update(dict.fromkeys(wanted, now))
        return min((now, *known.values()))

    def _holds(self, mark: Marked, now: float) -> bool:
        """Whether it was raised so lately that a row may be written under it."""
        return mark in self._raised and now - self._raised[mark] < SHARED_SECONDS

    async def _write(self, marks: Sequence[Marked]) -> None:
        left = list(marks)
        for _ in range(_ATTEMPTS):
            _, refused = await self._database.collection(MARKS).write([_raising(m) for m in left])
            left = [left[place] for place in sorted(refused)]  # made by another at the same time
            if not left:
                return
        raise Unavailable(Reason.STORE_UNAVAILABLE, "the store refuses the marks of days")


def mark_id(mark: Marked) -> Document:
    """The `_id` of a mark: in this order its range of days is one of the index."""
    stripe_account, noun, day = mark
    return {"stripe_account": stripe_account, "noun": noun, "day": day}


def _raising(mark: Marked) -> UpdateOne:
    return UpdateOne(
        {"_id": mark_id(mark)},
        {"$inc": {"number": 1}, "$currentDate": {"raised_at": True}},
        upsert=True,
    )
