"""Figures of the ledger as they were known, and what was restated of them.

The store answers a figure from the rows as they are. The rows that have changed since are few: what
they count now is taken away, and what they counted then is put in its place.
"""

import datetime as dt
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from application.analytics.metrics import Metric
from application.analytics.ports import Analytics, Cell, FigureRow, folded
from application.mirror.ports import MAX_CHANGES, Change, ChangePlace, Changes, Noun
from application.requests.paging import Scalar
from domain.balance_transactions import PENDING
from domain.errors import RateLimited, Reason
from domain.mirror import AHEAD_MS
from domain.periods import to_milliseconds

_ROUNDS: Final = 5
"""How often a figure is read again because a row changed meanwhile."""

Values = Mapping[str, Scalar | None]


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """A row that has changed: its kept columns as they were known `then`, and as they are `now`.

    None where it counts (or counted) nowhere.
    """

    then: Values | None
    now: Values | None


class Ledger:
    """Answers metrics over the nouns whose changes are kept."""

    def __init__(self, analytics: Analytics, changes: Changes) -> None:
        self._analytics = analytics
        self._changes = changes

    async def figures(
        self,
        metric: Metric,
        stripe_account: str,
        edges: Sequence[dt.datetime],
        currency: str | None = None,
        *,
        as_of: dt.datetime | None = None,
    ) -> Sequence[FigureRow]:
        """As `Analytics.figures`; with `as_of` as they were known at that instant of our clock.

        ValueError for `as_of` where the metric reads what its noun does not keep. Raises
        RateLimited (OVERLOADED) where rows keep changing while they are read.
        """
        if as_of is None:
            return await self._analytics.figures(metric, stripe_account, edges, currency)
        if not metric.is_kept:
            raise ValueError(f"{metric.name}: its noun does not keep all that it reads")
        changed = await self.changed_since(metric.noun, stripe_account, as_of)
        for _ in range(_ROUNDS):
            rows = await self._analytics.figures(
                metric, stripe_account, edges, currency, known_by=as_of
            )
            known, changed = changed, await self.changed_since(metric.noun, stripe_account, as_of)
            if known == changed:
                break
        else:
            message = f"{metric.name}: rows keep changing while they are read"
            raise RateLimited(Reason.OVERLOADED, message, retry_after_seconds=1)
        then = _cells(metric, edges, currency, ((row.then, 1) for row in changed.values()))
        now = _cells(metric, edges, currency, ((row.now, -1) for row in changed.values()))
        return _put_together(metric, rows, [*then, *now])

    async def restated(
        self,
        metric: Metric,
        stripe_account: str,
        edges: Sequence[dt.datetime],
        currency: str | None = None,
        *,
        as_of: dt.datetime | None = None,
    ) -> Sequence[FigureRow]:
        """By how much restatements have changed each bucket's figure; `count` is how many did.

        One that moved a row from a group to another counts in the latter alone. A row whose sums
        are zero was restated back and forth.
        """
        cells = list[Cell]()
        counted = list[Cell]()
        async for change in self._known_since(metric.noun, stripe_account, edges[0], as_of):
            sides = [(change.after, 1), (change.before, -1)]
            both = list(_cells(metric, edges, currency, sides))
            cells += both
            # A change within a bucket is one restatement, from one to another one of each.
            for place in {cell[:2]: cell[:3] for cell in reversed(both)}.values():
                counted.append((*place, dict.fromkeys(metric.columns, 0), 1))
        bare = [(*cell[:3], cell[3], 0) for cell in cells]
        return folded(metric, [*bare, *counted])

    async def pending(
        self,
        metric: Metric,
        stripe_account: str,
        edges: Sequence[dt.datetime],
        currency: str | None = None,
    ) -> Sequence[FigureRow]:
        """How much of a figure is of rows that Stripe has not made available: it may change still.

        ValueError where the metric's index has no `status`.
        """
        of_pending = replace(metric, where={**metric.where, "status": (PENDING,)})
        return await self._analytics.figures(of_pending, stripe_account, edges, currency)

    async def changed_since(
        self, noun: Noun[Any], stripe_account: str, as_of: dt.datetime
    ) -> Mapping[str, ChangedRow]:
        """The rows that were known at an instant and have changed since, by id."""
        known_by = to_milliseconds(as_of)
        rows = dict[str, ChangedRow]()
        async for change in self._since(noun, stripe_account, (known_by + 1, "", 0)):
            if change.first_known_at <= known_by:
                first = rows.get(change.id)
                then = change.before if first is None else first.then
                rows[change.id] = ChangedRow(then, change.after)
        return rows

    async def _known_since(
        self,
        noun: Noun[Any],
        stripe_account: str,
        start: dt.datetime,
        as_of: dt.datetime | None,
    ) -> AsyncIterator[Change]:
        """The restatements that may be of a time from `start` on: they were known after it."""
        since = max(0, to_milliseconds(start) - AHEAD_MS)
        until = None if as_of is None else to_milliseconds(as_of)
        async for change in self._since(noun, stripe_account, (since, "", 0)):
            if until is not None and change.known_at > until:
                return
            if change.restates:
                yield change

    async def _since(
        self, noun: Noun[Any], stripe_account: str, place: ChangePlace
    ) -> AsyncIterator[Change]:
        while True:
            page = await self._changes.since(noun, stripe_account, after=place, limit=MAX_CHANGES)
            for change in page:
                yield change
            if len(page) < MAX_CHANGES:
                return
            place = page[-1].place


def _cells(
    metric: Metric,
    edges: Sequence[dt.datetime],
    currency: str | None,
    rows: Iterable[tuple[Values | None, int]],
) -> Iterator[Cell]:
    """What rows count to the metric, each times a sign."""
    bounds = [to_milliseconds(edge) for edge in edges]
    for values, sign in rows:
        if values is None or not metric.counts(values, currency):
            continue
        date = values[metric.date]
        if not isinstance(date, int) or not bounds[0] <= date < bounds[-1]:
            continue
        sums = {name: sign * int(values.get(name) or 0) for name in metric.columns}
        group = tuple(values.get(name) for name in metric.by)
        bucket = bisect_right(bounds, date) - 1
        yield bucket, str(values[metric.currency]), group, sums, sign


def _put_together(
    metric: Metric, rows: Sequence[FigureRow], cells: Sequence[Cell]
) -> Sequence[FigureRow]:
    """The rows, with what cells add; what counts nothing any more is no row."""
    if not cells:
        return rows
    totals = {(row.bucket, row.currency, row.group): row for row in rows}
    for more in folded(metric, cells):
        place = (more.bucket, more.currency, more.group)
        row = totals.get(place) or FigureRow(*place, (0,) * len(metric.sums), 0)
        sums = tuple(one + other for one, other in zip(row.sums, more.sums, strict=True))
        totals[place] = FigureRow(*place, sums, row.count + more.count)
    return [row for row in totals.values() if row.count]
