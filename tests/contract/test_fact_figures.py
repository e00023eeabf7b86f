"""The promises of `application.analytics.fact_figures`, against the same sums in plain Python."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from functools import partial
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.analytics.fact_figures import FactSum
from domain.cohorts import cohorts, cohorts_of
from domain.facts import Fact, Series, Statement
from domain.mrr import MOVEMENTS
from domain.subscriber_figures import known_by, lost_in
from tests.contract.samples import OURS, THEIRS
from tests.contract.test_plans import plans_of
from tests.support.servers.stores import Stores

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
MONTHS = [START.replace(month=month) for month in range(2, 8)]
LATER = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
KINDS = (*MOVEMENTS, "discount", "unpriced")


def fact(
    generation: int, at: dt.datetime, kind: str = "new", *, customer: str = "cus_1",
    amount: int = 10_000, count: int = 1, known_at: dt.datetime = LATER, currency: str = "usd",
    series: Series = Series.MRR, product: str = "", cause: str = "",
) -> Fact:  # fmt: skip
    stated = Statement(
        series, customer, at, kind, currency, amount, count, cause, customer, product
    )
    return Fact(stated, generation, known_at)


def sums_of(facts: Sequence[Fact], edges: Sequence[dt.datetime], *, opening: bool) -> set[FactSum]:
    amounts, counts = Counter[tuple[object, ...]](), Counter[tuple[object, ...]]()
    for each in facts:
        said = each.statement
        buckets = [n for n in range(len(edges) - 1) if edges[n] <= said.at < edges[n + 1]]
        if opening and said.at < edges[0]:
            buckets = [-1]
        for bucket in buckets:
            key = (bucket, said.currency, said.kind, said.cause, said.product)
            amounts[key] += said.amount
            counts[key] += said.count
    return {FactSum(*key, amounts[key], counts[key]) for key in amounts}  # type: ignore[arg-type]


async def test_buckets_and_all_that_was_before_them(stores: Stores) -> None:
    second = dt.timedelta(seconds=1)
    edges = [START, START + 10 * second, START + 20 * second]
    instants = [START - second, START, START + 10 * second, START + 19 * second, edges[-1]]
    facts = [fact(n, at, amount=2**n) for n, at in enumerate(instants, 1)]
    await stores.facts.post(OURS, facts)
    await stores.facts.post(THEIRS, [fact(1, START, amount=1_000)])
    await stores.facts.post(OURS, [fact(1, START, series=Series.TRIAL, amount=1_000)])
    figures = stores.fact_figures
    assert set(await figures.sums(OURS, Series.MRR, edges)) == sums_of(facts, edges, opening=False)
    found = await figures.sums(OURS, Series.MRR, edges, opening=True)
    assert set(found) == sums_of(facts, edges, opening=True)
    assert {each.bucket: each.amount for each in found} == {-1: 2, 0: 4, 1: 8 + 16}


async def test_what_is_apart_is_told_apart(stores: Stores) -> None:
    facts = [
        fact(1, START),
        fact(2, START, currency="eur"),
        fact(3, START, "churn", cause="voluntary"),
        fact(4, START, "churn", cause="unknown"),
        fact(5, START, product="prod_1"),
        fact(6, START, product="prod_1", amount=5),
    ]
    await stores.facts.post(OURS, facts)
    edges = [START, LATER]
    found = await stores.fact_figures.sums(OURS, Series.MRR, edges)
    assert set(found) == sums_of(facts, edges, opening=False)


async def test_what_was_known_at_an_instant_of_our_clock(stores: Stores) -> None:
    early, late = (START + dt.timedelta(days=days) for days in (40, 80))
    await stores.facts.post(
        OURS,
        [
            fact(1, START, known_at=early, amount=7),
            fact(2, START, "churn", known_at=late, amount=-7, count=-1),
        ],
    )
    figures, edges = stores.fact_figures, [START, MONTHS[0]]
    known = partial(figures.sums, OURS, Series.MRR, edges)
    assert [each.amount for each in await known(known_by=early)] == [7]
    assert await known(known_by=early - dt.timedelta(seconds=1)) == []
    assert sum(each.amount for each in await known(known_by=late)) == 0
    assert (await figures.cohorts(OURS, [START, MONTHS[0]], known_by=early)).sizes == {0: 1}
    assert await figures.first_known(OURS, Series.MRR) == early
    assert await figures.first_known(OURS, Series.TRIAL) is None


async def test_no_row_is_read_for_a_figure(stores: Stores) -> None:
    await stores.facts.post(OURS, [fact(n, START) for n in range(1, 20)])
    figures = stores.fact_figures
    await plans_of(stores, partial(figures.sums, OURS, Series.MRR, MONTHS, opening=True))
    await plans_of(stores, partial(figures.lost, OURS, MONTHS[0], MONTHS[1]))
    await plans_of(stores, partial(figures.first_known, OURS, Series.MRR))


INSTANTS = st.integers(0, 230).map(lambda days: START + dt.timedelta(days=days))
MOVES = st.tuples(
    st.sampled_from(("ann", "bob", "cy")), INSTANTS, st.sampled_from(KINDS),
    st.integers(-9, 9), st.sampled_from(("usd", "eur")), st.integers(0, 3),
)  # fmt: skip


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(moves=st.lists(MOVES, max_size=20))
async def test_cohorts_and_who_is_lost_are_those_of_the_domain(
    stores: Stores, moves: list[tuple[str, dt.datetime, str, int, str, int]]
) -> None:
    """A customer comes and goes by turns; at first he comes by `new`, or by a seam that says so."""
    stands: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    known: dict[str, dt.datetime] = {}
    moved: set[tuple[str, dt.datetime]] = set()
    facts = []
    for customer, at, kind, amount, code, wait in sorted(moves, key=lambda move: move[1]):
        count, cause = 0, ""
        if kind in MOVEMENTS:
            if (customer, at) in moved:
                continue  # all of one second are one movement
            moved.add((customer, at))
            count = -1 if stands[customer] else 1
            first = customer not in stands
            stands[customer] += count
            if first:
                kind, cause = ("seam", "new") if kind == "seam" else ("new", "")
            elif kind == "new":
                kind = "expansion"
        numbers[customer] += 1
        known_at = max(LATER + dt.timedelta(days=wait), known.get(customer, LATER))
        known[customer] = known_at
        facts.append(
            fact(
                numbers[customer], at, kind, customer=customer, amount=amount, count=count,
                currency=code, known_at=known_at, cause=cause,
            )
        )  # fmt: skip
    account = f"acct_{uuid4().hex}"
    await stores.facts.post(account, facts)
    figures = stores.fact_figures
    for as_of in (None, LATER + dt.timedelta(days=3)):
        standing = facts if as_of is None else known_by(facts, as_of)
        found = await figures.cohorts(account, MONTHS, known_by=as_of)
        expected = cohorts(standing, MONTHS, LATER)
        told = cohorts_of(found.sizes, found.sums, MONTHS, LATER)
        assert [(each.start, each.size) for each in told] == [
            (each.start, each.size) for each in expected
        ]
        for one, other in zip(told, expected, strict=True):
            cells = [(each.subscribers, _some(each.mrr), each.partial) for each in one.cells]
            assert cells == [
                (each.subscribers, _some(each.mrr), each.partial) for each in other.cells
            ]
        lost = await figures.lost(account, MONTHS[1], MONTHS[3], known_by=as_of)
        assert lost == len(lost_in(standing, MONTHS[1], MONTHS[3]))


def _some(mrr: object) -> dict[str, int]:
    return {code: amount for code, amount in dict(mrr).items() if amount}  # type: ignore[call-overload]
