"""Balances on fakes: what a reading ties to, what is kept, what is not known."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from typing_extensions import override

from application.connections.platform import Platform
from application.connections.sources import MirroredAccounts
from application.mirror.stripe import Priority
from application.payouts import balance
from application.payouts.balance import Balances, ComparedBalance
from application.payouts.ports import BalanceReadings, TransactionsReading
from domain.balances import HOUR_MS, BalanceReading, CurrencyReading
from domain.connections import Mode
from domain.errors import Conflict, Reason, Unavailable
from domain.periods import to_milliseconds
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeDeployment,
    FakeMirror,
    FakeStripeAccounts,
)
from tests.support.rooms.payouts import (
    ACCOUNT,
    CALLER,
    CONNECTION,
    SECOND,
    PayoutsOn,
    transaction,
)

NOON_MS = to_milliseconds(NOON)
LATER_MS = NOON_MS + 600_000
MINUTE = 60_000


class FakeReadings(BalanceReadings):
    """Readings in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, int], BalanceReading] = {}
        self.writes = 0

    @override
    async def last(self, stripe_account: str) -> BalanceReading | None:
        hours = [hour for account, hour in self.kept if account == stripe_account]
        return self.kept[stripe_account, max(hours)] if hours else None

    @override
    async def keep(self, stripe_account: str, reading: BalanceReading) -> None:
        self.writes += 1
        self.kept[stripe_account, reading.hour] = reading

    @override
    async def between(
        self, stripe_account: str, start_ms: int, end_ms: int, *, limit: int
    ) -> Sequence[BalanceReading]:
        raise NotImplementedError

    @override
    async def before(
        self, stripe_account: str, end_ms: int, *, limit: int
    ) -> Sequence[BalanceReading]:
        raise NotImplementedError


class FakeTransactions(TransactionsReading):
    """Reads nothing, or fails, or never ends."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.hangs = False
        self.asked: list[str] = []

    @override
    async def refresh(self, stripe_account: str) -> object:
        self.asked.append(stripe_account)
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        return None


class BalancesOnFakes:
    """The use case and what it works with."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.room = PayoutsOn(FakeMirror())
        self.stripe, self.readings = self.room.stripe, FakeReadings()
        self.transactions = FakeTransactions()
        platform = Platform(FakeDeployment(), FakeStripeAccounts(), Mode.TEST)
        self.balances = Balances(
            self.room.connections,
            MirroredAccounts(FakeConnections(CONNECTION), platform, Mode.TEST),
            self.stripe,
            self.transactions,
            self.room.mirror,
            self.readings,
            self.clock,
        )

    async def shown(self, at_ms: int, *currencies: CurrencyReading) -> ComparedBalance:
        """What a caller is told, where Stripe tells this at an instant (give or take 2 s)."""
        self.stripe.balances.append(reading(at_ms, *currencies))
        return await self.balances.of(CALLER)


def reading(at_ms: int, *currencies: CurrencyReading) -> BalanceReading:
    return BalanceReading(at_ms - 2_000, at_ms + 2_000, currencies)


def usd(total: int) -> CurrencyReading:
    return CurrencyReading("usd", total - 10, 10, instant_available=3)


@pytest.fixture
def desk() -> BalancesOnFakes:
    return BalancesOnFakes()


def told(answer: ComparedBalance) -> list[tuple[str, int, int | None, int | None]]:
    return [
        (each.reading.currency, each.mirrored, each.since_ms, each.difference)
        for each in answer.currencies
    ]


async def test_a_balance_ties_to_the_last_one_that_agreed(desk: BalancesOnFakes) -> None:
    await desk.room.book([transaction("txn_1", "charge", 500, created=NOON - 60 * SECOND)])
    first = await desk.shown(LATER_MS, usd(500))
    assert told(first) == [("usd", 500, None, 0)]
    sure = LATER_MS - 2_000 - 1_000
    await desk.room.book([transaction("txn_2", "charge", 70, created=NOON + 660 * SECOND)])
    later = await desk.shown(LATER_MS + 5 * MINUTE, usd(570))
    assert told(later) == [("usd", 570, sure, 0)]
    assert desk.stripe.priorities == [Priority.CALLER] * 2
    assert desk.readings.writes == 1, "one that agrees is enough an hour"
    await desk.room.book([transaction("txn_3", "charge", 9, created=NOON + 960 * SECOND)])
    missing = await desk.shown(LATER_MS + HOUR_MS, usd(600))
    assert told(missing) == [("usd", 579, sure, 21)]
    again = await desk.shown(LATER_MS + HOUR_MS + MINUTE, usd(579))
    assert told(again) == [("usd", 579, sure, 0)], "the one that did not agree ties nothing"
    assert [kept.agrees for kept in desk.readings.kept.values()] == [True, True]
    assert desk.readings.writes == 3


