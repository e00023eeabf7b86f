"""Upgrading: what a new release knows better is made good for the accounts that are mirrored."""

import logging
from contextlib import aclosing
from typing import Final

from application.background.loops import Loop
from application.background.outages import AccountOutages
from application.connections.sources import MirroredAccounts, Source, for_each
from application.upkeep.backfill import Backfill
from application.upkeep.deriving import Deriving
from domain.back_off import BackOff
from domain.errors import BillingError, Conflict

INTERVAL_SECONDS: Final = 3_600.0
_AFTER_FAILURE: Final = BackOff(30.0, 600.0)

_log = logging.getLogger(__name__)


class Upgrade:
    """Derives anew what follows from other rules now, and reads again what more is read of.

    At the start of a process, and from time to time for what was interrupted. Where there is
    nothing to do, which is nearly always, it costs two checkpoints an account.
    """

    def __init__(
        self, deriving: Deriving, backfill: Backfill, mirrored_accounts: MirroredAccounts
    ) -> None:
        self._deriving = deriving
        self._backfill = backfill
        self._mirrored_accounts = mirrored_accounts
        self.loop: Final = Loop(
            "upgrade", self.upgrade_all, INTERVAL_SECONDS, back_off=_AFTER_FAILURE
        )
        self._waiting = AccountOutages(
            _log, "an account cannot be upgraded", "an account is upgraded"
        )

    async def upgrade_all(self) -> None:
        """Upgrade every account; its failures are its own."""
        await for_each(self._mirrored_accounts.sources(), self._upgrade_apart)

    async def upgrade(self, stripe_account: str) -> None:
        """Do what is due to one account. Resumable. Raises what the ports raise, and Conflict."""
        await self._deriving.run(stripe_account)
        if await self._backfill.is_outdated(stripe_account):
            facts = {"stripe_account": stripe_account}
            _log.info("what more is read now is read again", extra=facts)
            async with aclosing(self._backfill.run(stripe_account)) as pages:
                async for _ in pages:
                    pass

    async def _upgrade_apart(self, source: Source) -> None:
        try:
            await self.upgrade(source.stripe_account)
            self._waiting.answered(source.stripe_account)
        except Conflict:
            pass  # another process is at it, or somebody has asked for the same
        except BillingError as error:
            self._waiting.waits(source.stripe_account, error)
