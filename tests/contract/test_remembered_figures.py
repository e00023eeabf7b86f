"""Remembered figures are those of the rows, whatever is written in between, by any process."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typing_extensions import override

from application.analytics.metrics import Metric
from application.analytics.ports import FigureRow
from application.analytics.remembered_port import Asked, Bucket, Remembered, RememberedFigures
from application.analytics.remembering import MAX_BUCKETS, RememberedAnalytics
from application.mirror.nouns import CHARGES
from domain.errors import Reason, Unavailable
from domain.money import Money
from infrastructure.mongo.day_marks import SHARED_SECONDS
from sandbox.servers.mongod import drop_mongo_database
from tests.contract.samples import NOON_MS, OURS, charge, snapshot, store_new
from tests.support.rooms.remembering import (
    SETTLED_SALES,
    SOLD,
    Process,
    Sale,
    World,
    opened,
)
from tests.support.servers.stores import Stores

MIDNIGHT: Final = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
DAY: Final = dt.timedelta(days=1)
HOUR: Final = dt.timedelta(hours=1)
NOW: Final = MIDNIGHT + 3 * DAY + HOUR
"""Three of the days are over, the fourth has begun."""

DAYS: Final = [MIDNIGHT + number * DAY for number in range(6)]
SHIFTED: Final = [day - 5 * HOUR for day in DAYS]
"""Days of another zone: each has a part of two UTC days."""

ASKED: Final = Asked("acct_1", "digest", "usd")


@pytest.fixture(params=["sqlite", "mongo"])
async def open_world(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[partial[AbstractAsyncContextManager[World]]]:
    """Opens processes on one database that is the test's own."""
    name = f"billing_test_{uuid4().hex}"
    if request.param == "sqlite":
        yield partial(opened, tmp_path / "billing.db", name)
        return
    url: str = request.getfixturevalue("mongo_url")
    yield partial(opened, url, name)
    drop_mongo_database(url, name)


@pytest.fixture
async def world(open_world: partial[AbstractAsyncContextManager[World]]) -> AsyncIterator[World]:
    async with open_world() as found:
        found.clock.instant = NOW
        yield found


def sale(
    id_: str = "sale_1",
    *,
    at: dt.datetime = MIDNIGHT + HOUR,
    amount: int = 5,
    status: str = "paid",
    currency: str = "usd",
) -> Sale:
    return Sale(id_, at, status, Money(amount, currency))


async def answer(
    process: Process,
    edges: list[dt.datetime] = DAYS,
    metric: Metric = SOLD,
    account: str = "acct_1",
) -> tuple[list[FigureRow], list[int]]:
    """What a process answers, and over how many buckets it asked the rows for it."""
    process.watched.questions.clear()
    rows = await process.analytics.figures(metric, account, edges)
    direct = await process.direct.figures(metric, account, edges)
    assert in_order(rows) == in_order(direct)
    return in_order(rows), sorted(process.watched.questions)


def in_order(rows: Any) -> list[FigureRow]:
    return sorted(rows, key=lambda row: (row.bucket, row.currency, str(row.group)))


async def test_closed_buckets_are_read_once_and_then_remembered_for_all_processes(
    world: World,
) -> None:
    await world.first.write(sale(), "sale_1", "acct_1")
    await world.first.write(sale("sale_2", at=NOW, amount=7), "sale_2", "acct_1")
    await world.pass_time()
    paid = ("paid",)
    rows = [FigureRow(0, "usd", paid, (5,), 1), FigureRow(3, "usd", paid, (7,), 1)]
    assert await answer(world.first) == (rows, [5])
    assert await answer(world.first) == (rows, [2]), "what is not over is always read"
    assert await answer(world.second) == (rows, [2])
    assert await answer(world.second, DAYS[:4]) == (rows[:1], [])
    assert await answer(world.second, account="acct_2") == ([], [5]), "of each account its own"
    assert await answer(world.second, SHIFTED) == (rows, [5]), "and of other edges"


async def test_a_bucket_is_not_remembered_while_a_mark_of_it_is_young(world: World) -> None:
    await world.first.write(sale(), "sale_1", "acct_1")
    for process in (world.first, world.second, world.first):
        rows, questions = await answer(process, DAYS[:4])
        assert len(rows) == 1
        assert questions[0] >= 1, "the first day is asked for"
    await world.pass_time()
    assert (await answer(world.second, DAYS[:4]))[1] == [1]
    assert (await answer(world.second, DAYS[:4]))[1] == []


