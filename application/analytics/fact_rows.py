"""Single facts: what was posted of a time that was closed, and what a figure is made of."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from application.analytics.fact_figures import FactFigures
from application.analytics.trust import Trust, TrustAnswers, as_of_violations
from application.background.clock import Clock
from application.connections.use_cases import Connections
from application.requests.callers import Caller
from application.requests.paging import (
    DEFAULT_PAGE_SIZE,
    Page,
    PageTokens,
    Position,
    digest,
    page_size_violations,
)
from application.requests.violations import refuse
from domain.errors import FieldViolation, InvalidArgument
from domain.facts import Fact, Series
from domain.money import CURRENCIES
from domain.mrr import DISCOUNT, MOVEMENTS, SCHEDULED, UNPRICED
from domain.periods import MAX_PERIOD, YEARS, from_milliseconds, to_milliseconds
from domain.revenue_lines import KINDS as REVENUE_KINDS
from domain.revenue_lines import LOST, UNDATED, WON
from domain.trials import OUTCOMES

KINDS: Final[Mapping[Series, Sequence[str]]] = {
    Series.MRR: (*MOVEMENTS, DISCOUNT, SCHEDULED, UNPRICED),
    Series.NEW_CUSTOMER: (Series.NEW_CUSTOMER.value,),
    Series.FIRST_PAYMENT: (Series.FIRST_PAYMENT.value,),
    Series.TRIAL: OUTCOMES,
    Series.DISPUTE_CLOSED: (WON, LOST, UNDATED),
    Series.REVENUE_LINE: REVENUE_KINDS,
}
"""The kinds of facts of each series."""

FactPlace = tuple[int, str, int]
"""Where a fact stands in a list: milliseconds, subject, generation."""


class FactRows(Protocol):
    """Reads facts of a Stripe account, the last first, from after a place.

    All methods raise Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def restated(
        self, stripe_account: str, series: Series, *, after: FactPlace | None, limit: int
    ) -> Sequence[Fact]:
        """Those that were posted of a time that was closed, by when they were known."""
        ...

    async def within(
        self,
        stripe_account: str,
        series: Series,
        start: dt.datetime,
        end: dt.datetime,
        *,
        currency: str,
        kinds: Sequence[str],
        known_by: dt.datetime,
        after: FactPlace | None,
        limit: int,
    ) -> Sequence[Fact]:
        """Those of a time, as they were known at an instant of our clock, by Stripe's time.

        An empty currency stands for all, and so do no kinds.
        """
        ...


@dataclass(frozen=True, slots=True)
class ListRestatedFacts:
    """Of which series a page is asked for."""

    series: str
    page_size: int = 0
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class ExplainFacts:
    """Which figure: of a bucket and a series, of a currency (empty: all) and kinds (none: all)."""

    start: dt.datetime | None
    end: dt.datetime | None
    series: str
    currency: str = ""
    kinds: Sequence[str] = ()
    as_of: dt.datetime | None = None
    page_size: int = 0
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class FactsExplained:
    """A page of facts, and what those of all pages add up to, as of `known_at`.

    `amounts` are in 1/10,000 minor unit, by currency.
    """

    amounts: Mapping[str, int]
    count: int
    page: Page[Fact]
    known_at: dt.datetime
    trust: Trust


