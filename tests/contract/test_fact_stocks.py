"""The promises of `FactStocks`, and that remembered sums are those of all facts."""

import datetime as dt
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from application.analytics.fact_figures import BEFORE, FactSum
from application.analytics.remembered_facts import RememberedFactFigures, Stock, summed
from domain.facts import Fact, Series, Statement
from tests.contract.samples import OURS, THEIRS
from tests.contract.test_plans import assert_ordered, plans_of
from tests.support.fakes.stores import FakeClock
from tests.support.servers.stores import Stores

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
KNOWN = dt.datetime(2026, 5, 10, 12, tzinfo=dt.UTC)


def at(days: float) -> dt.datetime:
    return START + days * DAY


def fact(
    days: float,
    amount: int,
    *,
    subject: str = "cus_1",
    generation: int = 1,
    kind: str = "new",
    currency: str = "usd",
    count: int = 1,
    known_at: dt.datetime = KNOWN,
) -> Fact:
    said = Statement(Series.MRR, subject, at(days), kind, currency, amount, count, "cause", subject)
    return Fact(said, generation, known_at)


FACTS = [
    fact(-400, 9, subject="cus_0"),
    fact(0, 100),
    fact(1, 20, generation=2, kind="expansion", count=0),
    fact(1.5, 7, subject="cus_2", currency="eur"),
    fact(2, -120, generation=3, kind="churn", count=-1, known_at=KNOWN + DAY),
    fact(40, 55, subject="cus_3"),
]


@pytest.fixture
async def posted(stores: Stores) -> Stores:
    assert await stores.facts.post(OURS, FACTS) == len(FACTS)
    await stores.facts.post(THEIRS, [fact(1, 1_000)])
    return stores


async def test_what_became_known_late_is_summed_apart(posted: Stores) -> None:
    late = partial(posted.fact_stocks.late, OURS, Series.MRR, known_after=KNOWN)
    assert await late(before=at(3)) == [FactSum(BEFORE, "usd", "churn", "cause", "", -120, -1)]
    assert await late(before=at(2)) == []
    assert await late(before=at(3), known_by=KNOWN + DAY / 2) == []


async def test_the_latest_stock_before_an_instant_is_recalled(stores: Stores) -> None:
    stocks, sums = stores.fact_stocks, [FactSum(BEFORE, "usd", "new", "", "", 100, 1)]
    first = Stock(OURS, Series.MRR, at(0), KNOWN, sums)
    second = Stock(OURS, Series.MRR, at(31), KNOWN, [])
    assert await stocks.recall(OURS, Series.MRR, at(9)) is None
    for stock in (first, second, replace(first, stripe_account=THEIRS, sums=[])):
        await stocks.keep(stock)
    assert await stocks.recall(OURS, Series.MRR, at(30)) == first
    assert await stocks.recall(OURS, Series.MRR, at(31)) == second
    assert await stocks.recall(OURS, Series.MRR, at(-1)) is None
    assert await stocks.recall(OURS, Series.TRIAL, at(31)) is None
    newer = replace(first, known_by=KNOWN + DAY, sums=[])
    await stocks.keep(newer)
    await stocks.keep(first)
    assert await stocks.recall(OURS, Series.MRR, at(30)) == newer


async def test_queries_use_indexes(posted: Stores) -> None:
    await posted.fact_stocks.keep(Stock(OURS, Series.MRR, at(0), KNOWN, []))
    recall = partial(posted.fact_stocks.recall, OURS, Series.MRR, at(9))
    await assert_ordered(posted, recall)
    for known_by in (None, KNOWN):
        late = partial(
            posted.fact_stocks.late, OURS, Series.MRR, before=at(3), known_after=KNOWN,
            known_by=known_by,
        )  # fmt: skip
        await plans_of(posted, late)


async def test_a_remembered_opening_is_the_sum_of_all_facts(posted: Stores) -> None:
    clock = FakeClock(KNOWN + 2 * DAY)
    figures = posted.fact_figures
    remembered = RememberedFactFigures(figures, posted.fact_stocks, clock)

    def told(sums: Any) -> dict[Any, tuple[int, int]]:
        return {
            (one.bucket, one.currency, one.kind): (one.amount, one.count)
            for one in summed(sums)
            if one.amount or one.count
        }

    async def holds() -> None:
        for days in (-500, 0, 1, 2.5, 31, 35, 61, 65, 200):
            edges = [at(days), at(days + 3), at(days + 30)]
            for known_by in (None, KNOWN):
                for opening in (False, True):
                    ask = {"opening": opening, "known_by": known_by}
                    expected = await figures.sums(OURS, Series.MRR, edges, **ask)
                    found = await remembered.sums(OURS, Series.MRR, edges, **ask)
                    assert told(found) == told(expected), (days, ask)

    await holds()
    await holds()
    assert await posted.fact_stocks.recall(OURS, Series.MRR, at(40)) is not None
    await posted.facts.post(OURS, [fact(3, 9, subject="cus_9", known_at=clock.now())])
    await holds()
    clock.advance(hours=3)
    await holds()
    ends = (at(0), at(30))
    assert await remembered.lost(OURS, *ends) == await figures.lost(OURS, *ends)
    cohorts = await remembered.cohorts(OURS, ends)
    assert cohorts.sizes == (await figures.cohorts(OURS, ends)).sizes
    first = await remembered.first_known(OURS, Series.MRR)
    assert first == await figures.first_known(OURS, Series.MRR) == KNOWN