async def test_a_write_is_seen_at_once_on_the_day_that_it_left_and_the_one_it_came_to(
    world: World,
) -> None:
    await world.first.write(sale(), "sale_1", "acct_1")
    await world.pass_time()
    await answer(world.second)
    await world.first.write(sale(at=MIDNIGHT + 2 * DAY), "sale_1", "acct_1")
    rows, questions = await answer(world.second)
    assert rows == [FigureRow(2, "usd", ("paid",), (5,), 1)]
    assert questions == [1, 3], "the day between stands"
    await world.first.write(None, "sale_1", "acct_1")
    assert (await answer(world.second))[0] == []


async def test_what_is_derived_moves_a_row_to_another_day(world: World) -> None:
    await world.first.settle("sale_1", MIDNIGHT, 1, "acct_1")
    assert await answer(world.second, metric=SETTLED_SALES) == ([], [5])
    await world.second.write(sale(), "sale_1", "acct_1")
    assert [row.bucket for row in (await answer(world.first, metric=SETTLED_SALES))[0]] == [0]
    await world.pass_time()
    await answer(world.first, metric=SETTLED_SALES)
    await world.second.settle("sale_1", MIDNIGHT + DAY, 2, "acct_1")
    rows, questions = await answer(world.first, metric=SETTLED_SALES)
    assert ([row.bucket for row in rows], questions) == ([1], [2, 2])
    await world.pass_time()
    await answer(world.first, metric=SETTLED_SALES)
    await world.second.settle("sale_1", MIDNIGHT, 1, "acct_1")  # late: the stored one stands
    await world.second.settle("sale_1", None, 3, "acct_1")
    assert (await answer(world.first, metric=SETTLED_SALES))[0] == []


async def test_what_no_figure_reads_raises_no_mark(world: World) -> None:
    await world.first.write(sale(), "sale_1", "acct_1")
    await world.first.settle("sale_1", MIDNIGHT + DAY, 1, "acct_1")
    before = await world.first.remembered.marks("acct_1", "sale", range(30_000))
    assert len(before) == 2
    await world.first.write(replace(sale(), note="told otherwise"), "sale_1", "acct_1")
    await world.first.settle("sale_1", MIDNIGHT + DAY, 2, "acct_1")
    after = await world.first.remembered.marks("acct_1", "sale", range(30_000))
    assert {(mark.day, mark.number) for mark in before} == {(m.day, m.number) for m in after}
    assert await world.first.remembered.marks("acct_1", "charge", range(30_000)) == []
    assert await world.first.remembered.marks("acct_1", "sale", range(20_000)) == []


async def test_two_that_derive_at_once_raise_the_marks_of_all_days(world: World) -> None:
    await world.first.write(sale(), "sale_1", "acct_1")
    times = [MIDNIGHT + number * DAY for number in range(3)]
    await asyncio.gather(
        *(
            (world.first, world.second)[number % 2].settle("sale_1", at, number, "acct_1")
            for number, at in enumerate(times)
        )
    )
    rows, _ = await answer(world.first, metric=SETTLED_SALES)
    assert [row.bucket for row in rows] == [2]
    await world.pass_time()
    await answer(world.first, metric=SETTLED_SALES)
    await asyncio.gather(
        world.first.write(sale(status="void"), "sale_1", "acct_1"),
        world.second.settle("sale_1", MIDNIGHT, 9, "acct_1"),
    )
    assert (await answer(world.first, metric=SETTLED_SALES))[0] == []


async def test_of_what_was_kept_the_oldest_goes(world: World) -> None:
    store = world.first.remembered

    def entries(first: int, count: int) -> list[Remembered]:
        return [Remembered((number, number + 1), 0, ()) for number in range(first, first + count)]

    buckets: list[Bucket] = [(number, number + 1) for number in range(10)]
    await store.keep(ASKED, entries(0, 4), most=6)
    await store.keep(replace(ASKED, currency=""), entries(0, 2), most=6)
    assert len(await store.recall(ASKED, buckets)) == 4
    await store.keep(ASKED, [Remembered((0, 1), 7, ())], most=6)
    await store.keep(ASKED, entries(8, 2), most=6)
    left = {entry.bucket[0]: entry.marks for entry in await store.recall(ASKED, buckets)}
    assert left == {0: 7, 3: 0, 8: 0, 9: 0}, "what is kept again is the newest"
    assert len(await store.recall(replace(ASKED, currency=""), buckets)) == 2


