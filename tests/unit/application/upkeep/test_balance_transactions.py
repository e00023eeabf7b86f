"""When balance transactions are listed, and how far back."""

import asyncio
import datetime as dt
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import pytest

from application.background.retries import Retries
from application.connections.platform import Platform
from application.connections.sources import MirroredAccounts
from application.effects.happenings import EventWithFacts, ProjectedEvent
from application.events.inbox import ReceivedEvent
from application.mirror.enrichment import Enrichment
from application.mirror.importer import Importer
from application.mirror.nouns import BALANCE_TRANSACTIONS, CHARGES
from application.mirror.writer import MirrorWriter
from application.upkeep.refresh_balance_transactions import TASK, BalanceTransactions
from domain.balance_transactions import BalanceTransaction
from domain.connections import Connection, ConnectionKind, Mode
from domain.errors import Reason, Unavailable
from domain.money import Money
from tests.support.fakes.lists import FakeCheckpoints, FakeHistory
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeDeployment,
    FakeMirror,
    FakeStripeAccounts,
    Pause,
    no_pause,
)

ACCOUNT: Final = "acct_1"
LINK: Final = Connection("a", ACCOUNT, Mode.TEST, ConnectionKind.MANUAL, NOON)
USD: Final = Money(100, "usd")
HOUR: Final = dt.timedelta(hours=1)


async def no_wait(_: float) -> None:
    """Try again at once."""


def transaction(id_: str, created: dt.datetime, status: str = "pending") -> BalanceTransaction:
    return BalanceTransaction(id_, created, USD, USD, USD, "charge", status, created, "ch_1")


class StripeAndMirror:
    def __init__(self, pause: Pause = no_pause) -> None:
        self.clock = FakeClock()
        self.stripe = FakeHistory(self.clock, pause)
        self.mirror = FakeMirror()
        self.checkpoints = FakeCheckpoints()
        platform = Platform(FakeDeployment(), FakeStripeAccounts(), Mode.TEST)
        self.service = BalanceTransactions(
            self.stripe,
            Importer(MirrorWriter(self.mirror), self.stripe, Enrichment(self.mirror)),
            self.mirror,
            self.checkpoints,
            MirroredAccounts(FakeConnections(LINK), platform, Mode.TEST),
            self.clock,
            retries=Retries(tries=1, sleep=no_wait),
            debounce_seconds=0.02,
            schedule_seconds=60,
        )

    def status(self, id_: str) -> str:
        row: Any = self.mirror.rows[BALANCE_TRANSACTIONS.name, ACCOUNT, id_]
        status: str = row.snapshot.object.status
        return status


async def test_windows_overlap_by_an_hour() -> None:
    world = StripeAndMirror()
    await world.service.refresh(ACCOUNT)
    world.clock.advance(days=2)
    await world.service.refresh(ACCOUNT)
    now = world.clock.now().replace(microsecond=0)
    world.stripe.add(
        BALANCE_TRANSACTIONS,
        transaction("txn_late", now - HOUR * 0.9),
        transaction("txn_too_late", now - HOUR * 1.1),
    )
    assert (await world.service.refresh(ACCOUNT)).listed == 1


async def test_the_first_window_leaves_history_to_the_backfill() -> None:
    world = StripeAndMirror()
    world.stripe.add(
        BALANCE_TRANSACTIONS,
        transaction("txn_new", NOON - HOUR * 24 * 29),
        transaction("txn_old", NOON - HOUR * 24 * 31),
    )
    assert (await world.service.refresh(ACCOUNT)).listed == 1


async def test_the_oldest_pending_one_is_listed_again_until_it_is_available() -> None:
    world = StripeAndMirror()
    first = transaction("txn_1", NOON - HOUR)
    world.stripe.add(BALANCE_TRANSACTIONS, first)
    await world.service.refresh(ACCOUNT)
    world.clock.advance(days=1)
    await world.service.refresh(ACCOUNT)
    world.clock.advance(days=1)
    world.stripe.add(BALANCE_TRANSACTIONS, replace(first, status="available"))
    assert (await world.service.refresh(ACCOUNT)).listed == 0
    assert world.status("txn_1") == "pending"
    assert (await world.service.refresh(ACCOUNT, pending=True)).listed == 1
    assert world.status("txn_1") == "available"
    assert (await world.service.refresh(ACCOUNT, pending=True)).listed == 0


async def test_an_account_whose_list_fails_does_not_move_and_holds_up_nobody() -> None:
    async def fail(_: str) -> None:
        if len(world.stripe.asked) == 1:
            raise Unavailable(Reason.STRIPE_UNAVAILABLE, "away")

    world = StripeAndMirror(fail)
    await world.service.refresh_all()
    assert {account for account, _ in world.checkpoints.kept} == {ACCOUNT}
    assert world.checkpoints.kept[ACCOUNT, TASK].state["through_ms"]


async def test_notes_within_the_debounce_are_one_listing() -> None:
    world = StripeAndMirror()
    run = asyncio.create_task(world.service.loop.run())
    try:
        await asked(world, 2)  # the schedule: the platform and the connection
        for _ in range(100):
            world.service.note(ACCOUNT)
        assert len(world.stripe.asked) == 2, "not before the debounce is over"
        await asked(world, 3)
        world.service.note(ACCOUNT)
        await asked(world, 4)
    finally:
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run
    assert len(world.stripe.asked) == 4


async def test_an_event_that_moves_money_is_noted_for_its_own_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, noted = StripeAndMirror(), list[str]()
    monkeypatch.setattr(world.service, "note", noted.append)
    told = [event("customer.deleted", "acct_2"), event("charge.succeeded", "acct_3")]
    await world.service.after([*told, event("refund.failed", "acct_4")], {})
    assert noted == ["acct_3", "acct_4"]


def event(type_: str, stripe_account: str) -> EventWithFacts:
    """An event of which nothing but its type and its account counts."""
    received = ReceivedEvent("evt_1", "", type_, "", 0, "charge", "ch_1", b"", NOON)
    projected = ProjectedEvent(received, stripe_account, CHARGES, "ch_1", None)
    return EventWithFacts(projected, None, frozenset(), ())


async def asked(world: StripeAndMirror, times: int) -> None:
    async with asyncio.timeout(5):
        while len(world.stripe.asked) < times:  # noqa: ASYNC110 - the fake tells nobody
            await asyncio.sleep(0.001)
