"""Refreshing: what Stripe's events do not tell is listed, again and again."""

import asyncio
import datetime as dt
import logging
import math
from abc import ABC
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from typing_extensions import override

from application.background.checkpoints import Checkpoints
from application.background.clock import Clock
from application.background.loops import Loop
from application.background.outages import AccountOutages
from application.background.retries import Retries
from application.connections.sources import MirroredAccounts, Source, for_each
from application.effects.effect import Follower
from application.effects.happenings import EventWithFacts, Outcome
from application.mirror.importer import Importer
from application.mirror.lists import ObjectLister, Page, Place
from application.mirror.oddity_log import log_oddities
from application.mirror.ports import Mirror, Noun
from application.mirror.stripe import Priority
from application.upkeep.watermark import OVERLAP, Watermark
from domain.errors import BillingError, Conflict
from domain.mirror import Snapshot
from domain.periods import to_milliseconds

SCHEDULE_SECONDS: Final = 900.0
FIRST_WINDOW: Final = dt.timedelta(days=30)
"""How far back the first window of an account reaches, as Stripe's lists of events do: whatever was
made between the backfill and the first refresh is in it. What is older is the backfill's."""

MAX_NOTED: Final = 10_000
_OVERLAP_MS: Final = OVERLAP // dt.timedelta(milliseconds=1)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh listed, and how many rows it changed."""

    stripe_account: str
    listed: int
    changed: int


class Refresher(Follower, ABC):
    """Keeps a noun of every active connection and of the platform current, by its list.

    Overlapping windows by `created`, each read to its end before the watermark moves: soon after
    something was noted, once for many notes, and on a schedule. What is older than the window and
    changes still is a subclass's to look after.

    As a follower it notes the accounts of events after which the list may have changed.
    """

    noun: ClassVar[Noun[Any]]
    task: ClassVar[str]
    """The name of its checkpoint, and of what it does in the log."""

    noted_by: ClassVar[tuple[str, ...]]
    """How the types of the events begin after which the list is asked."""

    debounce_seconds: ClassVar[float]
    """How long after a first note the list is asked, since many follow."""

    schedule_seconds: ClassVar[float] = SCHEDULE_SECONDS

    def __init__(
        self,
        lister: ObjectLister,
        importer: Importer,
        mirror: Mirror,
        checkpoints: Checkpoints,
        mirrored_accounts: MirroredAccounts,
        clock: Clock,
        *,
        retries: Retries | None = None,
        debounce_seconds: float | None = None,
        schedule_seconds: float | None = None,
    ) -> None:
        """The last two are in place of the noun's own, for tests."""
        self._lister = lister
        self._importer = importer
        self._mirror = mirror
        self._checkpoints = checkpoints
        self._mirrored_accounts = mirrored_accounts
        self._clock = clock
        self._retries = retries or Retries()
        self._debounce_seconds = (
            self.debounce_seconds if debounce_seconds is None else debounce_seconds
        )
        self._schedule_seconds = (
            self.schedule_seconds if schedule_seconds is None else schedule_seconds
        )
        self._due: dict[str, float] = {}
        self._noted = asyncio.Event()
        self._scheduled_at = -math.inf
        self.loop: Final = Loop(
            f"listing {self.task}", self._refresh_due, self._until_due, wake=self._noted
        )
        self._unlisted = AccountOutages(
            _log, "an account cannot be listed", "an account is listed again"
        )

    def note(self, stripe_account: str) -> None:
        """Something happened on an account: ask for its list soon, once for many notes.

        Costs nothing and never fails. What is noted in a process that ends is left to the schedule.
        """
        if stripe_account in self._due or len(self._due) >= MAX_NOTED:
            return
        self._due[stripe_account] = asyncio.get_running_loop().time() + self._debounce_seconds
        self._noted.set()

    @override
    async def after(
        self, events: Sequence[EventWithFacts], outcomes: Mapping[str, Outcome]
    ) -> None:
        for event in events:
            if event.projected.received.type.startswith(self.noted_by):
                self.note(event.projected.stripe_account)

    async def refresh_all(self) -> None:
        """Refresh every account, what is pending included; an account's failures are its own."""

        async def refresh(source: Source) -> None:
            await self._refresh(source.stripe_account, pending=True)

        await for_each(self._mirrored_accounts.sources(), refresh)

    async def refresh(self, stripe_account: str, *, pending: bool = False) -> Refreshed:
        """List what was made since the watermark, less an hour, and see to what may still change.

        With `pending` all of that, however old. Raises Conflict where another process is at the
        same list, and what the ports raise: the watermark has then not moved.
        """
        checkpoint = await self._checkpoints.load(stripe_account, self.task)
        watermark: Watermark[Snapshot[Any]] = Watermark(
            self._checkpoints, self._clock, self._retries, checkpoint
        )
        through_ms = watermark.state.through_ms
        since_ms = (
            to_milliseconds(self._clock.now() - FIRST_WINDOW)
            if through_ms is None
            else through_ms - _OVERLAP_MS
        )
        if pending:
            since_ms = min(since_ms, await self._pending_since_ms(stripe_account, since_ms))

        async def read(at: Place, since: int) -> Page[Snapshot[Any]]:
            return await self._lister.page(
                self.noun, stripe_account, at, since_ms=since, priority=Priority.CATCH_UP
            )

        listed = changed = 0
        async with aclosing(watermark.windows(read, since_ms)) as pages:
            async for page in pages:
                listed += len(page.items) + len(page.oddities)
                log_oddities(stripe_account, page.oddities)
                changed += await self._bring(stripe_account, page.items)
        changed += await self._read_outdated(stripe_account, pending=pending)
        return Refreshed(stripe_account, listed, changed)

    async def _pending_since_ms(self, stripe_account: str, default: int) -> int:  # noqa: ARG002 - for those that override it
        """Since when all is to be listed that may still change."""
        return default

    async def _read_outdated(self, stripe_account: str, *, pending: bool) -> int:  # noqa: ARG002 - as above
        """Read by itself what is known to be outdated; how many rows changed."""
        return 0

    async def _bring(self, stripe_account: str, snapshots: Sequence[Snapshot[Any]]) -> int:
        brought = await self._retries(
            lambda: self._importer.bring(self.noun, snapshots, Priority.CATCH_UP)
        )
        log_oddities(stripe_account, brought.oddities)
        return brought.changed

    async def _refresh(self, stripe_account: str, *, pending: bool = False) -> None:
        try:
            await self.refresh(stripe_account, pending=pending)
            self._unlisted.answered(stripe_account, task=self.task)
        except Conflict:
            pass  # another process is at it
        except BillingError as error:
            self._unlisted.waits(stripe_account, error, task=self.task)

    async def _refresh_due(self) -> None:
        """Refresh what was noted, and everything where the schedule says so."""
        await self._refresh_noted()
        now = asyncio.get_running_loop().time()
        if now >= self._scheduled_at:
            self._scheduled_at = now + self._schedule_seconds
            await self.refresh_all()

    def _until_due(self) -> float:
        soonest = min((self._scheduled_at, *self._due.values()))
        return max(0.0, soonest - asyncio.get_running_loop().time())

    async def _refresh_noted(self) -> None:
        now = asyncio.get_running_loop().time()

        async def due() -> AsyncIterator[str]:
            for stripe_account in [one for one, at in self._due.items() if at <= now]:
                del self._due[stripe_account]  # first, so that what comes now is noted again
                yield stripe_account

        await for_each(due(), self._refresh)
