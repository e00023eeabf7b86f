"""Watching: an account's billing events, in order, from any point that is still kept."""

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import pytest

from application.events.watch import PAGE, BillingEvent, Watched, Watching
from application.jobs.outbox import Outbox
from application.requests.callers import Caller
from domain.effects import Fact, FactName, fact_payload
from domain.errors import FieldViolation, InvalidArgument, RateLimited, Reason, Unavailable
from domain.jobs import Job
from domain.money import Money
from tests.support.fakes.breaking import Breaking
from tests.support.fakes.stores import NOON
from tests.support.servers.stores import sqlite_stores

CALLER: Final = Caller("service", "acme", frozenset())
BOUND_SECONDS: Final = 10.0


def paid(number: int, account: str = "acme", name: FactName = FactName.INVOICE_PAID) -> Job:
    fact = Fact(name, f"in_{number}", f"in_{number}", "cus_1", Money(number, "usd"))
    return Job(
        f"{account}/{number}", f"events.{name}", account, NOON, fact_payload(fact, "acct_1", 5_000)
    )


def other(number: int) -> Job:
    return Job(f"notice/{number}", "support.payment_notice", "acme", NOON)


class WatchingOnFakes:
    """An outbox and whoever watches it, in a hurry."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.watching = self.another()

    def another(self, **options: Any) -> Watching:
        hurry = {"poll_seconds": 0.01, "bookmark_seconds": 60.0}
        outbox = options.pop("outbox", self.outbox)
        return Watching(outbox, **(hurry | options))

    async def take(self, count: int, **options: Any) -> list[Watched]:
        """The first items of a watch, its first bookmark left out."""
        return (await taken(self.watching.watch(CALLER, **options), count + 1))[1:]


async def taken(watch: AsyncGenerator[Watched, None], count: int) -> list[Watched]:
    found: list[Watched] = []
    async with asyncio.timeout(BOUND_SECONDS), aclosing(watch) as items:
        while len(found) < count:
            found.append(await anext(items))
    return found


def objects(items: list[Watched]) -> list[str]:
    return [one.event.object_id for one in items if one.event is not None]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[WatchingOnFakes]:
    async with sqlite_stores(tmp_path / "billing.db") as stores:
        yield WatchingOnFakes(stores.outbox)


async def test_events_are_typed(desk: WatchingOnFakes) -> None:
    await desk.outbox.append([paid(7)])
    (found,) = await desk.take(1, oldest=True)
    assert found.event == BillingEvent(
        "acme/7", "invoice_paid", "acme", "acct_1", "in_7", "cus_1", Money(7, "usd"),
        dt.datetime(1970, 1, 1, 0, 0, 5, tzinfo=dt.UTC),
    )  # fmt: skip


async def test_a_watch_begins_now_and_shows_the_accounts_events_as_they_come(
    desk: WatchingOnFakes,
) -> None:
    await desk.outbox.append([paid(1)])
    async with aclosing(desk.watching.watch(CALLER)) as watch:
        first = await anext(watch)
        assert first.event is None
        await desk.outbox.append([other(1), paid(2), paid(3, "other"), paid(4)])
        assert objects([await anext(watch), await anext(watch)]) == ["in_2", "in_4"]
        await desk.outbox.append([paid(5)])
        assert objects([await anext(watch)]) == ["in_5"]
    assert objects(await desk.take(3, resume_token=first.resume_token)) == ["in_2", "in_4", "in_5"]


async def test_a_watch_goes_on_from_every_token_without_gap_or_repeat(
    desk: WatchingOnFakes,
) -> None:
    numbers = range(2 * PAGE + 5)
    await desk.outbox.append([one for n in numbers for one in (paid(n), paid(n, "other"))])
    everything = await desk.take(len(numbers), oldest=True)
    assert objects(everything) == [f"in_{n}" for n in numbers]
    for at in (0, PAGE - 1, PAGE, 2 * PAGE + 3):
        rest = await desk.take(len(numbers) - at - 1, resume_token=everything[at].resume_token)
        assert rest == everything[at + 1 :]


@pytest.mark.parametrize("look", ["watch", "bounds"])
async def test_an_event_that_comes_between_two_looks_is_shown_once(
    desk: WatchingOnFakes, look: str
) -> None:
    number = 0

    async def append(where: str) -> None:
        nonlocal number
        if where == look and number < 5:
            number += 1
            await desk.outbox.append([paid(number)])

    watching = desk.another(outbox=Breaking(desk.outbox, before=append))
    found = await taken(watching.watch(CALLER, oldest=True), 6)
    assert objects(found) == [f"in_{n}" for n in range(1, 6)]


async def test_facts_narrow_a_watch(desk: WatchingOnFakes) -> None:
    names = [FactName.INVOICE_PAID, FactName.PAYOUT_PAID]
    await desk.outbox.append([paid(n, name=names[n % 2]) for n in range(6)])
    found = await desk.take(3, oldest=True, facts=["payout_paid"])
    assert objects(found) == ["in_1", "in_3", "in_5"]


async def test_a_quiet_watch_is_told_how_far_it_has_come(desk: WatchingOnFakes) -> None:
    watching = desk.another(bookmark_seconds=0.02)
    async with aclosing(watching.watch(CALLER)) as watch:
        first = await anext(watch)
        await desk.outbox.append([paid(1, "other")])
        bookmark = await anext(watch)
        while bookmark.resume_token == first.resume_token:
            bookmark = await anext(watch)
    assert bookmark.event is None
    await desk.outbox.append([paid(2)])
    assert objects(await desk.take(1, resume_token=bookmark.resume_token)) == ["in_2"]


async def test_a_slow_reader_holds_a_page_and_nobody_up(desk: WatchingOnFakes) -> None:
    pages = 0

    async def count(where: str) -> None:
        nonlocal pages
        pages += where == "watch"

    watching = desk.another(outbox=Breaking(desk.outbox, before=count))
    async with aclosing(watching.watch(CALLER, oldest=True)) as slow:
        await anext(slow)
        for start in range(0, 900, 300):
            await desk.outbox.append([paid(n) for n in range(start, start + 300)])
        assert objects([await anext(slow)]) == ["in_0"]
        assert len(await desk.take(900, oldest=True)) == 900, "another one is not held up"
        assert pages == 1, "what it has not asked for is not read"
        rest = [await anext(slow) for _ in range(899)]
        assert objects(rest) == [f"in_{n}" for n in range(1, 900)]


@pytest.mark.parametrize("token", ["x", "e", "exyz", "e-1", "e1 ", "e" + "f" * 16, "e99", "E0"])
async def test_a_token_that_is_none_is_refused(desk: WatchingOnFakes, token: str) -> None:
    await desk.outbox.append([paid(1)])
    with pytest.raises(InvalidArgument) as refused:
        await desk.take(1, resume_token=token)
    assert refused.value.reason is Reason.INVALID_PAGE_TOKEN
    assert refused.value.violations[0].field == "resume_token"


async def test_a_token_older_than_what_is_kept_is_refused(desk: WatchingOnFakes) -> None:
    await desk.outbox.append([paid(n) for n in range(5)])
    tokens = [one.resume_token for one in await desk.take(5, oldest=True)]
    assert await desk.outbox.purge(before=NOON + dt.timedelta(1), limit=3) == 3
    assert objects(await desk.take(1, resume_token=tokens[3])) == ["in_4"]
    assert objects(await desk.take(2, resume_token=tokens[2])) == ["in_3", "in_4"]
    with pytest.raises(InvalidArgument, match="deleted by now"):
        await desk.take(1, resume_token=tokens[1])
    assert objects(await desk.take(2, oldest=True)) == ["in_3", "in_4"]


async def test_all_violations_are_told_at_once(desk: WatchingOnFakes) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await desk.take(1, facts=["made_up"], violations=[FieldViolation("account", "is required")])
    assert [one.field for one in refused.value.violations] == ["account", "facts"]


async def test_the_number_of_watches_is_bounded(desk: WatchingOnFakes) -> None:
    watching = desk.another(max_watches=1)
    async with aclosing(watching.watch(CALLER)) as first:
        await anext(first)
        with pytest.raises(RateLimited) as refused:
            await taken(watching.watch(CALLER), 1)
        assert refused.value.reason is Reason.OVERLOADED
    assert len(await taken(watching.watch(CALLER), 1)) == 1, "the first has gone"


async def test_watches_end_when_the_process_does(desk: WatchingOnFakes) -> None:
    watch = desk.watching.watch(CALLER)
    await anext(watch)
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    desk.watching.stop()
    with pytest.raises(Unavailable) as ended:
        async with asyncio.timeout(BOUND_SECONDS):
            await waiting
    assert ended.value.reason is Reason.SHUTTING_DOWN
