"""Catch-up on fakes: killed and refused wherever it waits, it claims no more than it has."""

import asyncio
import datetime as dt
import logging
from contextlib import suppress
from dataclasses import replace
from typing import Final

import pytest

from application.background.retries import Retries
from application.connections.platform import Platform
from application.connections.sources import MirroredAccounts, Source
from application.events.inbox import EventState, ReceivedEvent
from application.mirror.enrichment import Enrichment
from application.mirror.importer import Importer
from application.mirror.nouns import CUSTOMERS
from application.mirror.writer import MirrorWriter
from application.upkeep.backfill import Backfill
from application.upkeep.catch_up import RETENTION, TASK, CatchUp, Standing
from application.upkeep.comparison import Comparison
from application.upkeep.reconciliation import Reconciliation
from domain.connections import Connection, ConnectionKind, Mode
from domain.customers import Customer
from domain.errors import Conflict, FailedPrecondition, Reason, Unavailable
from domain.periods import to_milliseconds
from tests.support.fakes.lists import FakeCheckpoints, FakeHistory, FakeReports
from tests.support.fakes.logs import FakeInbox
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeDeployment,
    FakeMirror,
    FakeStripeAccounts,
    Pause,
    no_pause,
    store_down,
)
from tests.support.servers.service import until

ACCOUNT: Final = "acct_1"
SOURCE: Final = Source(ACCOUNT, ours=False, since=NOON - dt.timedelta(days=1))
LINK: Final = Connection("a", ACCOUNT, Mode.TEST, ConnectionKind.MANUAL, NOON)


class Killed(BaseException):
    """The process died here."""


async def no_wait(_: float) -> None:
    """Try again at once."""


class StripeAndStores:
    """Stripe and the stores, which outlive every process."""

    def __init__(self, events: int = 8) -> None:
        self.clock = FakeClock()
        self.where: Pause = no_pause
        self.calls = 0
        self.stripe = FakeHistory(self.clock, self.pause)
        self.mirror = FakeMirror(self.pause)
        self.inbox = FakeInbox(self.pause)
        self.checkpoints = FakeCheckpoints(self.pause)
        self.connections = FakeConnections(LINK)
        self.accounts = FakeStripeAccounts()
        self.arrived = asyncio.Event()
        self.happen(events)

    async def pause(self, where: str) -> None:
        self.calls += 1
        await self.where(where)

    def happen(self, events: int) -> None:
        """Let so many events be, up to a minute before now."""
        latest = to_milliseconds(self.clock.now()) // 1000 * 1000 - 60_000
        for number in range(events):
            self.stripe.told.append(
                ReceivedEvent(
                    f"evt_{len(self.stripe.told):03}", ACCOUNT, "customer.created", "",
                    latest - (events - number) * 1000, "customer", f"cus_{number}", b"{}", NOON,
                )
            )  # fmt: skip

    def catch_up(self) -> CatchUp:
        """As a new process has it."""
        retries = Retries(tries=2, sleep=no_wait)
        importer = Importer(MirrorWriter(self.mirror), self.stripe, Enrichment(self.mirror))
        platform = Platform(FakeDeployment(), self.accounts, Mode.TEST)
        return CatchUp(
            self.stripe, self.inbox, self.checkpoints,
            MirroredAccounts(self.connections, platform, Mode.TEST),
            Backfill(
                self.stripe, importer, self.checkpoints, self.clock, nouns=[CUSTOMERS],
                retries=retries,
            ),
            Reconciliation(
                self.stripe, self.mirror,
                Comparison(self.mirror, self.stripe, importer, retries=retries),
                self.checkpoints, FakeReports(), self.clock, nouns=[CUSTOMERS], retries=retries,
            ),
            self.clock, self.arrived, retries=retries,
        )  # fmt: skip

    async def claims_no_more_than_it_has(self) -> None:
        """Every event before the watermark is in the inbox."""
        state = self.checkpoints.kept.get((ACCOUNT, TASK))
        through = state.state["through_ms"] if state else None
        for event in self.stripe.told:
            assert through is None or event.created >= through or event.id in self.inbox.events


async def test_an_outage_of_stripe_is_one_line_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("application.upkeep.catch_up.INTERVAL", dt.timedelta(milliseconds=1))
    caplog.set_level(logging.INFO)
    world = StripeAndStores()
    away = Unavailable(Reason.STRIPE_UNAVAILABLE, "Stripe does not answer")
    world.accounts.error = away
    running = asyncio.create_task(world.catch_up().loop.run())

    async def tried_often() -> bool:
        return len(world.accounts.asked) > 20

    async def told() -> bool:
        return len(caplog.records) > 1

    await until(tried_often)
    world.accounts.error = None
    await until(told)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    lines = [(one.levelname, one.getMessage(), one.__dict__.get("error")) for one in caplog.records]
    assert lines == [
        ("INFO", "catch-up waits", "Stripe does not answer"),
        ("INFO", "catch-up goes on", None),
    ]
    assert all(record.exc_info is None for record in caplog.records)


