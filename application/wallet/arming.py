"""Auto-reload: given up where nobody can be charged, and armed again by who pays himself."""

import asyncio
from dataclasses import replace
from typing import Final

from application.background.clock import Clock
from application.jobs.outbox import Outbox
from application.wallet.ports import WalletSettingsStore
from domain.errors import Conflict, Reason
from domain.jobs import Job, job_id
from domain.wallets import Wallet, WalletSettings

AUTO_RELOAD_OFF: Final = "wallet.auto_reload_off"
"""The kind of the job that tells that a wallet does not reload itself, and why."""

NOTICE: Final = "support.wallet_notice"
"""The kind of the job by which the support service tells the owner."""

_TRIES: Final = 10


class Arming:
    """Arms and gives up auto-reloads; each change is made once by its name."""

    def __init__(
        self, settings: WalletSettingsStore, outbox: Outbox, clock: Clock, queued: asyncio.Event
    ) -> None:
        """`queued` is set when there is a job to publish."""
        self._settings = settings
        self._outbox = outbox
        self._clock = clock
        self._queued = queued

    async def arm(self, wallet: str, change: str) -> None:
        """Arm what was given up: the owner has paid by himself.

        Raises Conflict (REQUEST_IN_FLIGHT) where others keep changing the settings.
        """
        await self._put(wallet, f"armed/{change}", "")

    async def give_up(self, wallet: Wallet, settings: WalletSettings, because: str) -> None:
        """Give an auto-reload up, unless its settings were changed since; people are told first."""
        await self.tell(wallet, settings, because, armed=False)
        auto = settings.auto_reload
        if auto is None:
            return
        following = replace(settings, auto_reload=replace(auto, off_because=because))
        await self._settings.put(following.next(f"off/{settings.revision}", self._clock.now()))

    async def tell(
        self,
        wallet: Wallet,
        settings: WalletSettings,
        because: str,
        *,
        armed: bool,
        since: str = "",
    ) -> None:
        """Tell why a wallet does not reload itself: once for these settings, or since `since`."""
        payload = {
            "wallet": wallet.name,
            "creditor": wallet.parent,
            "because": because,
            "armed": armed,
        }
        subject = f"{wallet.name}/{settings.revision}/{because}/{since}"
        now = self._clock.now()
        await self._outbox.append(
            [
                Job(
                    job_id(kind, wallet.account, "off", subject), kind, wallet.account, now, payload
                )
                for kind in (AUTO_RELOAD_OFF, NOTICE)
            ]
        )
        self._queued.set()

    async def _put(self, wallet: str, change: str, because: str) -> None:
        for _ in range(_TRIES):
            kept = await self._settings.get(wallet)
            auto = kept.settings.auto_reload if kept is not None else None
            if kept is None or auto is None or auto.off_because == because:
                return
            if change in kept.settings.changes:
                return  # done before, and given up once more since
            settings = replace(kept.settings, auto_reload=replace(auto, off_because=because))
            if await self._settings.put(settings.next(change, self._clock.now())):
                return
        raise Conflict(Reason.REQUEST_IN_FLIGHT, "other calls keep changing the settings")
