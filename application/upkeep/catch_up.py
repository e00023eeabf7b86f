"""Catch-up: events that no webhook brought are fetched from Stripe's lists of events."""

import asyncio
import datetime as dt
import logging
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from application.background.checkpoints import Checkpoints
from application.background.clock import Clock
from application.background.loops import Loop
from application.background.outages import AccountOutages
from application.background.retries import Retries
from application.connections.sources import MirroredAccounts, Source, for_each
from application.events.inbox import EventState, Inbox, ReceivedEvent
from application.events.lists import EventLister
from application.mirror.lists import Page, Place
from application.mirror.stripe import Priority
from application.upkeep.backfill import Backfill
from application.upkeep.reconciliation import Reconciliation
from application.upkeep.watermark import OVERLAP, Watermark, WindowState
from domain.errors import BillingError, Conflict
from domain.periods import from_milliseconds, to_milliseconds

TASK: Final = "catch-up"
RETENTION: Final = dt.timedelta(days=30)
"""How far back Stripe lists events (API reference, "Events")."""

INTERVAL: Final = dt.timedelta(minutes=1)
_OVERLAP_MS: Final = OVERLAP // dt.timedelta(milliseconds=1)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll brought: events listed, those of them that were new, and the watermark.

    All that happened before `data_through` (Stripe's time) is in the inbox; None while that cannot
    be said of anything. `gap`: events were lost for good, and the mirror waits to be mended.
    """

    stripe_account: str
    listed: int
    new: int
    data_through: dt.datetime | None
    gap: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """A time whose events have left Stripe's list unseen, in Stripe's time.

    Events since `start` (None: since ever) until `end` may be missing. `mending`: the repair has
    begun. `error` is why it waits, as far as this process knows; empty where nothing failed here.
    """

    start: dt.datetime | None
    end: dt.datetime
    mending: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an account's events are known: all of those before `data_through`; see Polled."""

    data_through: dt.datetime | None
    gap: Gap | None = None


class CatchUp:
    """Polls the event lists of every active connection and of the platform.

    What it finds goes into the inbox as webhooks do, which drops what it has. All events are asked
    for: Stripe's filter for undelivered ones misses those that were answered 200 and lost. Where
    events have left Stripe's list unseen, only a backfill and a comparison make the mirror right
    again: `mend` does both, and only then the watermark moves.
    """

    def __init__(
        self,
        lister: EventLister,
        inbox: Inbox,
        checkpoints: Checkpoints,
        mirrored_accounts: MirroredAccounts,
        backfill: Backfill,
        reconciliation: Reconciliation,
        clock: Clock,
        arrived: asyncio.Event,
        *,
        retries: Retries | None = None,
    ) -> None:
        self._lister = lister
        self._inbox = inbox
        self._checkpoints = checkpoints
        self._mirrored_accounts = mirrored_accounts
        self._backfill = backfill
        self._reconciliation = reconciliation
        self._clock = clock
        self._arrived = arrived
        self._retries = retries or Retries()
        self._mending: asyncio.Task[None] | None = None
        self.loop: Final = Loop(
            "catch-up", self.poll_all, INTERVAL.total_seconds(), at_end=self._stop_mending
        )
        self._unpolled = AccountOutages(
            _log, "an account's events cannot be polled", "an account's events are polled again"
        )
        self._unmended = AccountOutages(
            _log, "an account's gap is not closed yet", "an account's gap is closed"
        )

    async def poll_all(self) -> None:
        """Poll each source that nobody has polled within the interval; its failures are its own.

        One account with a gap is mended beside.
        """
        await for_each(self._mirrored_accounts.sources(), self._poll_apart)

    async def poll(self, source: Source) -> Polled:
        """Bring the events since the watermark, less an hour, into the inbox.

        Raises Conflict where another process polls the same account, and what the ports raise: the
        watermark has then not moved, and the next poll goes on at the last page.
        """
        checkpoint = await self._checkpoints.load(source.stripe_account, TASK)
        watermark: Watermark[ReceivedEvent] = Watermark(
            self._checkpoints, self._clock, self._retries, checkpoint
        )
        had_gap = watermark.state.gap_ms is not None
        asked = "" if source.ours else source.stripe_account

        async def read(at: Place, since_ms: int) -> Page[ReceivedEvent]:
            return await self._lister.events(
                asked, at, since_ms=since_ms, priority=Priority.CATCH_UP
            )

        listed = new = 0
        windows = watermark.windows(read, _since_ms(watermark.state, source), kept_for=RETENTION)
        async with aclosing(windows) as pages:
            async for page in pages:
                listed += len(page.items)
                new += await self._append(page)
        state = watermark.state
        gap = state.gap_ms is not None
        if gap and not had_gap:
            _log.warning(
                "events are lost for good: a backfill and a repair start",
                extra={"stripe_account": source.stripe_account},
            )
        return Polled(source.stripe_account, listed, new, state.through, gap)

    async def mend(self, stripe_account: str) -> None:
        """Read the account anew and compare: what a gap in the events needs. Resumable.

        The watermark then stands where the events that were seen end.
        """
        state = (await self._watermark(stripe_account)).state
        if state.gap_ms is None:
            return
        if not state.mending:
            await self._backfill.reset(stripe_account)
            await self._retries(lambda: self._mark_mending(stripe_account))
        async with aclosing(self._backfill.run(stripe_account)) as read:
            async for _ in read:
                pass
        async with aclosing(self._reconciliation.run(stripe_account, repair=True)) as compared:
            async for _ in compared:
                pass
        await self._retries(lambda: self._close_gap(stripe_account))

    async def data_through(self, stripe_account: str) -> dt.datetime | None:
        """Until when all that happened at Stripe is known here, in Stripe's time."""
        return (await self._watermark(stripe_account)).state.through

    async def standing(self, stripe_account: str) -> Standing:
        """Until when all that happened at Stripe is known here, and the gap, if there is one."""
        state = (await self._watermark(stripe_account)).state
        if state.gap_ms is None:
            return Standing(state.through)
        error = self._unmended.cause(stripe_account)
        gap = Gap(state.through, from_milliseconds(state.gap_ms), state.mending, error)
        return Standing(state.through, gap)

    async def _poll_apart(self, source: Source) -> None:
        try:
            checkpoint = await self._checkpoints.load(source.stripe_account, TASK)
            saved_at = checkpoint.saved_at
            # Saved in the future: by a clock that was ahead, not by a process at the same list.
            if saved_at is None or abs(self._clock.now() - saved_at) >= INTERVAL / 2:
                polled = await self.poll(source)
                if polled.gap and (self._mending is None or self._mending.done()):
                    self._mending = asyncio.create_task(self._mend_apart(source.stripe_account))
                self._unpolled.answered(source.stripe_account)
        except Conflict:
            pass  # another process is at it
        except BillingError as error:
            self._unpolled.waits(source.stripe_account, error)

    async def _stop_mending(self) -> None:
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.gather(self._mending, return_exceptions=True)

    async def _mend_apart(self, stripe_account: str) -> None:
        try:
            await self.mend(stripe_account)
            self._unmended.answered(stripe_account)
        except BillingError as error:
            self._unmended.waits(stripe_account, error)

    async def _append(self, page: Page[ReceivedEvent]) -> int:
        fresh = await self._retries(
            lambda: asyncio.gather(*(self._keep(event) for event in page.items))
        )
        if any(fresh):
            self._arrived.set()
        for event, is_new in zip(page.items, fresh, strict=True):
            if is_new and event.state is EventState.DEAD:
                facts = {"stripe_account": event.stripe_account, "event": event.id}
                _log.error("event is dead", extra={**facts, "error": event.error})
        return sum(fresh)

    async def _keep(self, event: ReceivedEvent) -> bool:
        """Append an event; one that the store does not take as it is, with hardly more than bytes.

        Its bytes are then read when an operator has it tried again.
        """
        try:
            return await self._inbox.append(event)
        except BillingError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the other events are kept
            why = f"cannot be stored: {type(error).__name__}"
            _log.error("event is dead", extra={"event": event.id, "error": why})
            bare = ReceivedEvent(
                event.id, event.stripe_account, "", "", event.created, "", "", event.payload,
                event.received_at, EventState.DEAD, "not understood", why,
            )  # fmt: skip
            return await self._inbox.append(bare)

    async def _mark_mending(self, stripe_account: str) -> None:
        watermark = await self._watermark(stripe_account)
        await watermark.save(replace(watermark.state, mending=True))

    async def _close_gap(self, stripe_account: str) -> None:
        # Loaded anew, since polls went on meanwhile.
        watermark = await self._watermark(stripe_account)
        state = watermark.state
        if not state.mending:
            return  # a new gap came meanwhile, which has to be mended from its beginning
        mended = replace(state, through_ms=state.gap_ms, gap_ms=None, mending=False)
        await watermark.save(mended)

    async def _watermark(self, stripe_account: str) -> Watermark[ReceivedEvent]:
        checkpoint = await self._checkpoints.load(stripe_account, TASK)
        return Watermark(self._checkpoints, self._clock, self._retries, checkpoint)


def _since_ms(state: WindowState, source: Source) -> int:
    """From when on to ask: the watermark, or that of a gap, or the connection; less the overlap."""
    known = state.gap_ms or state.through_ms
    if known is None and source.since is not None:
        known = to_milliseconds(source.since)
    return 0 if known is None else max(0, known - _OVERLAP_MS)
