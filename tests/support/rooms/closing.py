"""An account whose hours are closed, over fakes."""

import datetime as dt
from typing import Any, Final, cast

from application.analytics.trust import Standing
from application.background.checkpoints import Checkpoint
from application.connections.platform import Platform
from application.connections.sources import MirroredAccounts, Source
from application.upkeep import backfill, catch_up, refresh_balance_transactions
from application.upkeep.backfill import Backfill
from application.upkeep.catch_up import CatchUp
from application.upkeep.closing import Closing
from domain.connections import Connection, ConnectionKind, Mode
from domain.periods import to_milliseconds
from tests.support.fakes.event_log import FakeEventLog
from tests.support.fakes.lists import FakeCheckpoints
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeDeployment,
    FakeStripeAccounts,
)

ACCOUNT: Final = "acct_1"
SOURCE: Final = Source(ACCOUNT, ours=False, since=NOON)
NOBODY: Final = cast("Any", None)


class Kept:
    """An account whose work has come so far."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.clock.advance(days=1)
        self.checkpoints = FakeCheckpoints()
        self.events = FakeEventLog()
        connections = FakeConnections(
            Connection("a", ACCOUNT, Mode.TEST, ConnectionKind.MANUAL, NOON)
        )
        platform = Platform(FakeDeployment(), FakeStripeAccounts(), Mode.TEST)
        self.sources = MirroredAccounts(connections, platform, Mode.TEST)
        reading = Backfill(NOBODY, NOBODY, self.checkpoints, self.clock)
        polling = CatchUp(
            NOBODY, NOBODY, self.checkpoints, self.sources, reading, NOBODY, self.clock, NOBODY
        )
        self.closing = Closing(
            self.checkpoints, reading, polling, self.events, self.sources, platform, self.clock
        )

    async def save(self, task: str, **state: object) -> None:
        """Set a checkpoint."""
        kept = await self.checkpoints.load(ACCOUNT, task)
        told = Checkpoint(ACCOUNT, task, kept.revision, state)
        await self.checkpoints.save(told, now=self.clock.now())

    async def come_to(self, data_through: dt.datetime, transactions: dt.datetime) -> None:
        """Let events and transactions be known so far."""
        through = to_milliseconds(data_through), to_milliseconds(transactions)
        await self.save(catch_up.TASK, through_ms=through[0])
        await self.save(refresh_balance_transactions.TASK, through_ms=through[1])

    async def imported(self) -> None:
        """The first import has ended."""
        await self.save(backfill.TASK, started_ms=1, finished_ms=2)

    async def told(self) -> Standing:
        """What callers are told."""
        return await self.closing.of(ACCOUNT)

    async def settle(self) -> dt.datetime | None:
        """Close what can be closed, and wait until it is told."""
        await self.closing.close(SOURCE)
        self.clock.advance(minutes=1)
        await self.closing.close(SOURCE)
        return (await self.told()).closed_through
