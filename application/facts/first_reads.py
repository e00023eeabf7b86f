"""First reads: once an account is imported, the facts of what it had before are posted."""

import logging
from dataclasses import replace
from typing import Final

import msgspec
from typing_extensions import override

from application.background.checkpoints import Checkpoints
from application.background.clock import Clock
from application.background.loops import Loop
from application.background.outages import AccountOutages
from application.connections.sources import MirroredAccounts, Source, for_each
from application.facts.ports import Dues
from application.facts.walk import FactsWalk, WalkState
from application.upkeep.backfill import Backfill
from application.upkeep.ports import Unposted
from domain.errors import BillingError, Conflict
from domain.periods import to_milliseconds

TASK: Final = "first_facts"
INTERVAL_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


class FirstReads(Unposted):
    """Walks through each account once, after its first import. Resumable, block by block.

    Also after an upgrade has read again what a release before did not read: only then is it known
    what subscriptions cost.
    """

    def __init__(
        self,
        walk: FactsWalk,
        dues: Dues,
        backfill: Backfill,
        checkpoints: Checkpoints,
        mirrored_accounts: MirroredAccounts,
        clock: Clock,
    ) -> None:
        self._walk = walk
        self._dues = dues
        self._backfill = backfill
        self._checkpoints = checkpoints
        self._mirrored_accounts = mirrored_accounts
        self._clock = clock
        self._finished: set[str] = set()
        self.loop: Final = Loop("first facts", self.walk_all, INTERVAL_SECONDS)
        self._waiting = AccountOutages(
            _log, "an account's first facts cannot be posted", "an account's first facts go on"
        )

    async def walk_all(self) -> None:
        """Walk through every account that is due; its failures are its own."""
        await for_each(self._mirrored_accounts.sources(), self._walk_apart)

    async def walk(self, stripe_account: str) -> None:
        """Walk through an account, from where an earlier walk ended; nothing once it is at its end.

        Raises Conflict where another process is at it, and Unavailable.
        """
        if stripe_account in self._finished:
            return
        checkpoint = await self._checkpoints.load(stripe_account, TASK)
        state = msgspec.convert(checkpoint.state, WalkState)
        if state.finished:
            self._finished.add(stripe_account)
        if state.finished or not await self._is_imported(stripe_account):
            return
        while not state.finished:
            state = await self._walk.block(stripe_account, state)
            told = replace(checkpoint, state=msgspec.to_builtins(state))
            checkpoint = await self._checkpoints.save(told, now=self._clock.now())

    @override
    async def oldest(self, stripe_account: str) -> int | None:
        checkpoint = await self._checkpoints.load(stripe_account, TASK)
        if not msgspec.convert(checkpoint.state, WalkState).finished:
            return 0
        earliest = await self._dues.earliest(stripe_account)
        return None if earliest is None else to_milliseconds(earliest)

    async def _is_imported(self, stripe_account: str) -> bool:
        ended = await self._backfill.has_ended(stripe_account)
        return ended and not await self._backfill.is_outdated(stripe_account)

    async def _walk_apart(self, source: Source) -> None:
        try:
            await self.walk(source.stripe_account)
            self._waiting.answered(source.stripe_account)
        except Conflict:
            pass  # another process is at it
        except BillingError as error:
            self._waiting.waits(source.stripe_account, error)
