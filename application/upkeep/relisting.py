"""Relisting: days that do not tie to the bank are listed again at Stripe, each once."""

import datetime as dt
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from application.analytics.tie_out import MAX_DAYS, TieOuts
from application.background.checkpoints import Checkpoint, Checkpoints
from application.background.clock import Clock
from application.background.loops import Loop
from application.background.outages import AccountOutages
from application.background.retries import Retries
from application.connections.sources import MirroredAccounts, Source, for_each
from application.mirror.importer import Importer
from application.mirror.lists import ObjectLister, Page, Place
from application.mirror.nouns import BALANCE_TRANSACTIONS
from application.mirror.oddity_log import log_oddities
from application.mirror.stripe import Priority
from application.upkeep.walk import walk
from domain.errors import BillingError, Conflict
from domain.mirror import Snapshot
from domain.periods import from_milliseconds, to_milliseconds
from domain.tie_out import Verdict

TASK: Final = "relisting"
INTERVAL_SECONDS: Final = 3_600.0
LATELY: Final = dt.timedelta(days=35)
"""How far back each round looks. Once a UTC day it looks as far back as a caller may ask."""

MAX_DAYS_A_ROUND: Final = 31
"""How many days of an account are listed at most, before other accounts have their turn."""

_DAY_MS: Final = 86_400_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RelistingState:
    """What its checkpoint keeps: the UTC days (since 1970) that were listed again.

    `looked_on` is the day on which all of them were looked at.
    """

    listed: tuple[int, ...] = ()
    looked_on: int = 0


class Relisting:
    """Lists each whole UTC day that DIFFERS again at Stripe, once, with what Stripe now shows.

    What was missing or outdated is then mirrored. A day that still differs afterwards stays so: it
    is told, and not asked for again. A day counts as listed once it was read to its end.
    """

    def __init__(
        self,
        tie_outs: TieOuts,
        lister: ObjectLister,
        importer: Importer,
        checkpoints: Checkpoints,
        mirrored_accounts: MirroredAccounts,
        clock: Clock,
        *,
        retries: Retries | None = None,
    ) -> None:
        self._tie_outs = tie_outs
        self._lister = lister
        self._importer = importer
        self._checkpoints = checkpoints
        self._mirrored_accounts = mirrored_accounts
        self._clock = clock
        self._retries = retries or Retries()
        self.loop: Final = Loop("listing days that differ", self.relist_all, INTERVAL_SECONDS)
        self._unlisted = AccountOutages(
            _log, "days that differ cannot be listed", "days that differ are listed again"
        )

    async def relist_all(self) -> None:
        """Do it for every account; an account's failures are its own."""
        await for_each(self._mirrored_accounts.sources(), self._relist_apart)

    async def relist(self, stripe_account: str) -> int:
        """List again what differs; how many days.

        Raises Conflict where another process is at it, and what the ports raise: what was listed
        until then is kept.
        """
        checkpoint = await self._checkpoints.load(stripe_account, TASK)
        state = msgspec.convert(checkpoint.state, RelistingState)
        today = to_milliseconds(self._clock.now()) // _DAY_MS
        back = LATELY if state.looked_on == today else MAX_DAYS
        first = today - back.days
        due = [
            day for day in await self._differing(stripe_account, first, today)
            if day not in state.listed
        ]  # fmt: skip
        known = tuple(day for day in state.listed if day >= today - MAX_DAYS.days)
        now = replace(state, listed=known)
        for day in due[-MAX_DAYS_A_ROUND:]:
            await self._list(stripe_account, day)
            now = replace(now, listed=(*now.listed, day))
            checkpoint = await self._save(checkpoint, now)
        if len(due) <= MAX_DAYS_A_ROUND and now.looked_on != today:
            await self._save(checkpoint, replace(now, looked_on=today))
        return min(len(due), MAX_DAYS_A_ROUND)

    async def _differing(self, stripe_account: str, first: int, end: int) -> Sequence[int]:
        """The days that differ in some currency, in order."""
        edges = [from_milliseconds(day * _DAY_MS) for day in range(first, end + 1)]
        currencies = await self._tie_outs.between(stripe_account, edges)
        return sorted(
            {
                to_milliseconds(day.start) // _DAY_MS
                for part in currencies
                for day in part.days
                if day.judgement.verdict is Verdict.DIFFERS
            }
        )

    async def _list(self, stripe_account: str, day: int) -> None:
        """Bring all that Stripe shows of a day into the mirror."""
        since_ms = day * _DAY_MS

        async def read(at: Place) -> Page[Snapshot[Any]]:
            return await self._lister.page(
                BALANCE_TRANSACTIONS,
                stripe_account,
                at,
                since_ms=since_ms,
                priority=Priority.CATCH_UP,
            )

        changed = 0
        async with aclosing(walk(read, Place(since_ms + _DAY_MS), self._retries)) as pages:
            async for page in pages:
                changed += await self._bring(stripe_account, page)
        facts = {
            "stripe_account": stripe_account,
            "day": from_milliseconds(since_ms).date().isoformat(),
            "changed": changed,
        }
        _log.warning("a day that does not tie to the bank was listed again", extra=facts)

    async def _bring(self, stripe_account: str, page: Page[Snapshot[Any]]) -> int:
        brought = await self._retries(
            lambda: self._importer.bring(BALANCE_TRANSACTIONS, page.items, Priority.CATCH_UP)
        )
        log_oddities(stripe_account, (*page.oddities, *brought.oddities))
        return brought.changed

    async def _relist_apart(self, source: Source) -> None:
        try:
            await self.relist(source.stripe_account)
            self._unlisted.answered(source.stripe_account, task=TASK)
        except Conflict:
            pass  # another process is at it
        except BillingError as error:
            self._unlisted.waits(source.stripe_account, error, task=TASK)

    async def _save(self, checkpoint: Checkpoint, state: RelistingState) -> Checkpoint:
        told = replace(checkpoint, state=msgspec.to_builtins(state))
        return await self._checkpoints.save(told, now=self._clock.now())
