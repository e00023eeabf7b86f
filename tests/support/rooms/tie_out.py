"""Tie-outs over a store, with what upkeep knows of it, put together for tests."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from application.analytics.tie_out import TieOuts
from application.background.checkpoints import Checkpoint
from application.connections.use_cases import Connections
from application.mirror.nouns import BALANCE_TRANSACTIONS
from application.requests.callers import Caller
from application.upkeep.anchors import BalanceAnchors
from application.upkeep.backfill import TASK as BACKFILL
from application.upkeep.backfill import Backfill, BackfillState
from application.upkeep.refresh_balance_transactions import TASK as TRANSACTIONS
from application.upkeep.watermark import WindowState
from domain.balance_transactions import BalanceTransaction
from domain.balances import BalanceReading, CurrencyReading
from domain.connections import Connection, ConnectionKind, Mode
from domain.mirror import Snapshot, Version
from domain.periods import from_milliseconds
from tests.support.fakes.standings import some_trust
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeMirror,
    FakeStripeAccounts,
)
from tests.support.servers.stores import Stores

CALLER: Final = Caller("service", "acme", frozenset())


@dataclass
class TieOutsOn:
    """An account of a store: what is booked and read there, and what is then told."""

    stores: Stores
    stripe_account: str
    known_ms: int = 4_000_000_000_000

    def __post_init__(self) -> None:
        clock = FakeClock(from_milliseconds(self.known_ms))
        connection = Connection("acme", self.stripe_account, Mode.TEST, ConnectionKind.MANUAL, NOON)
        connections = Connections(
            FakeConnections(connection), FakeStripeAccounts(), FakeMirror(), clock, Mode.TEST
        )
        backfill = Backfill(None, None, self.stores.checkpoints, clock)  # type: ignore[arg-type]
        self.clock = clock
        trust = some_trust()
        self.anchors = BalanceAnchors(
            self.stores.balance_readings, backfill, self.stores.checkpoints, clock
        )
        self.tie_outs = TieOuts(
            self.stores.analytics, self.stores.mirror, self.anchors, connections, trust
        )

    async def book(self, transactions: Iterable[BalanceTransaction]) -> None:
        """Mirror transactions."""
        found = [
            (Snapshot(self.stripe_account, one.id, Version.of_event(1), one), 0)
            for one in transactions
        ]
        for start in range(0, len(found), 1_000):
            await self.stores.mirror.replace(BALANCE_TRANSACTIONS, found[start : start + 1_000])

    async def read(self, start_ms: int, end_ms: int, **totals: int) -> BalanceReading:
        """Keep a reading."""
        currencies = tuple(CurrencyReading(code, total, 0) for code, total in totals.items())
        reading = BalanceReading(start_ms, end_ms, currencies)
        await self.stores.balance_readings.keep(self.stripe_account, reading)
        return reading

    async def know(self, through_ms: int | None = None, *, imported: bool = False) -> None:
        """Say up to when all transactions were read, and that history is imported."""
        await self._save(TRANSACTIONS, WindowState(through_ms or self.known_ms))
        if imported:
            await self._save(BACKFILL, BackfillState(1, finished_ms=2))

    async def verdicts(self, edges: Sequence[int], currency: str) -> list[str]:
        """What is told of each time between edges (milliseconds)."""
        answers = await self.tie_outs.between(
            self.stripe_account, [*map(from_milliseconds, edges)], currency
        )
        return [
            f"{day.judgement.verdict.upper()} {day.judgement.remainder or ''}".strip()
            for day in answers[0].days
        ]

    async def _save(self, task: str, state: object) -> None:
        before = await self.stores.checkpoints.load(self.stripe_account, task)
        told = Checkpoint(self.stripe_account, task, before.revision, msgspec.to_builtins(state))
        await self.stores.checkpoints.save(told, now=NOON)
