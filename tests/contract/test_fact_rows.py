"""Single facts on both stores: what was late, what a figure is made of, page by page."""

import datetime as dt
from dataclasses import replace
from functools import partial

import pytest

from application.analytics.fact_rows import (
    ExplainFacts,
    FactLists,
    FactsExplained,
    ListRestatedFacts,
)
from application.analytics.trust import Standing
from application.requests.paging import PageTokens
from domain.errors import InvalidArgument
from domain.facts import Fact, Series, Statement
from tests.contract.samples import OURS, THEIRS
from tests.contract.test_ledger import connected
from tests.contract.test_plans import plans_of
from tests.contract.test_subscriber_answers import CALLER
from tests.support.fakes.standings import some_trust
from tests.support.fakes.stores import FakeClock
from tests.support.servers.stores import Stores

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
NOW = START + 1_000 * HOUR
MARCH = ExplainFacts(START, START + 31 * 24 * HOUR, "mrr")


def fact(
    number: int, *, kind: str = "new", currency: str = "usd", known: int = 100, late: bool = False,
    subject: str = "cus_1", amount: int = 10_000, count: int = 1,
) -> Fact:  # fmt: skip
    said = Statement(Series.MRR, subject, START + number * HOUR, kind, currency, amount, count)
    return Fact(said, number, START + known * HOUR, late=late)


FACTS = [
    fact(1),
    fact(2, kind="churn", amount=-10_000, count=-1, late=True, known=101),
    fact(3, currency="eur", late=True, known=300),
    fact(4, kind="expansion", amount=5, count=0, late=True, known=300),
]


async def lists(stores: Stores) -> FactLists:
    await stores.facts.post(OURS, FACTS)
    await stores.facts.post(OURS, [fact(2, subject="cus_2", late=True, known=300)])
    await stores.facts.post(THEIRS, [fact(1, late=True)])
    clock = FakeClock(NOW)
    trust = some_trust(Standing(imported_at=START))
    tokens = PageTokens(b"key", clock)
    return FactLists(
        stores.fact_rows, stores.fact_figures, connected(OURS, clock), tokens, clock, trust
    )


def places(facts: object) -> list[tuple[str, int]]:
    return [(each.statement.subject, each.generation) for each in facts]  # type: ignore[attr-defined]


async def test_what_was_posted_of_a_closed_time_comes_last_known_first(stores: Stores) -> None:
    asked, told, token = await lists(stores), [], ""
    for _ in range(2):
        page, _ = await asked.restated(CALLER, ListRestatedFacts("mrr", 2, token))
        token = page.next_page_token
        told += places(page.items)
    assert told == [("cus_2", 2), ("cus_1", 4), ("cus_1", 3), ("cus_1", 2)]
    assert not token
    assert (await asked.restated(CALLER, ListRestatedFacts("trial")))[0].items == []
    await plans_of(
        stores, partial(stores.fact_rows.restated, OURS, Series.MRR, after=None, limit=5)
    )


async def all_of(asked: FactLists, query: ExplainFacts) -> tuple[list[Fact], FactsExplained]:
    found: list[Fact] = []
    token = ""
    while True:
        answer = await asked.explain(CALLER, replace(query, page_size=2, page_token=token))
        found += answer.page.items
        token = answer.page.next_page_token
        if not token:
            return found, answer


async def test_the_facts_of_a_figure_add_up_to_it(stores: Stores) -> None:
    asked = await lists(stores)
    facts, answer = await all_of(asked, MARCH)
    assert places(facts) == [
        ("cus_1", 4), ("cus_1", 3), ("cus_2", 2), ("cus_1", 2), ("cus_1", 1),
    ]  # fmt: skip
    assert answer.amounts == {"eur": 10_000, "usd": 10_005}
    assert answer.count == sum(each.statement.count for each in facts) == 2
    facts, answer = await all_of(asked, replace(MARCH, currency="usd", kinds=("new", "churn")))
    assert places(facts) == [("cus_2", 2), ("cus_1", 2), ("cus_1", 1)]
    assert (answer.amounts, answer.count) == ({"usd": 10_000}, 1)
    within = partial(
        stores.fact_rows.within, OURS, Series.MRR, START, NOW, currency="usd", kinds=("new",),
        known_by=NOW, after=(0, "", 0), limit=5,
    )  # fmt: skip
    await plans_of(stores, within)


async def test_a_figure_is_explained_as_it_was_known(stores: Stores) -> None:
    asked = await lists(stores)
    facts, answer = await all_of(asked, replace(MARCH, as_of=START + 200 * HOUR))
    assert places(facts) == [("cus_1", 2), ("cus_1", 1)]
    assert (answer.amounts, answer.known_at) == ({"usd": 0}, START + 200 * HOUR)
    with pytest.raises(InvalidArgument, match="first fact"):
        await asked.explain(CALLER, replace(MARCH, as_of=START + 99 * HOUR))


async def test_pages_are_as_of_the_first_one(stores: Stores) -> None:
    asked = await lists(stores)
    first = await asked.explain(CALLER, replace(MARCH, page_size=4))
    await stores.facts.post(OURS, [replace(fact(5), known_at=NOW + HOUR)])
    token = first.page.next_page_token
    second = await asked.explain(CALLER, replace(MARCH, page_size=4, page_token=token))
    assert places(second.page.items) == [("cus_1", 1)]
    assert second.amounts == first.amounts


async def test_what_is_unknown_is_named_all_at_once(stores: Stores) -> None:
    asked = await lists(stores)
    with pytest.raises(InvalidArgument) as refused:
        await asked.restated(CALLER, ListRestatedFacts("arr", 101))
    assert [each.field for each in refused.value.violations] == ["series", "page_size"]
    with pytest.raises(InvalidArgument) as refused:
        await asked.explain(CALLER, replace(MARCH, kinds=("won",), currency="usx", end=START))
    told = {each.field: each.rule for each in refused.value.violations}
    assert told.keys() == {"kinds", "currency", "end_time"}
    assert told["kinds"].startswith("of mrr: new, expansion")
    with pytest.raises(InvalidArgument, match="series"):
        await asked.explain(CALLER, replace(MARCH, series="arr"))