async def test_only_the_payments_balance_is_compared(desk: BalancesOnFakes) -> None:
    early = {"created": NOON - 60 * SECOND}
    await desk.room.book(
        [
            transaction("txn_1", "charge", 500, 20, **early),
            transaction("txn_2", "issuing_transaction", 44, **{**early, "balance_type": "issuing"}),
            transaction("txn_3", "charge", 7, currency="jpy", **early),
        ]
    )
    answer = await desk.shown(NOON_MS, usd(480), CurrencyReading("eur"))
    assert told(answer) == [("eur", 0, None, 0), ("usd", 480, None, 0)]
    answer = await desk.shown(NOON_MS + HOUR_MS, CurrencyReading("jpy", 7), usd(480))
    assert told(answer)[1:] == [("jpy", 7, None, 0), ("usd", 480, NOON_MS - 3_000, 0)]


async def test_a_currency_of_which_stripe_tells_nothing_more_is_nothing(
    desk: BalancesOnFakes,
) -> None:
    await desk.room.book([transaction("txn_1", "charge", 500, created=NOON - 60 * SECOND)])
    await desk.shown(NOON_MS, usd(500))
    answer = await desk.shown(NOON_MS + MINUTE)
    assert told(answer) == [("usd", 500, NOON_MS - 3_000, -500)]


@pytest.mark.parametrize("why", ["conflict", "outage", "patience"])
async def test_the_difference_is_absent_until_transactions_are_read_past(
    desk: BalancesOnFakes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balance, "READ_PAST_SECONDS", 0.01)
    await desk.room.book([transaction("txn_1", "charge", 500, created=NOON - 60 * SECOND)])
    failures = {
        "conflict": Conflict(Reason.REQUEST_IN_FLIGHT, "another one"),
        "outage": Unavailable(Reason.STRIPE_UNAVAILABLE, "no answer"),
    }
    desk.transactions.failure, desk.transactions.hangs = failures.get(why), why == "patience"
    answer = await desk.shown(NOON_MS, usd(500))
    assert told(answer) == [("usd", 500, None, None)]
    assert not answer.reading.agrees
    desk.transactions.failure, desk.transactions.hangs = None, False
    assert told(await desk.shown(NOON_MS + MINUTE, usd(500))) == [("usd", 500, None, 0)]


async def test_every_transaction_counts_once_whatever_is_read_between(
    desk: BalancesOnFakes,
) -> None:
    """Readings every second over transactions of every second: each agrees, and no sum drifts."""
    total = 0
    for second in range(30):
        created = NOON + dt.timedelta(seconds=second)
        await desk.room.book([transaction(f"txn_{second}", "charge", 2**second, created=created)])
        total += 2**second
        answer = await desk.shown(NOON_MS + second * 1_000, usd(total))
        assert told(answer)[0][3] == 0
    ties = [kept.currencies[0].tie for kept in desk.readings.kept.values()]
    assert all(tie is not None and tie.total < total for tie in ties)


async def test_one_a_day_is_read_by_the_loop(desk: BalancesOnFakes) -> None:
    day = dt.timedelta(days=1)
    for _ in pairwise(range(3)):
        at = to_milliseconds(desk.clock.now())
        desk.stripe.balances += [reading(at, usd(0)), reading(at, usd(0))]
        await desk.balances.read_daily()
        assert desk.stripe.balances == []
        await desk.balances.read_daily()
        desk.clock.advance(seconds=day.total_seconds())
    assert {*desk.stripe.priorities} == {Priority.CATCH_UP}
    assert {account for account, _ in desk.readings.kept} == {ACCOUNT, "acct_platform"}
    assert len(desk.readings.kept) == 4


async def test_an_account_that_cannot_be_read_is_left_for_the_next_round(
    desk: BalancesOnFakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Unavailable(Reason.STRIPE_UNAVAILABLE, "no answer")
    told_of = desk.stripe.balance

    async def fails(stripe_account: str, *, priority: Priority) -> BalanceReading:
        if stripe_account == ACCOUNT:
            raise gone
        return await told_of(stripe_account, priority=priority)

    monkeypatch.setattr(desk.stripe, "balance", fails)
    desk.stripe.balances.append(reading(NOON_MS, replace(usd(0), available=0, pending=0)))
    await desk.balances.read_daily()
    assert {account for account, _ in desk.readings.kept} == {"acct_platform"}
