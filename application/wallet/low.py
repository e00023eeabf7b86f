"""A wallet that runs low: its people are told once, each time it falls below the threshold."""

import asyncio
from typing import Final

from application.background.clock import Clock
from application.jobs.outbox import Outbox
from application.wallet.ports import WalletSettingsStore
from domain.jobs import Job, job_id
from domain.ledger_entries import Entry
from domain.wallets import Wallet

WALLET_LOW: Final = "wallet.low"
"""The kind of the job that tells of a wallet below its threshold."""


class LowBalances:
    """Notes the balance that was seen last, and makes a job where it fell below the threshold.

    A balance is low while less is available than the auto-reload's threshold; a wallet without one
    is never low.
    """

    def __init__(
        self, settings: WalletSettingsStore, outbox: Outbox, clock: Clock, queued: asyncio.Event,
        short: asyncio.Event,
    ) -> None:  # fmt: skip
        """`queued` is set when there is a job to publish, `short` when a wallet is below it."""
        self._settings = settings
        self._outbox = outbox
        self._clock = clock
        self._queued = queued
        self._short = short

    async def look(self, wallet: Wallet, entry: Entry) -> None:
        """Look at the balance after an entry. Raises Unavailable (STORE_UNAVAILABLE).

        The job is named by the last balance that was seen and not low: whoever sees the same fall
        makes the same job.
        """
        kept = await self._settings.get(wallet.name)
        auto = kept.settings.auto_reload if kept is not None else None
        if kept is None or auto is None or entry.sequence <= kept.seen_sequence:
            return
        was_low = kept.seen_sequence > 0 and kept.seen_available < auto.threshold
        if entry.available_after < auto.threshold and not was_low:
            payload = {
                "wallet": wallet.name,
                "creditor": wallet.parent,
                "available": entry.available_after,
                "threshold": auto.threshold,
                "currency": entry.currency,
                "sequence": entry.sequence,
            }
            subject = f"{wallet.name}/{kept.seen_sequence}"
            id_ = job_id(WALLET_LOW, wallet.account, "low_since", subject)
            await self._outbox.append(
                [Job(id_, WALLET_LOW, wallet.account, self._clock.now(), payload)]
            )
            self._queued.set()
        await self._settings.see(
            wallet.name, available=entry.available_after, sequence=entry.sequence
        )
        if entry.available_after < auto.threshold:
            self._short.set()
