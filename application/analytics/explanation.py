"""Explaining: the rows that make up a figure of the ledger, as they were known at one instant."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from application.analytics.ledger import ChangedRow, Ledger
from application.analytics.metrics import LEDGER, Metric
from application.analytics.restatements import LedgerEntry
from application.analytics.trust import Trust, TrustAnswers, as_of_violations
from application.background.clock import Clock
from application.connections.use_cases import Connections
from application.mirror.nouns import BALANCE_TRANSACTIONS
from application.mirror.ports import NEWEST_FIRST, Filter, Mirror
from application.requests.callers import Caller
from application.requests.paging import (
    DEFAULT_PAGE_SIZE,
    PageTokens,
    Position,
    digest,
    page_size_violations,
)
from application.requests.violations import refuse
from domain.balance_transactions import BalanceTransaction
from domain.errors import FieldViolation
from domain.money import CURRENCIES, Money
from domain.periods import MAX_PERIOD, YEARS, from_milliseconds, to_milliseconds

MAX_CATEGORIES: Final = 50


@dataclass(frozen=True, slots=True)
class ExplainFigure:
    """Which figure: of a bucket, a currency and some reporting categories (none: of all)."""

    start: dt.datetime | None
    end: dt.datetime | None
    currency: str
    reporting_categories: Sequence[str] = ()
    as_of: dt.datetime | None = None
    page_size: int = 0
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class FigureEntry:
    """A row of the figure; `source` is empty where it is not known (any more)."""

    balance_transaction: str
    entry: LedgerEntry
    source: str

    @property
    def position(self) -> Position:
        """Its place in the order of the list."""
        return Position(to_milliseconds(self.entry.created), self.balance_transaction)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A page of rows, and what the rows of all pages add up to, as of `known_at`."""

    amount: Money
    fee: Money
    row_count: int
    rows: Sequence[FigureEntry]
    next_page_token: str
    known_at: dt.datetime
    trust: Trust


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question that was checked, as of an instant, and where its page starts."""

    stripe_account: str
    edges: tuple[dt.datetime, dt.datetime]
    currency: str
    metric: Metric
    known_by: dt.datetime
    after: Position | None
    limit: int


class Explaining:
    """Explains figures of the ledger of a connection."""

    def __init__(
        self,
        ledger: Ledger,
        mirror: Mirror,
        connections: Connections,
        page_tokens: PageTokens,
        clock: Clock,
        trust: TrustAnswers,
    ) -> None:
        self._ledger = ledger
        self._mirror = mirror
        self._connections = connections
        self._page_tokens = page_tokens
        self._clock = clock
        self._trust = trust

    async def explain(
        self, caller: Caller, query: ExplainFigure, violations: Sequence[FieldViolation] = ()
    ) -> Explanation:
        """A page of the rows of a figure, the newest first. InvalidArgument names what is wrong."""
        now = self._clock.now()
        refuse([*violations, *_violations(query, now, {v.field for v in violations})])
        connection = await self._connections.of(caller)
        same = replace(query, page_token="", page_size=0)
        scope = digest("figure", connection.stripe_account, same)
        asked = self._asked(connection.stripe_account, query, scope, now)
        trust = await self._trust.of(asked.stripe_account, "", as_of=query.as_of)
        totals = await self._ledger.figures(
            asked.metric, asked.stripe_account, asked.edges, asked.currency, as_of=asked.known_by
        )
        rows, end = await self._page(asked)
        sums = [sum(column) for column in zip(*(row.sums for row in totals), strict=True)]
        amount, fee = sums or (0, 0)
        token = None if end is None else Position(_told(end, asked.known_by), end.id)
        return Explanation(
            Money(amount, asked.currency),
            Money(fee, asked.currency),
            sum(row.count for row in totals),
            rows,
            self._page_tokens.write(scope, token),
            asked.known_by,
            trust,
        )

    def _asked(
        self, stripe_account: str, query: ExplainFigure, scope: str, now: dt.datetime
    ) -> _Asked:
        if query.start is None or query.end is None:
            raise ValueError("start, end: were checked")
        position = self._page_tokens.read(query.page_token, scope)
        known_by, after = query.as_of or now, None
        if position is not None:
            created, _, known_ms = str(position.value).partition(" ")
            known_by, after = from_milliseconds(int(known_ms)), Position(int(created), position.id)
        metric = LEDGER
        if query.reporting_categories:
            narrowed = {**LEDGER.where, "reporting_category": tuple(query.reporting_categories)}
            metric = replace(LEDGER, where=narrowed)
        return _Asked(
            stripe_account,
            (query.start, query.end),
            query.currency,
            metric,
            known_by,
            after,
            query.page_size or DEFAULT_PAGE_SIZE,
        )

    async def _page(self, asked: _Asked) -> tuple[Sequence[FigureEntry], Position | None]:
        """A page, and where it ended (None: it is the last)."""
        left, right = map(to_milliseconds, asked.edges)
        known_by = to_milliseconds(asked.known_by)
        page = await self._mirror.list(
            BALANCE_TRANSACTIONS,
            asked.stripe_account,
            Filter(
                equals={"currency": asked.currency},
                one_of=asked.metric.where,
                ranges={"created": (left, right), "first_known_at": (None, known_by + 1)},
            ),
            order=NEWEST_FIRST,
            after=asked.after,
            limit=asked.limit,
        )
        # Read after the page: what has changed on it meanwhile is among these.
        changed = await self._ledger.changed_since(
            BALANCE_TRANSACTIONS, asked.stripe_account, asked.known_by
        )
        found = [
            FigureEntry(row.id, _entry(row.snapshot.object), row.snapshot.object.source or "")
            for row in page.rows
            if row.id not in changed and row.snapshot is not None and row.snapshot.object
        ]
        then = [
            entry for entry in _as_known(asked, changed) if _lies_between(entry, asked, page.next)
        ]
        merged = sorted([*found, *then], key=_order, reverse=True)
        rows = await self._with_sources(asked.stripe_account, merged[: asked.limit], changed)
        return rows, (rows[-1].position if len(merged) > asked.limit else page.next)

    async def _with_sources(
        self, stripe_account: str, rows: Sequence[FigureEntry], changed: Mapping[str, ChangedRow]
    ) -> Sequence[FigureEntry]:
        ids = [row.balance_transaction for row in rows if row.balance_transaction in changed]
        stored = await self._mirror.fetch(BALANCE_TRANSACTIONS, stripe_account, ids) if ids else {}
        snapshots = {id_: row.snapshot for id_, row in stored.items()}
        sources = {id_: it.object.source or "" for id_, it in snapshots.items() if it and it.object}
        return [
            replace(row, source=sources.get(row.balance_transaction, row.source)) for row in rows
        ]


def _violations(
    query: ExplainFigure, now: dt.datetime, named: set[str]
) -> Iterator[FieldViolation]:
    """Everything that is wrong with a question; `named` fields are wrong already."""
    for name, instant in (("start_time", query.start), ("end_time", query.end)):
        if instant is None:
            if name not in named:
                yield FieldViolation(name, "is required")
        elif instant.year not in YEARS:
            yield FieldViolation(name, f"years from {YEARS[0]} to {YEARS[-1]}")
    if query.start is not None and query.end is not None:
        if query.end <= query.start:
            yield FieldViolation("end_time", "must be after start_time")
        elif query.end - query.start > MAX_PERIOD:
            yield FieldViolation("end_time", f"at most {MAX_PERIOD.days} days after start_time")
    if query.currency not in CURRENCIES:
        rule = "a currency that Stripe knows, lower-case ISO 4217, such as usd"
        yield FieldViolation("currency", rule)
    if len({*query.reporting_categories}) > MAX_CATEGORIES:
        yield FieldViolation("reporting_categories", f"at most {MAX_CATEGORIES}")
    yield from as_of_violations(query.as_of, now)
    yield from page_size_violations(query.page_size)


def _entry(found: BalanceTransaction) -> LedgerEntry:
    return LedgerEntry(
        found.created,
        found.amount,
        found.fee,
        found.reporting_category or "",
        found.balance_type or "",
    )


def _as_known(asked: _Asked, changed: Mapping[str, ChangedRow]) -> Iterator[FigureEntry]:
    """The rows of the figure that have changed since it was known so."""
    for id_, row in changed.items():
        if row.then is not None and asked.metric.counts(row.then, asked.currency):
            entry = LedgerEntry.of(row.then)
            if asked.edges[0] <= entry.created < asked.edges[1]:
                yield FigureEntry(id_, entry, "")


def _lies_between(row: FigureEntry, asked: _Asked, end: Position | None) -> bool:
    """Whether a row is of the page from a place on that ends at another."""
    place = _order(row)
    after = asked.after is None or place < (int(asked.after.value), asked.after.id)
    return after and (end is None or place >= (int(end.value), end.id))


def _order(row: FigureEntry) -> tuple[int, str]:
    return int(row.position.value), row.balance_transaction


def _told(end: Position, known_by: dt.datetime) -> str:
    return f"{end.value} {to_milliseconds(known_by)}"