async def steps_of_a_poll() -> int:
    world = StripeAndStores()
    await world.catch_up().poll(SOURCE)
    return world.calls


@pytest.mark.parametrize("error", [Killed(), store_down()], ids=["killed", "failing"])
async def test_stopped_at_every_step(error: Exception) -> None:
    for step in range(await steps_of_a_poll()):
        world = StripeAndStores()

        async def stop(_: str, world: StripeAndStores = world, step: int = step) -> None:
            if world.calls == step + 1:
                raise error

        world.where = stop
        with suppress(Killed, Unavailable):
            await world.catch_up().poll(SOURCE)
        await world.claims_no_more_than_it_has()
        world.where = no_pause
        world.happen(4)
        await world.catch_up().poll(SOURCE)  # an open window is read to its end first
        polled = await world.catch_up().poll(SOURCE)
        assert polled.data_through is not None
        assert {event.id for event in world.stripe.told} == world.inbox.events.keys()
        await world.claims_no_more_than_it_has()


async def test_the_next_window_begins_an_hour_before_the_watermark() -> None:
    world = StripeAndStores()
    await world.catch_up().poll(SOURCE)
    late = replace(world.stripe.told[0], id="evt_late", created=to_milliseconds(NOON) - 59 * 60_000)
    world.stripe.told.append(late)
    polled = await world.catch_up().poll(SOURCE)
    assert polled.new == 1
    assert "evt_late" in world.inbox.events


async def test_without_news_nobody_is_woken() -> None:
    world = StripeAndStores(events=0)
    polled = await world.catch_up().poll(SOURCE)
    assert (polled.listed, polled.new) == (0, 0)
    assert not world.arrived.is_set()
    assert polled.data_through is not None


async def test_two_processes_do_not_move_the_watermark_under_each_other() -> None:
    world = StripeAndStores()
    first = world.catch_up()
    entered = asyncio.Event()
    go_on = asyncio.Event()

    async def hold(where: str) -> None:
        if where == "inbox.append" and not entered.is_set():
            entered.set()
            await go_on.wait()

    world.where = hold
    slow = asyncio.create_task(first.poll(SOURCE))
    await entered.wait()
    await world.catch_up().poll(SOURCE)
    go_on.set()
    with pytest.raises(Conflict) as refused:
        await slow
    assert refused.value.reason is Reason.REQUEST_IN_FLIGHT
    await world.claims_no_more_than_it_has()


async def test_an_account_that_was_just_polled_is_left_alone() -> None:
    world = StripeAndStores()
    await world.catch_up().poll_all()
    asked = len(world.stripe.asked)
    await world.catch_up().poll_all()
    assert len(world.stripe.asked) == asked, "by another process, within the interval"
    world.clock.advance(minutes=1)
    await world.catch_up().poll_all()
    assert len(world.stripe.asked) > asked


async def test_an_account_that_was_polled_while_our_clock_was_ahead_is_not() -> None:
    world = StripeAndStores()
    world.clock.advance(days=2)
    await world.catch_up().poll_all()
    asked = len(world.stripe.asked)
    world.clock.advance(days=-2)
    await world.catch_up().poll_all()
    assert len(world.stripe.asked) > asked


async def test_an_accounts_failure_is_its_own() -> None:
    world = StripeAndStores()

    async def fail(where: str) -> None:
        if where == "stripe.events" and len(world.stripe.asked) == 1:
            raise Unavailable(Reason.STRIPE_UNAVAILABLE, "away")

    world.where = fail
    await world.catch_up().poll_all()
    assert world.inbox.events.keys() == {event.id for event in world.stripe.told}


async def gap(world: StripeAndStores) -> CatchUp:
    """A world in which events went by unseen for longer than Stripe keeps them."""
    await world.catch_up().poll(SOURCE)
    world.clock.advance(days=40)
    world.stripe.add(CUSTOMERS, *(Customer(f"cus_{n}", NOON, name="unseen") for n in range(5)))
    catch_up = world.catch_up()
    assert (await catch_up.poll(SOURCE)).gap
    return catch_up