async def test_rows_are_remembered_as_they_were(world: World) -> None:
    rows = (
        FigureRow(0, "usd", ("paid", None, 7), (2**62, -5), 3),
        FigureRow(0, "jpy", ("größe 'x' \"y\"", "", 0), (0, 0), 1),
    )
    kept = [Remembered((1, 2), 2**40, rows), Remembered((2, 3), 0, ())]
    await world.first.remembered.keep(ASKED, kept, most=10)
    found = await world.second.remembered.recall(ASKED, [(1, 2), (2, 3), (3, 4)])
    assert [(each.bucket, each.marks, tuple(each.rows)) for each in sorted(found, key=str)] == [
        (each.bucket, each.marks, tuple(each.rows)) for each in kept
    ]


async def test_nothing_is_remembered_where_that_is_off_nor_of_too_many_buckets(
    open_world: partial[AbstractAsyncContextManager[World]],
) -> None:
    async with open_world(most=0) as world:
        world.clock.instant = NOW
        for _ in range(2):
            assert (await answer(world.first))[1] == [5]
    async with open_world() as world:
        world.clock.instant = NOW
        many = [MIDNIGHT - number * HOUR for number in range(MAX_BUCKETS + 1, -1, -1)]
        for _ in range(2):
            assert (await answer(world.first, many))[1] == [MAX_BUCKETS + 1]


async def test_a_metric_is_not_remembered_whose_columns_raise_no_mark(world: World) -> None:
    noted = replace(
        SETTLED_SALES,
        index=("status", "created", "currency", "note"),
        date="created",
        by=("note",),
    )
    await world.first.write(sale(), "sale_1", "acct_1")
    await world.pass_time()
    for _ in range(2):
        assert (await answer(world.first, metric=noted))[1] == [5]


class Forgetful(RememberedFigures):
    """Remembers nothing, and says so."""

    def __init__(self, remembered: RememberedFigures) -> None:
        self._remembered = remembered

    @override
    async def marks(self, stripe_account: str, noun: str, days: range) -> Any:
        return await self._remembered.marks(stripe_account, noun, days)

    @override
    async def recall(self, asked: Asked, buckets: Any) -> Any:
        return await self._remembered.recall(asked, buckets)

    @override
    async def keep(self, asked: Asked, entries: Any, most: int) -> None:
        raise Unavailable(Reason.STORE_UNAVAILABLE, "the store does not answer")


async def test_an_answer_that_cannot_be_kept_is_an_answer(world: World) -> None:
    await world.first.write(sale(), "sale_1", "acct_1")
    forgetful = Forgetful(world.first.remembered)
    analytics = RememberedAnalytics(world.first.direct, forgetful, world.clock, 10)
    assert len(await analytics.figures(SOLD, "acct_1", DAYS)) == 1


async def test_a_row_that_moves_while_its_days_are_read_counts_once(world: World) -> None:
    """From a day that is remembered into one that is read: it is not counted on both."""
    await world.first.write(sale(), "sale_1", "acct_1")
    await world.pass_time()
    await answer(world.second)
    moved = partial(world.first.write, sale(at=NOW), "sale_1", "acct_1")
    world.second.watched.before = moved
    rows = await world.second.analytics.figures(SOLD, "acct_1", DAYS)
    assert [row.bucket for row in rows] == [3]


async def test_what_is_written_today_spoils_no_answer(world: World) -> None:
    await answer(world.second)
    world.second.watched.before = partial(
        world.first.write, sale(at=MIDNIGHT + 4 * DAY), "sale_1", "acct_1"
    )
    world.second.watched.questions.clear()
    await world.second.analytics.figures(SOLD, "acct_1", DAYS)
    assert world.second.watched.questions == [2], "the rest is not read again"


async def test_the_mark_of_a_stream_is_raised_every_ten_seconds_on_mongodb(
    mongo_url: str,
) -> None:
    name = f"billing_test_{uuid4().hex}"
    try:
        async with opened(mongo_url, name) as world:
            numbers = []
            for amount in range(4):
                await world.first.write(sale(amount=amount), "sale_1", "acct_1")
                (mark,) = await world.first.remembered.marks("acct_1", "sale", range(30_000))
                numbers.append(mark.number)
                world.time.seconds += SHARED_SECONDS / 2
            assert numbers == [1, 1, 2, 2]
    finally:
        drop_mongo_database(mongo_url, name)


