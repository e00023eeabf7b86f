"""Tying to the bank: each day's opening, what moved it, its closing, and whether anchors agree."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final, Protocol

from application.analytics.metrics import NET_VOLUME
from application.analytics.ports import Analytics, FigureRow
from application.analytics.questions import Question, checked
from application.analytics.trust import Trust, TrustAnswers
from application.connections.use_cases import Connections
from application.mirror.nouns import BALANCE_TRANSACTIONS
from application.mirror.ports import Filter, Mirror
from application.requests.callers import Caller
from domain.balance_transactions import PAYMENTS
from domain.errors import FieldViolation
from domain.periods import Period, from_milliseconds, to_milliseconds
from domain.reporting_categories import APART, NetPart
from domain.tie_out import (
    Anchor,
    Judgement,
    Neighbours,
    Origins,
    Placed,
    follow,
    judge,
    moved,
    neighbours,
    origins,
)

MAX_DAYS: Final = dt.timedelta(days=400)
"""How long a period may be: an answer holds up to two anchors for each day and currency."""

RUN_UP: Final = 3
"""How many anchors before a time are asked what the nearest one may have been."""

MAX_WITHIN: Final = 500
"""An anchor in whose interval more rows were made says nothing, and is passed over."""


class Anchors(Protocol):
    """Tells what is known of balances apart from the rows. `upkeep` answers.

    Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def around(self, stripe_account: str, start_ms: int, end_ms: int) -> Sequence[Anchor]:
        """In order, all that begin from an instant to another, both included, and those beside.

        Before come the last RUN_UP, and BEGINNING where there is no reading and history is fully
        imported; behind comes the next one. Only those that all rows were read past.
        """
        ...

    async def after(
        self, stripe_account: str, start_ms: int | None, *, limit: int
    ) -> Sequence[Anchor]:
        """The first that begin after an instant, at most `limit` (1 to 1,000), as `around` says.

        None: from BEGINNING on, where history is fully imported.
        """
        ...


@dataclass(frozen=True, slots=True)
class TieOutDay:
    """A day in one currency, in minor units: opening + parts = closing.

    `parts` are by their place in net volume, those that are shown apart too; opening is None where
    no anchor tells it. `sides` are the nearest anchors.
    """

    start: dt.datetime
    end: dt.datetime
    opening: int | None
    parts: Mapping[NetPart, int]
    judgement: Judgement
    sides: Neighbours

    @property
    def net(self) -> int:
        """Net volume."""
        return sum(amount for part, amount in self.parts.items() if part not in APART)

    @property
    def closing(self) -> int | None:
        """What opening and all that moved it make."""
        return None if self.opening is None else self.opening + sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class CurrencyTieOut:
    """The days of a period in one currency, in order."""

    currency: str
    days: Sequence[TieOutDay]


@dataclass(frozen=True, slots=True)
class TieOut:
    """A period, and its settlement currencies in order of their codes."""

    period: Period
    trust: Trust
    currencies: Sequence[CurrencyTieOut]