async def test_a_gap_is_mended_wherever_mending_is_stopped() -> None:
    world = StripeAndStores()
    catch_up = await gap(world)
    before = world.calls
    await catch_up.mend(ACCOUNT)
    steps = world.calls - before
    for step in range(steps):
        world = StripeAndStores()
        catch_up = await gap(world)
        begun = world.calls

        async def die(_: str, world: StripeAndStores = world, at: int = begun + step + 1) -> None:
            if world.calls == at:
                raise Killed

        world.where = die
        with suppress(Killed):
            await catch_up.mend(ACCOUNT)
        world.where = no_pause
        polled = await world.catch_up().poll(SOURCE)
        if polled.gap:
            await world.catch_up().mend(ACCOUNT)
        assert await world.mirror.count(CUSTOMERS, ACCOUNT) == 5
        through = await world.catch_up().data_through(ACCOUNT)
        assert through is not None
        assert world.clock.now() - through < RETENTION
        assert not (await world.catch_up().poll(SOURCE)).gap


async def test_a_second_gap_while_one_is_mended_is_mended_too() -> None:
    world = StripeAndStores()
    catch_up = await gap(world)
    again = False

    async def sleep_long(where: str) -> None:
        nonlocal again
        if where == "stripe.page" and not again:
            again = True
            world.clock.advance(days=40)
            assert (await world.catch_up().poll(SOURCE)).gap

    world.where = sleep_long
    await catch_up.mend(ACCOUNT)
    assert (await catch_up.poll(SOURCE)).gap, "its own backfill has not begun after it"
    await catch_up.mend(ACCOUNT)
    assert not (await catch_up.poll(SOURCE)).gap


async def test_until_a_gap_is_mended_the_watermark_stands() -> None:
    world = StripeAndStores()
    await world.catch_up().poll(SOURCE)
    before = await world.catch_up().data_through(ACCOUNT)
    world.clock.advance(days=40)
    for _ in range(3):
        polled = await world.catch_up().poll(SOURCE)
        assert polled.gap
        assert polled.data_through == before
        world.clock.advance(minutes=1)


async def test_a_gap_is_shown_until_it_is_mended() -> None:
    world = StripeAndStores()
    catch_up = await gap(world)
    standing = await catch_up.standing(ACCOUNT)
    assert standing.gap is not None
    assert standing.gap.start == standing.data_through == await catch_up.data_through(ACCOUNT)
    assert standing.gap.end > standing.gap.start + RETENTION
    assert (standing.gap.mending, standing.gap.error) == (False, "")

    async def away(where: str) -> None:
        if where == "stripe.page":
            raise FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "connect it again")

    world.where = away
    await catch_up._mend_apart(ACCOUNT)
    waits = (await catch_up.standing(ACCOUNT)).gap
    assert waits is not None
    assert (waits.mending, waits.error) == (True, "connect it again")
    world.where = no_pause
    await catch_up._mend_apart(ACCOUNT)
    mended = await catch_up.standing(ACCOUNT)
    assert mended == Standing(standing.gap.end)


async def test_mending_without_a_gap_does_nothing() -> None:
    world = StripeAndStores()
    await world.catch_up().poll(SOURCE)
    asked = len(world.stripe.asked)
    await world.catch_up().mend(ACCOUNT)
    assert len(world.stripe.asked) == asked


async def test_an_event_that_the_store_does_not_take_is_kept_by_its_bytes() -> None:
    world = StripeAndStores(events=7)
    genuine = world.inbox.append

    async def append(event: ReceivedEvent) -> bool:
        if event.id == "evt_003" and event.type:
            raise OverflowError("too large")
        return await genuine(event)

    world.inbox.append = append  # type: ignore[method-assign]  # a store that refuses one
    polled = await world.catch_up().poll(SOURCE)
    assert (polled.listed, polled.new) == (7, 7)
    assert polled.data_through is not None
    kept = world.inbox.events["evt_003"]
    assert (kept.event.state, kept.event.payload) == (EventState.DEAD, b"{}")
    assert kept.error == "cannot be stored: OverflowError"
    assert len(world.inbox.pending()) == 6


DAYS_AHEAD: Final = 40 * 86_400_000


async def test_a_date_that_is_ahead_moves_the_watermark_no_further_than_our_clock() -> None:
    world = StripeAndStores()
    world.stripe.date_ahead_ms = DAYS_AHEAD
    await world.catch_up().poll(SOURCE)
    through = await world.catch_up().data_through(ACCOUNT)
    assert through is not None
    assert through <= world.clock.now()
    world.stripe.date_ahead_ms = 0
    world.happen(3)
    assert (await world.catch_up().poll(SOURCE)).new == 3
    await world.claims_no_more_than_it_has()


async def test_a_watermark_that_was_set_ahead_is_known_to_nobody() -> None:
    world = StripeAndStores()
    kept = await world.checkpoints.load(ACCOUNT, TASK)
    ahead = {"through_ms": to_milliseconds(world.clock.now()) + DAYS_AHEAD}
    await world.checkpoints.save(replace(kept, state=ahead), now=world.clock.now())
    assert await world.catch_up().data_through(ACCOUNT) is None
    assert (await world.catch_up().poll(SOURCE)).new == 8
    await world.claims_no_more_than_it_has()