async def test_a_row_that_comes_late_raises_its_marks_again_on_mongodb(mongo_url: str) -> None:
    """Also where it is not known whether it came: then with the next row that is written."""
    name = f"billing_test_{uuid4().hex}"
    try:
        async with opened(mongo_url, name) as world:
            world.clock.instant = NOW
            slow = world.first.marks
            assert slow is not None
            for broken_off in (False, True):
                slow.gate = asyncio.Event()
                slow.reached.clear()
                id_ = f"sale_{broken_off}"
                writing = asyncio.create_task(world.first.write(sale(id_), id_, "acct_1"))
                await slow.reached.wait()
                await world.pass_time()
                rows, _ = await answer(world.second)
                if broken_off:
                    writing.cancel()
                    with suppress(asyncio.CancelledError):
                        await writing
                    slow.gate = None
                    other = sale("sale_2", at=NOW)
                    first = (await _marks(world))[0].number
                    await world.first.write(other, "sale_2", "acct_1")
                    assert (await _marks(world))[0].number == first + 1
                else:
                    slow.gate.set()
                    await writing
                    assert len((await answer(world.second))[0]) == len(rows) + 1
    finally:
        drop_mongo_database(mongo_url, name)


async def test_what_is_reckoned_of_a_row_is_done_only_while_that_is_so_on_mongodb(
    mongo_url: str,
) -> None:
    """Another moved it between the marks and the row: the day that it left then has its mark."""
    name = f"billing_test_{uuid4().hex}"
    settled = partial(answer, metric=SETTLED_SALES)
    try:
        async with opened(mongo_url, name) as world:
            world.clock.instant = NOW
            first, second = world.first, world.second
            await first.write(sale(), "sale_1", "acct_1")
            for number, (before, held, meanwhile) in enumerate(
                (
                    # Derived while another derives, of a row and before there is a snapshot;
                    (_settle(first, 0, 1), _settle(second, 1, 5), _settle(first, 2, 3)),
                    (_settle(first, 0, 1), _store(second), _settle(first, 2, 3)),
                    # and derived while the first snapshot comes, to facets and to nothing.
                    (_settle(first, 0, 1), _settle(second, 1, 5), _store(first)),
                    (None, _settle(second, 1, 5), _store(first)),
                ),
                start=1,
            ):
                id_ = f"sale_{number}"
                if before is not None:
                    await before(id_)
                await world.pass_time()
                await settled(first)
                async with _held(second, held(id_)):
                    await meanwhile(id_)
                    await world.pass_time()
                    await settled(first)
                await settled(first)
            rows = (await settled(first))[0]
            assert [(row.bucket, row.count) for row in rows] == [(1, 3), (2, 1)]
    finally:
        drop_mongo_database(mongo_url, name)


Step = Callable[[str], Coroutine[Any, Any, None]]


def _settle(process: Process, day: int, number: int) -> Step:
    return lambda id_: process.settle(id_, DAYS[day], number, "acct_1")


def _store(process: Process) -> Step:
    return lambda id_: process.write(sale(id_), id_, "acct_1")