class TieOuts:
    """Holds each day of an account against what Stripe has told of its balance.

    `analytics` should be one that remembers nothing: what is asked between anchors is asked once.
    """

    def __init__(
        self,
        analytics: Analytics,
        mirror: Mirror,
        anchors: Anchors,
        connections: Connections,
        trust: TrustAnswers,
    ) -> None:
        self._analytics = analytics
        self._mirror = mirror
        self._anchors = anchors
        self._connections = connections
        self._trust = trust

    async def of(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> TieOut:
        """The days of a period, in its zone. Raises as every question does."""
        period, edges = checked(question, [*violations, *_too_long(question)])
        stripe_account = (await self._connections.of(caller)).stripe_account
        trust = await self._trust.of(stripe_account, period.time_zone)
        days = await self.between(stripe_account, edges, question.currency)
        return TieOut(period, trust, days)

    async def between(
        self, stripe_account: str, edges: Sequence[dt.datetime], currency: str = ""
    ) -> Sequence[CurrencyTieOut]:
        """The times between edges, in each currency, or in one.

        Read by a covering index from the nearest anchor before to the nearest one behind: the cost
        follows the period, not the history.
        """
        bounds = [to_milliseconds(edge) for edge in edges]
        anchors = await self._anchors.around(stripe_account, bounds[0], bounds[-1])
        sides = neighbours(anchors, bounds)
        used = _used(anchors, sides, bounds[0])
        cuts = sorted({*bounds, *(cut for each in used for cut in (each.low_ms, each.high_ms))})
        rows = await self._analytics.figures(
            NET_VOLUME, stripe_account, [*map(from_milliseconds, cuts)], currency or None
        )
        sums = RunningSums(cuts, rows)
        within = await self._within(stripe_account, used, sums)
        codes = {currency} if currency else sums.currencies.union(*(each.totals for each in used))
        return [
            CurrencyTieOut(code, _days(edges, sides, sums, _chain(used, sums, within, code), code))
            for code in sorted(codes)
        ]

    async def _within(
        self, stripe_account: str, used: Sequence[Anchor], sums: "RunningSums"
    ) -> Mapping[Anchor, Mapping[str, Sequence[Sequence[int]]]]:
        """The nets of each second of the anchors in whose interval something moved, by currency."""
        seconds = {}
        for anchor in used:
            if 0 < sums.count(anchor) <= MAX_WITHIN:
                seconds[anchor] = await self._seconds(stripe_account, anchor)
        return seconds

    async def _seconds(
        self, stripe_account: str, anchor: Anchor
    ) -> Mapping[str, Sequence[Sequence[int]]]:
        groups = await self._mirror.group(
            BALANCE_TRANSACTIONS,
            stripe_account,
            Filter(
                {"balance_type": PAYMENTS},
                ranges={"created": (anchor.low_ms, anchor.high_ms)},
            ),
            by=("created", "currency", "net"),
        )
        nets: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for group in groups:
            created, currency, net = group.values
            nets[str(currency)][int(created or 0)] += [int(net or 0)] * group.count
        return {
            code: [of_second[created] for created in sorted(of_second)]
            for code, of_second in nets.items()
        }


class RunningSums:
    """Sums of the ledger's rows from the first of some instants to each of the others."""

    def __init__(self, cuts: Sequence[int], rows: Sequence[FigureRow]) -> None:
        """`rows` are figures of NET_VOLUME between the cuts, in milliseconds."""
        self._place = {cut: number for number, cut in enumerate(cuts)}
        nets: dict[str, Counter[int]] = defaultdict(Counter)
        counts: Counter[int] = Counter()
        self._rows: dict[str, dict[int, list[FigureRow]]] = defaultdict(lambda: defaultdict(list))
        for row in rows:
            nets[row.currency][row.bucket] += row.sums[0] - row.sums[1]
            counts[row.bucket] += row.count
            self._rows[row.currency][row.bucket].append(row)
        size = range(len(cuts) - 1)
        self._sums = {
            code: [*accumulate((of_code[number] for number in size), initial=0)]
            for code, of_code in nets.items()
        }
        self._counts = [*accumulate((counts[number] for number in size), initial=0)]

    @property
    def currencies(self) -> set[str]:
        """All that occur."""
        return {*self._sums}

    def until(self, cut: int, currency: str) -> int:
        """The net of all rows before a cut, in minor units."""
        sums = self._sums.get(currency)
        return 0 if sums is None else sums[self._place[cut]]

    def count(self, anchor: Anchor) -> int:
        """How many rows were made within an anchor's interval."""
        low, high = (self._place[cut] for cut in (anchor.low_ms, anchor.high_ms))
        return self._counts[high] - self._counts[low]

    def parts(self, start: int, end: int, currency: str) -> Mapping[NetPart, int]:
        """What the rows between two cuts are, by their place in net volume."""
        buckets = self._rows.get(currency, {})
        return moved(
            (row.group[0], row.sums[0], row.sums[1])
            for number in range(self._place[start], self._place[end])
            for row in buckets.get(number, ())
        )


def _used(
    anchors: Sequence[Anchor], sides: Sequence[Neighbours], start_ms: int
) -> Sequence[Anchor]:
    """The anchors that something is judged by, each once, in order; and what leads up to them."""
    wanted = {id(each) for side in sides for each in (side.left, side.right)}
    return [each for each in anchors if each.start_ms < start_ms or id(each) in wanted]


def _chain(
    used: Sequence[Anchor],
    sums: RunningSums,
    within: Mapping[Anchor, Mapping[str, Sequence[Sequence[int]]]],
    currency: str,
) -> Mapping[Anchor, Placed]:
    """Each anchor, and what it says of the balance at the first cut."""
    chain: dict[Anchor, Placed] = {}
    last = None
    for anchor in used:
        if sums.count(anchor) and anchor not in within:
            continue
        says: Origins = origins(
            anchor.total(currency),
            sums.until(anchor.low_ms, currency),
            within.get(anchor, {}).get(currency, ()),
        )
        chain[anchor] = last = follow(last, anchor, says)
    return chain


def _days(
    edges: Sequence[dt.datetime],
    sides: Sequence[Neighbours],
    sums: RunningSums,
    chain: Mapping[Anchor, Placed],
    currency: str,
) -> Sequence[TieOutDay]:
    days = []
    for (start, end), side in zip(pairwise(edges), sides, strict=True):
        left, right = (None if each is None else chain.get(each) for each in _both(side))
        judgement = judge(left, right)
        low, high = to_milliseconds(start), to_milliseconds(end)
        before = sums.until(low, currency)
        opening = None if judgement.origin is None else judgement.origin + before
        parts = sums.parts(low, high, currency)
        days.append(TieOutDay(start, end, opening, parts, judgement, side))
    return days


def _both(side: Neighbours) -> tuple[Anchor | None, Anchor | None]:
    return side.left, side.right


def _too_long(question: Question) -> Iterator[FieldViolation]:
    start, end = question.start, question.end
    if start is not None and end is not None and end - start > MAX_DAYS:
        rule = f"at most {MAX_DAYS.days} days after start_time"
        yield FieldViolation("period.end_time", rule)
