"""Facts of subscribers: whatever the order of evidence, as the oracle has them, and they add up."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.cohorts import cohorts
from domain.evidence import CustomerEvidence
from domain.facts import Fact, Series, Statement, difference
from domain.mrr import DISCOUNT, MOVEMENTS, due_at, statements_of
from domain.periods import Granularity, Period, edges
from domain.subscriber_figures import known_by, lost_in, waterfall, whole
from tests.property.seed import EFFORT
from tests.property.subscriber_histories import INSTANTS, NOW, START, customers
from tests.support.expected import subscribers as oracle

MANY = settings(max_examples=100 * EFFORT)
FEW = settings(max_examples=50 * EFFORT)
ZONES = ("UTC", "America/New_York", "Australia/Lord_Howe")

Key = tuple[Series, str, dt.datetime, str, str]


def sums(facts: Sequence[Fact]) -> dict[Key, tuple[int, int]]:
    """What stands, by series, subject, instant, currency and kind."""
    amounts, counts = Counter[Key](), Counter[Key]()
    for fact in facts:
        stated = fact.statement
        key = stated.series, stated.subject, stated.at, stated.currency, stated.kind
        amounts[key] += stated.amount
        counts[key] += stated.count
    return {key: (amounts[key], counts[key]) for key in amounts if amounts[key] or counts[key]}


def posted(
    evidence: CustomerEvidence, stands: Sequence[Fact], now: dt.datetime, known_at: dt.datetime
) -> list[Fact]:
    """All facts after the difference to what should stand was posted, a series at a time."""
    should = statements_of(evidence, now)
    facts = list(stands)
    for series in Series:
        facts += difference(
            [each for each in should if each.series is series],
            [each for each in stands if each.statement.series is series],
            known_at,
        )
    return facts


def part(evidence: CustomerEvidence, order: Sequence[int]) -> CustomerEvidence:
    """Some of the evidence, in some order, told as often as it is named."""
    every = [*evidence.subscriptions, *evidence.discounts, *evidence.invoices]
    chosen = [every[place % len(every)] for place in order]
    return replace(
        evidence,
        subscriptions=tuple(each for each in evidence.subscriptions if each in chosen),
        discounts=tuple(each for each in evidence.discounts if each in chosen),
        invoices=tuple(each for each in evidence.invoices if each in chosen),
    )


@MANY
@given(customers())
def test_movements_are_those_of_the_oracle(evidence: CustomerEvidence) -> None:
    told = Counter[tuple[object, ...]]()
    for each in statements_of(evidence, NOW):
        if each.series is Series.MRR and each.kind in MOVEMENTS:
            told[each.at, each.kind, each.currency, each.amount, each.count] += 1
    expected = Counter(
        (each.at, each.kind, each.currency, each.amount, each.count)
        for each in oracle.movements(evidence, NOW)
    )
    assert told == expected


@FEW
@given(customers(), st.lists(st.sampled_from(INSTANTS), min_size=2, max_size=6, unique=True))
def test_levels_are_those_of_the_oracle_and_movements_lead_to_them(
    evidence: CustomerEvidence, instants: list[dt.datetime]
) -> None:
    statements = [each for each in statements_of(evidence, NOW) if each.series is Series.MRR]
    moved = [each for each in statements if each.kind in MOVEMENTS]
    off = [each for each in statements if each.kind == DISCOUNT]
    turns = sorted(instants)
    for code in ("usd", "eur"):
        after, before = stock(moved, code, turns[0]), stock([*moved, *off], code, turns[0])
        buckets = [by_kind(moved, code, start, end) for start, end in pairwise(turns)]
        found = waterfall(after, buckets)
        for end, level, sums_ in zip(turns[1:], found.levels, buckets, strict=True):
            after += sum(sums_.values())
            expected = [part.get(code, 0) for part in oracle.standing(evidence, end - oracle.LEAST)]
            before = stock([*moved, *off], code, end)
            assert [after, before] == expected
            assert level == whole(after)
    for at in turns:
        subscribes = any(oracle.standing(evidence, at - oracle.LEAST)[0].values())
        assert sum(each.count for each in moved if each.at < at) == int(subscribes)


def stock(statements: Sequence[Statement], code: str, before: dt.datetime) -> int:
    return sum(each.amount for each in statements if each.currency == code and each.at < before)


def by_kind(
    statements: Sequence[Statement], code: str, start: dt.datetime, end: dt.datetime
) -> Counter[str]:
    found = Counter[str]()
    for each in statements:
        if each.currency == code and start <= each.at < end:
            found[each.kind] += each.amount
    return found


@MANY
@given(customers(), st.permutations(range(24)), st.lists(st.integers(0, 30), max_size=4))
def test_any_order_of_delivery_and_repeats_come_to_the_same(
    evidence: CustomerEvidence, order: list[int], waits: list[int]
) -> None:
    facts: list[Fact] = []
    answers: list[tuple[dt.datetime, dict[Key, tuple[int, int]]]] = []
    for number in range(1, len(order) + 1, 4):
        known_at = NOW + dt.timedelta(hours=number)
        facts = posted(part(evidence, order[:number]), facts, NOW, known_at)
        answers.append((known_at, sums(facts)))
    shuffled = replace(
        evidence,
        subscriptions=tuple(reversed(evidence.subscriptions)) * 2,
        discounts=tuple(reversed(evidence.discounts)) * 2,
        invoices=tuple(reversed(evidence.invoices)),
    )
    facts = posted(shuffled, facts, NOW, NOW + dt.timedelta(days=9))
    assert sums(facts) == sums(posted(evidence, (), NOW, NOW))
    assert posted(evidence, facts, NOW, NOW + dt.timedelta(days=10)) == facts
    for wait in waits:
        at, answer = answers[wait % len(answers)]
        assert sums(known_by(facts, at)) == answer
    for fact in facts:
        assert fact.restates < fact.generation


@FEW
@given(customers(), st.sampled_from(INSTANTS))
def test_the_end_of_a_discount_is_posted_when_it_is_due(
    evidence: CustomerEvidence, since: dt.datetime
) -> None:
    facts = posted(evidence, (), since, since)
    due: dt.datetime | None = since
    while (due := due_at(evidence, due)) is not None and due <= NOW:
        earlier = posted(evidence, facts, due - dt.timedelta(seconds=1), due)
        following = posted(evidence, facts, due, due)
        assert len(following) >= len(facts)
        assert all(each.statement.at > since for each in earlier[len(facts) :])
        facts = following
    assert sums(posted(evidence, facts, NOW, NOW)) == sums(posted(evidence, (), NOW, NOW))


@FEW
@given(customers("cus_a"), customers("cus_b"), st.sampled_from(ZONES), st.integers(0, 6))
def test_cohorts_and_who_is_lost_are_those_of_the_oracle_in_any_range(
    ann: CustomerEvidence, bob: CustomerEvidence, zone: str, first: int
) -> None:
    facts = [fact for each in (ann, bob) for fact in posted(each, (), NOW, NOW)]
    moved = [each for one in (ann, bob) for each in oracle.movements(one, NOW)]
    months = edges(Period(START, NOW, zone), Granularity.MONTH)[1:-1]
    found = cohorts(facts, months[first:], dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
    assert found == cohorts(facts, months, dt.datetime(2030, 1, 1, tzinfo=dt.UTC))[first:]
    expected = oracle.cohort_sizes(moved, zone)
    for cohort in found:
        begin = cohort.start.astimezone(ZoneInfo(zone)).date()
        size = {each.customer for each in moved if each.count > 0}
        for place, cell in enumerate(cohort.cells):
            month = months[first:][found.index(cohort) + place].astimezone(ZoneInfo(zone)).date()
            known = [each for each in expected.get(begin, {}) if each <= month]
            count, amounts = expected[begin][max(known)] if known else (0, {})
            assert cell.subscribers == count
            assert {code: whole(amount) for code, amount in amounts.items()} == dict(cell.mrr)
        assert cohort.size <= len(size)
    start, end = months[first], months[first + 2]
    assert lost_in(facts, start, end) == oracle.lost(moved, start, end)
