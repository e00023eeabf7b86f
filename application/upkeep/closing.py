"""Closing: up to when figures of the ledger stand, and how far an account is known at all."""

import asyncio
import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from typing_extensions import override

from application.analytics.trust import Standing, Standings
from application.background.checkpoints import Checkpoint, Checkpoints
from application.background.clock import Clock
from application.background.loops import Loop
from application.background.outages import AccountOutages
from application.connections.platform import Platform
from application.connections.sources import MirroredAccounts, Source, for_each
from application.events.event_log import EventLog
from application.events.inbox import EventState
from application.mirror.ports import Closings
from application.upkeep.backfill import Backfill
from application.upkeep.catch_up import CatchUp
from application.upkeep.ports import Unposted
from application.upkeep.refresh_balance_transactions import TASK as TRANSACTIONS
from application.upkeep.watermark import OVERLAP, WindowState
from domain.errors import BillingError, Conflict
from domain.mirror import AHEAD_MS
from domain.periods import from_milliseconds, to_milliseconds

TASK: Final = "closing"
INTERVAL: Final = dt.timedelta(minutes=1)
"""Also for how long what is to be closed is announced, before anybody is told: a write that began
before is then over."""

_HOUR_MS: Final = 3_600_000
_INTERVAL_MS: Final = INTERVAL // dt.timedelta(milliseconds=1)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClosingState:
    """What its checkpoint keeps, in milliseconds: `through` and `announced` of Stripe's time.

    `imported` is when the first import had ended, and `since` when `announced` was, by our clock.
    Writers restate below `announced`; callers are told `through`, which follows a minute later.
    """

    imported: int
    announced: int = 0
    since: int = 0
    through: int = 0

    def moved(self, now: int, candidate: int | None) -> "ClosingState":
        """The state after a look at an instant: neither of the two ever goes back."""
        state = self
        if state.through < state.announced and now - state.since >= _INTERVAL_MS:
            state = replace(state, through=state.announced)
        if candidate is not None and candidate > state.announced == state.through:
            state = replace(state, announced=candidate, since=now)
        return state


class AnnouncedClosings(Closings):
    """What the mirror's writer asks: it needs nothing else of what keeps the mirror right."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints

    @override
    async def closing(self, stripe_account: str) -> int | None:
        state = _state(await self._checkpoints.load(stripe_account, TASK))
        return (state.announced or None) if state else None


class Closing(Standings):
    """Closes whole UTC hours of each account, once all that happened in them is known.

    That is what lies below the least of `data_through`, the account's oldest pending event, what is
    still to be posted by the clock (`unposted`), and the watermark of its balance transactions,
    less the hour by which that reaches back. What follows from an event is done before it is
    settled, so it is waited for with it. A dead letter holds it up no more. Nothing is closed
    before the first import has ended: its rows restate nothing. A write asks what is announced
    before it begins, and nobody is told of a closing that has not been announced for a minute. So
    no figure that was told as closed changes untold.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        backfill: Backfill,
        catch_up: CatchUp,
        event_log: EventLog,
        mirrored_accounts: MirroredAccounts,
        platform: Platform,
        clock: Clock,
        unposted: Sequence[Unposted] = (),
    ) -> None:
        self._unposted = tuple(unposted)
        self._checkpoints = checkpoints
        self._backfill = backfill
        self._catch_up = catch_up
        self._event_log = event_log
        self._mirrored_accounts = mirrored_accounts
        self._platform = platform
        self._clock = clock
        self.loop: Final = Loop("closing hours", self.close_all, INTERVAL.total_seconds())
        self._unclosed = AccountOutages(
            _log, "an account's hours cannot be closed", "an account's hours are closed again"
        )

    async def close_all(self) -> None:
        """Close what can be closed of every account; an account's failures are its own."""
        await for_each(self._mirrored_accounts.sources(), self._close_apart)

    async def close(self, source: Source) -> None:
        """Close what can be closed of an account. Raises Conflict where another process does."""
        checkpoint = await self._checkpoints.load(source.stripe_account, TASK)
        state = _state(checkpoint)
        if state is None and not await self._backfill.has_ended(source.stripe_account):
            return
        now = to_milliseconds(self._clock.now())
        known = state or ClosingState(imported=now)
        moved = known.moved(now, await self._candidate(source))
        if moved != state:
            told = replace(checkpoint, state=msgspec.to_builtins(moved))
            await self._checkpoints.save(told, now=self._clock.now())

    @override
    async def of(self, stripe_account: str) -> Standing:
        ours = stripe_account == await self._platform.stripe_account()
        checkpoint, data_through, counts = await asyncio.gather(
            self._checkpoints.load(stripe_account, TASK),
            self._catch_up.data_through(stripe_account),
            self._event_log.counts("" if ours else stripe_account),
        )
        state, dead = _state(checkpoint), counts.get(EventState.DEAD, 0)
        if state is None:
            start = await self._history_start(stripe_account)
            return Standing(data_through, None, dead, importing=True, history_start=start)
        return Standing(
            data_through,
            from_milliseconds(state.through) if state.through else None,
            dead,
            importing=False,
            imported_at=from_milliseconds(state.imported),
        )

    async def _close_apart(self, source: Source) -> None:
        try:
            await self.close(source)
            self._unclosed.answered(source.stripe_account)
        except Conflict:
            pass  # another process has
        except BillingError as error:
            self._unclosed.waits(source.stripe_account, error)

    async def _candidate(self, source: Source) -> int | None:
        """The hour below which all is known; None where that cannot be said."""
        # The events first: one that is known by then and not projected yet is among the pending.
        data_through = await self._catch_up.data_through(source.stripe_account)
        transactions = await self._transactions_through(source.stripe_account)
        if data_through is None or transactions is None:
            return None
        known = min(to_milliseconds(data_through), transactions)
        ours = "" if source.ours else source.stripe_account
        waited_for = [await self._event_log.oldest_pending(ours)]
        # Then what is planned: an event that is settled by now has planned it.
        waited_for += [await each.oldest(source.stripe_account) for each in self._unposted]
        least = min([known, *(at for at in waited_for if at is not None)])
        return max(0, least) // _HOUR_MS * _HOUR_MS

    async def _transactions_through(self, stripe_account: str) -> int | None:
        checkpoint = await self._checkpoints.load(stripe_account, TRANSACTIONS)
        through = msgspec.convert(checkpoint.state, WindowState).through_ms
        if through is None or through > to_milliseconds(self._clock.now()) + AHEAD_MS:
            return None  # set by a `Date` that lied: the next listing begins anew
        return through - OVERLAP // dt.timedelta(milliseconds=1)

    async def _history_start(self, stripe_account: str) -> dt.datetime | None:
        """How far back the import has come, in the noun that it is at."""
        progress = await self._backfill.progress(stripe_account)
        return None if progress is None else progress.reached


def _state(checkpoint: Checkpoint) -> ClosingState | None:
    return msgspec.convert(checkpoint.state, ClosingState) if checkpoint.revision else None
