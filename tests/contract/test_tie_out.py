"""Days that tie to the bank, on every store, against the same sums in plain Python."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.analytics.questions import Question
from application.analytics.tie_out import MAX_WITHIN, TieOut
from domain.balance_transactions import BalanceTransaction
from domain.errors import InvalidArgument
from domain.periods import from_milliseconds, to_milliseconds
from domain.reporting_categories import APART, NetPart
from domain.tie_out import BEGINNING, Verdict
from tests.contract.test_plans import plans_of
from tests.property.revenue_histories import ZONES, revenue_histories
from tests.support.expected import revenue as oracle
from tests.support.expected.examples import Example, examples_of
from tests.support.expected.revenue import History
from tests.support.rooms.payouts import transaction
from tests.support.rooms.tie_out import CALLER, TieOutsOn
from tests.support.servers.stores import Stores

EXAMPLES = [one for one in examples_of(Path("docs/metrics.md")) if "anchor" in one.tables]
DAY = dt.timedelta(days=1)
START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
START_MS = to_milliseconds(START)
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
MANY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def on(stores: Stores) -> TieOutsOn:
    return TieOutsOn(stores, f"acct_{uuid4().hex}")


def row(number: int, at_ms: int, amount: int, category: str = "charge") -> BalanceTransaction:
    return transaction(f"txn_{number}", category, amount, created=from_milliseconds(at_ms))


def edges(days: int) -> list[int]:
    return [START_MS + number * DAY_MS for number in range(days + 1)]


def instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: f"line {each.line}")
async def test_an_example_of_the_page(stores: Stores, example: Example) -> None:
    room, code = on(stores), example.settings["currency"]
    for anchor in example.tables["anchor"]:
        low, high = (to_milliseconds(instant(anchor[end])) for end in ("from", "to"))
        await room.read(low, high, **{code: int(anchor["balance"])})
    await room.book(
        transaction(
            each["transaction"],
            each["category"],
            int(each["amount"].split()[0]),
            int(each["fee"]),
            each["amount"].split()[1],
            created=instant(each["created"]),
            source=each["source"],
        )
        for each in example.tables["transaction"]
    )
    await room.know()
    days = sorted(example.figures)
    bounds = [to_milliseconds(instant(day)) for day in days]
    told = await room.verdicts([*bounds, bounds[-1] + DAY_MS], code)
    assert dict(zip(days, told, strict=True)) == example.figures


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 2


def readings_of(
    transactions: Sequence[BalanceTransaction], instants: Sequence[int]
) -> list[tuple[int, int, Counter[str]]]:
    """True readings: at each instant what had been made in the seconds before it."""
    readings = []
    for at in instants:
        totals: Counter[str] = Counter(dict.fromkeys(("usd", "eur", "jpy", "kwd"), 0))
        for each in transactions:
            if to_milliseconds(each.created) < at // 1_000 * 1_000:
                totals[each.net.currency] += each.net.amount
        readings.append((at - 700, at + 300, totals))
    return readings


@MANY
@given(
    drawn=revenue_histories(),
    zone=st.sampled_from(ZONES),
    days=st.integers(1, 6),
    instants=st.lists(
        st.one_of(st.integers(-5_000, 5_000), st.integers(-10 * DAY_MS, 10 * DAY_MS)), max_size=9
    ),
    lost=st.integers(0, 99),
    imported=st.booleans(),
)
async def test_days_tie_and_differ_by_a_row_that_is_taken_away(
    stores: Stores,
    drawn: tuple[dt.datetime, History],
    zone: str,
    days: int,
    instants: Sequence[int],
    lost: int,
    imported: bool,
) -> None:
    around, history = drawn
    booked = [replace(one, balance_type="payments") for one in history.transactions]
    at = sorted({to_milliseconds(around) + each for each in instants})
    hourly = {each // HOUR_MS: each for each in at}  # one an hour is kept
    question = Question(around - DAY, around + days * DAY, zone)

    all_quiet = all(
        _quiet(booked, start // 1_000 * 1_000 - 1_000, end + 1)
        for start, end, _ in readings_of(booked, sorted(hourly.values()))
    )
    whole = await _tied(stores, booked, sorted(hourly.values()), booked, question, imported)
    for part in whole.currencies:
        for day in part.days:
            assert day.judgement.verdict is not Verdict.DIFFERS
            known = day.sides.left is not None and day.sides.right is not None
            assert (day.judgement.verdict is Verdict.TIES) is known
            if day.opening is not None and all_quiet:  # else it may be one of several
                assert day.opening == oracle.closing(History(transactions=booked), day.start).get(
                    part.currency, 0
                )
            found = oracle.net(History(transactions=booked), oracle.within(day.start, day.end)).get(
                part.currency, oracle.Net()
            )
            assert day.net == found.net
            assert sum(day.parts.values()) - day.net == sum(found.apart.values())
    if not booked:
        return

    gone = booked[lost % len(booked)]
    rest = [one for one in booked if one is not gone]
    without = await _tied(stores, rest, sorted(hourly.values()), booked, question, imported)
    low, code = to_milliseconds(gone.created), gone.net.currency
    for part in without.currencies:
        for day in part.days:
            left, right = day.sides.left, day.sides.right
            if left is None or right is None:
                assert day.judgement.verdict is Verdict.UNKNOWN
            elif part.currency == code and left.high_ms <= low < right.low_ms and gone.net.amount:
                # Beside the row that is gone other rows may hide it within an anchor's interval.
                if _quiet(rest, left.low_ms, left.high_ms) and _quiet(
                    rest, right.low_ms, right.high_ms
                ):
                    assert day.judgement.verdict is Verdict.DIFFERS
                    assert day.judgement.remainder == gone.net.amount
            elif part.currency != code or not left.low_ms <= low < right.high_ms:
                assert day.judgement.verdict is Verdict.TIES


def _quiet(rows: Sequence[BalanceTransaction], low: int, high: int) -> bool:
    return not any(low <= to_milliseconds(each.created) < high for each in rows)


async def _tied(
    stores: Stores,
    booked: Sequence[BalanceTransaction],
    instants: Sequence[int],
    true: Sequence[BalanceTransaction],
    question: Question,
    imported: bool,
) -> TieOut:
    room = on(stores)
    await room.book(booked)
    for start, end, totals in readings_of(true, instants):
        await room.read(start, end, **totals)
    await room.know(imported=imported)
    return await room.tie_outs.of(CALLER, question)


async def test_a_day_has_its_parts(stores: Stores) -> None:
    room = on(stores)
    await room.read(START_MS - HOUR_MS, START_MS - HOUR_MS + 9, usd=40)
    await room.book(
        [
            transaction("txn_1", "charge", 100, 3, created=START),
            transaction("txn_2", "payout", -50, created=START + DAY / 2),
            transaction("txn_3", "refund", -10, created=START + DAY),
            transaction("txn_4", "charge", 9, created=START, balance_type="issuing"),
        ]
    )
    await room.know()
    (usd,) = (await room.tie_outs.of(CALLER, Question(START, START + 2 * DAY, "UTC"))).currencies
    first, second = usd.days
    assert first.parts == {NetPart.GROSS: 100, NetPart.FEES: -3, NetPart.PAYOUTS: -50}
    assert (first.opening, first.net, first.closing) == (40, 97, 87)
    assert (second.opening, second.net, second.closing) == (87, -10, 77)
    assert {part for part in first.parts if part in APART} == {NetPart.PAYOUTS}
    assert first.judgement.verdict is Verdict.UNKNOWN


async def test_history_begins_with_nothing_where_it_is_imported(stores: Stores) -> None:
    room = on(stores)
    await room.book([row(1, START_MS - 99 * DAY_MS, 5), row(2, START_MS + 9, 3)])
    await room.read(START_MS + 2 * DAY_MS, START_MS + 2 * DAY_MS + 9, usd=8)
    await room.know()
    assert await room.verdicts(edges(1), "usd") == ["UNKNOWN"]
    await room.know(imported=True)
    assert await room.verdicts(edges(1), "usd") == ["TIES"]
    (usd,) = await room.tie_outs.between(room.stripe_account, [START, START + DAY])
    assert (usd.days[0].opening, usd.days[0].sides.left) == (5, BEGINNING)


async def test_a_reading_is_judged_once_rows_are_read_past_it(stores: Stores) -> None:
    room = on(stores)
    end = START_MS + DAY_MS
    await room.read(START_MS - 9_000, START_MS - 8_000, usd=0)
    await room.read(end, end + 900, usd=7)
    await room.know(end + 900)
    assert await room.verdicts(edges(1), "usd") == ["UNKNOWN"]
    await room.know(end + 901)
    assert await room.verdicts(edges(1), "usd") == ["DIFFERS 7"]


async def test_an_anchor_amid_too_many_rows_says_nothing(stores: Stores) -> None:
    room = on(stores)
    end = START_MS + DAY_MS
    await room.read(START_MS - 9_000, START_MS - 8_000, usd=0)
    await room.book(row(number, end, 1) for number in range(MAX_WITHIN + 1))
    await room.read(end, end + 900, usd=10_000)
    await room.know()
    assert await room.verdicts(edges(1), "usd") == ["UNKNOWN"]


async def test_what_is_wrong_is_refused_at_once(stores: Stores) -> None:
    question = Question(START, START + 401 * DAY, "Mars", currency="x")
    with pytest.raises(InvalidArgument) as refused:
        await on(stores).tie_outs.of(CALLER, question)
    assert {each.field for each in refused.value.violations} == {
        "period.end_time", "period.time_zone", "currency",
    }  # fmt: skip


async def test_plans(stores: Stores) -> None:
    """All sums come from covering indexes: no row is read."""
    room = on(stores)
    days = 40
    for number in range(days):
        at = START_MS + number * DAY_MS
        await room.read(at, at + 900, usd=5 * (number + 1))
        await room.book([row(number, at, 5)])
    await room.know(imported=True)
    asked = [from_milliseconds(START_MS + number * DAY_MS) for number in range(30, 33)]
    plans = await plans_of(stores, partial(room.tie_outs.between, room.stripe_account, asked))
    read = [each for each in plans if "balance_transactions" in each.text]
    assert read
    assert all(each.covered for each in read), [each.text for each in read]