class FactLists:
    """Lists facts of a connection."""

    def __init__(
        self,
        rows: FactRows,
        figures: FactFigures,
        connections: Connections,
        page_tokens: PageTokens,
        clock: Clock,
        trust: TrustAnswers,
    ) -> None:
        self._rows = rows
        self._figures = figures
        self._connections = connections
        self._page_tokens = page_tokens
        self._clock = clock
        self._trust = trust

    async def restated(self, caller: Caller, query: ListRestatedFacts) -> tuple[Page[Fact], Trust]:
        """A page of what was posted of a time that was closed, the last known first."""
        refuse([*_series_violations(query.series), *page_size_violations(query.page_size)])
        stripe_account = (await self._connections.of(caller)).stripe_account
        scope = digest("restated facts", stripe_account, query.series)
        size = query.page_size or DEFAULT_PAGE_SIZE
        position = self._page_tokens.read(query.page_token, scope)
        facts = await self._rows.restated(
            stripe_account, Series(query.series), after=_place(position), limit=size + 1
        )
        token = None
        if len(facts) > size:
            last = facts[size - 1]
            token = _position(last, last.known_at)
        page = Page(facts[:size], self._page_tokens.write(scope, token))
        return page, await self._trust.of(stripe_account, "")

    async def explain(
        self, caller: Caller, query: ExplainFacts, violations: Sequence[FieldViolation] = ()
    ) -> FactsExplained:
        """A page of the facts of a figure, the newest first. Raises InvalidArgument."""
        now = self._clock.now()
        refuse([*violations, *_violations(query, now, {each.field for each in violations})])
        if query.start is None or query.end is None:
            raise ValueError("start, end: were checked")
        stripe_account = (await self._connections.of(caller)).stripe_account
        series = Series(query.series)
        await self._check_first(stripe_account, series, query.as_of)
        same = replace(query, page_token="", page_size=0)
        scope = digest("facts of a figure", stripe_account, same)
        position = self._page_tokens.read(query.page_token, scope)
        known_by = query.as_of or now
        if position is not None:
            at, _, known_ms = str(position.value).partition(" ")
            known_by = from_milliseconds(int(known_ms))
            position = Position(int(at), position.id)
        trust = await self._trust.of(stripe_account, "", as_of=query.as_of)
        amounts, count = await self._totals(stripe_account, series, query, known_by)
        size = query.page_size or DEFAULT_PAGE_SIZE
        facts = await self._rows.within(
            stripe_account,
            series,
            query.start,
            query.end,
            currency=query.currency,
            kinds=query.kinds,
            known_by=known_by,
            after=_place(position),
            limit=size + 1,
        )
        token = None
        if len(facts) > size:
            found = _position(facts[size - 1], facts[size - 1].statement.at)
            token = replace(found, value=f"{found.value} {to_milliseconds(known_by)}")
        page = Page(facts[:size], self._page_tokens.write(scope, token))
        return FactsExplained(amounts, count, page, known_by, trust)

    async def _totals(
        self, stripe_account: str, series: Series, query: ExplainFacts, known_by: dt.datetime
    ) -> tuple[Mapping[str, int], int]:
        if query.start is None or query.end is None:
            raise ValueError("start, end: were checked")
        sums = await self._figures.sums(
            stripe_account, series, (query.start, query.end), known_by=known_by
        )
        amounts: dict[str, int] = {}
        count = 0
        for each in sums:
            if query.currency in ("", each.currency) and (
                not query.kinds or each.kind in query.kinds
            ):
                count += each.count
                if each.currency:
                    amounts[each.currency] = amounts.get(each.currency, 0) + each.amount
        return dict(sorted(amounts.items())), count

    async def _check_first(
        self, stripe_account: str, series: Series, as_of: dt.datetime | None
    ) -> None:
        if as_of is None:
            return
        first = await self._figures.first_known(stripe_account, series)
        if first is not None and as_of < first:
            rule = f"not before the first fact was known: {first:%Y-%m-%dT%H:%M:%SZ}"
            raise InvalidArgument([FieldViolation("as_of", rule)])


def _place(position: Position | None) -> FactPlace | None:
    """Where a page ended. The generation stands before the subject, which may hold anything."""
    if position is None:
        return None
    generation, _, subject = position.id.partition(" ")
    return int(position.value), subject, int(generation)


def _position(fact: Fact, instant: dt.datetime) -> Position:
    return Position(to_milliseconds(instant), f"{fact.generation} {fact.statement.subject}")


def _series_violations(series: str) -> Iterator[FieldViolation]:
    if series not in {*Series}:
        yield FieldViolation("series", f"one of {', '.join(Series)}")


def _violations(query: ExplainFacts, now: dt.datetime, named: set[str]) -> Iterator[FieldViolation]:
    """Everything that is wrong with a question; `named` fields are wrong already."""
    yield from _series_violations(query.series)
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
    if query.currency and query.currency not in CURRENCIES:
        rule = "a currency that Stripe knows, lower-case ISO 4217, such as usd"
        yield FieldViolation("currency", rule)
    if query.series in {*Series}:
        known = KINDS[Series(query.series)]
        if not {*query.kinds} <= {*known}:
            yield FieldViolation("kinds", f"of {query.series}: {', '.join(known)}")
    yield from as_of_violations(query.as_of, now)
    yield from page_size_violations(query.page_size)