@asynccontextmanager
async def _held(process: Process, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """The work of a process is held up between the marks and the row."""
    marks = process.marks
    assert marks is not None
    marks.gate = asyncio.Event()
    marks.reached.clear()
    working = asyncio.create_task(work)
    await marks.reached.wait()
    yield
    marks.gate.set()
    marks.gate = None
    await working


async def _marks(world: World) -> list[Any]:
    found = await world.second.remembered.marks("acct_1", "sale", range(30_000))
    return sorted(found, key=lambda mark: mark.day)


# --- whatever is done, in whatever order ---


@dataclass(frozen=True, slots=True)
class Write:
    """A sale is stored, or deleted (no time)."""

    process: int
    id: str
    at: dt.datetime | None
    status: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Settle:
    process: int
    id: str
    at: dt.datetime | None
    number: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A question, and what is written while its rows are read."""

    process: int
    metric: Metric
    edges: tuple[dt.datetime, ...]
    currency: str | None
    meanwhile: Write | Settle | None
    late: bool


@dataclass(frozen=True, slots=True)
class Pass:
    """Two minutes go by."""


@dataclass(frozen=True, slots=True)
class Begin:
    """The second process raises the marks of a write, and is held up before the row."""

    write: Write | Settle


@dataclass(frozen=True, slots=True)
class End:
    """That goes on, or dies."""

    dies: bool


_IDS = st.sampled_from(["sale_1", "sale_2", "sale_3"])
_TIMES = st.sampled_from([MIDNIGHT + hours * HOUR for hours in (0, 1, 22, 24, 47, 50, 73, 100)])
_PROCESS = st.integers(0, 1)
_WRITES = st.builds(
    Write,
    _PROCESS,
    _IDS,
    st.none() | _TIMES | _TIMES,
    st.sampled_from(["paid", "paid", "part", "void"]),
    st.integers(0, 3),
    st.sampled_from(["usd", "jpy"]),
)
_SETTLES = st.builds(Settle, _PROCESS, _IDS, st.none() | _TIMES | _TIMES, st.integers(0, 5))
_ASKS = st.builds(
    Ask,
    _PROCESS,
    st.sampled_from([SOLD, SETTLED_SALES]),
    st.sampled_from([tuple(DAYS), tuple(DAYS[:4]), tuple(SHIFTED), (DAYS[0], DAYS[4])]),
    st.sampled_from([None, None, "jpy"]),
    st.none() | _WRITES | _SETTLES,
    st.booleans(),
)
_STEPS = st.lists(
    st.one_of(
        _ASKS, _ASKS, _WRITES, _SETTLES, st.just(Pass()), st.just(Pass()),
        st.builds(Begin, _WRITES | _SETTLES), st.builds(End, st.booleans()),
    ),
    min_size=4,
    max_size=14,
)  # fmt: skip


class Run:
    """One example, on a Stripe account of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._account = f"acct_{uuid4().hex}"
        self._held: asyncio.Task[None] | None = None

    async def do(self, step: Any) -> None:
        match step:
            case Pass():
                await self._world.pass_time()
            case Begin():
                await self.end(dies=False)
                await self._begin(step.write)
            case End():
                await self.end(dies=step.dies)
            case Ask():
                await self._ask(step)
            case _:
                await self._write(step)

    async def _write(self, step: Write | Settle, process: Process | None = None) -> None:
        # What is held up would hold up the next of its process, too.
        numbers = (self._world.first, self._world.second)
        chosen = process or numbers[0 if self._held else step.process]
        if isinstance(step, Settle):
            await chosen.settle(step.id, step.at, step.number, self._account)
            return
        told = None
        if step.at is not None:
            told = Sale(step.id, step.at, step.status, Money(step.amount, step.currency))
        await chosen.write(told, step.id, self._account)

    async def _begin(self, step: Write | Settle) -> None:
        marks = self._world.second.marks
        if marks is None:  # on SQLite nobody sees a mark without its row
            await self._write(step, self._world.second)
            return
        marks.gate = asyncio.Event()
        marks.reached.clear()
        self._held = asyncio.create_task(self._write(step, self._world.second))
        await marks.reached.wait()

    async def end(self, *, dies: bool) -> None:
        held, marks = self._held, self._world.second.marks
        if held is None or marks is None or marks.gate is None:
            return
        gate, marks.gate, self._held = marks.gate, None, None
        if dies:
            held.cancel()
            with suppress(asyncio.CancelledError):
                await held
        gate.set()
        if not dies:
            await held

    async def _ask(self, step: Ask) -> None:
        process = (self._world.first, self._world.second)[step.process]
        question = partial(
            process.direct.figures, step.metric, self._account, step.edges, step.currency
        )
        before = in_order(await question())
        if step.meanwhile is not None:
            between = partial(self._write, step.meanwhile)
            if step.late:
                process.watched.after = between
            else:
                process.watched.before = between
        told = in_order(
            await process.analytics.figures(step.metric, self._account, step.edges, step.currency)
        )
        process.watched.before = process.watched.after = None
        assert told in (before, in_order(await question()))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=_STEPS)
async def test_what_is_remembered_is_what_would_be_read(world: World, steps: list[Any]) -> None:
    run = Run(world)
    try:
        for step in steps:
            await run.do(step)
        await run.do(Ask(0, SOLD, tuple(DAYS), None, None, late=False))
        await run.do(Ask(1, SETTLED_SALES, tuple(SHIFTED), None, None, late=False))
    finally:
        await run.end(dies=True)


async def test_a_year_is_recalled_in_one_question(world: World) -> None:
    year = [MIDNIGHT - number * DAY for number in range(365, -1, -1)]
    for number in range(0, 365, 30):
        id_ = f"sale_{number}"
        await world.first.write(sale(id_, at=year[number], amount=number), id_, "acct_1")
    await world.pass_time()
    assert (await answer(world.first, year))[1] == [365]
    rows, questions = await answer(world.second, year)
    assert (len(rows), questions) == (13, [])


async def test_nothing_is_scanned_for_it(stores: Stores) -> None:
    await store_new(stores.mirror, CHARGES, charge())
    figures = stores.remembered_figures
    kept = [Remembered((number, number + 1), 0, ()) for number in range(20)]

    async def work() -> None:
        await stores.mirror.replace(CHARGES, [(snapshot(charge(amount=7), at=NOON_MS + 1), 1)])
        await figures.marks(OURS, "charge", range(30_000))
        await figures.keep(ASKED, kept, most=10)
        await figures.recall(ASKED, [entry.bucket for entry in kept])

    plans = await stores.explain(work)
    assert len(plans) >= 4
    for plan in plans:
        assert not plan.scans, plan.text
        assert not plan.sorts, plan.text
