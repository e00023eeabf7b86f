"""Overlapping windows: a list that grows at its top is read again and again, each time to its end.

Catch-up and the nouns that are refreshed keep their watermarks in this way.
"""

import datetime as dt
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

import msgspec

from application.background.checkpoints import Checkpoint, Checkpoints
from application.background.clock import Clock
from application.background.retries import Retries
from application.mirror.lists import Page, Place
from application.upkeep.walk import walk
from domain.mirror import AHEAD_MS
from domain.periods import from_milliseconds, to_milliseconds

E = TypeVar("E")

OVERLAP: Final = dt.timedelta(hours=1)
"""How far a window reaches back behind the watermark: lists may show an object late."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window that is being read: from `since_ms` to `until_ms`, at `place`. In Stripe's time.

    `lost`: Stripe does not list all of it any more.
    """

    since_ms: int
    until_ms: int
    place: Place
    lost: bool = False


@dataclass(frozen=True, slots=True)
class WindowState:
    """A watermark as its checkpoint keeps it, in milliseconds of Stripe's time.

    Everything before `through_ms` was seen. `open` is the window that is not read to its end yet.
    After a window of which something was lost the watermark stays, and `gap_ms` says until when
    things were seen since; `mending` that what was lost is being read otherwise.
    """

    through_ms: int | None = None
    open: Window | None = None
    gap_ms: int | None = None
    mending: bool = False

    @property
    def through(self) -> dt.datetime | None:
        """The watermark as an instant."""
        return None if self.through_ms is None else from_milliseconds(self.through_ms)


class Watermark(Generic[E]):
    """The watermark of one account's list, moved only by a window that was read to its end."""

    def __init__(
        self, checkpoints: Checkpoints, clock: Clock, retries: Retries, checkpoint: Checkpoint
    ) -> None:
        self._checkpoints = checkpoints
        self._clock = clock
        self._retries = retries
        self._checkpoint = checkpoint
        self.state = msgspec.convert(checkpoint.state, WindowState)
        known_ms = max(self.state.through_ms or 0, self.state.gap_ms or 0)
        if known_ms > to_milliseconds(clock.now()) + AHEAD_MS:
            # It was set by a `Date` that lied: nobody knows what was seen (docs/decisions/0016).
            self.state = WindowState()

    async def windows(
        self,
        read: Callable[[Place, int], Awaitable[Page[E]]],
        since_ms: int,
        *,
        kept_for: dt.timedelta | None = None,
    ) -> AsyncGenerator[Page[E], None]:
        """The pages of the open window, or of a new one from `since_ms` on. Close it (`aclosing`).

        `read` gives the page at a place of the list since an instant; Stripe lists what is not
        older than `kept_for`. The consumer must have made a page's items durable when it asks for
        the next one. The watermark moves at the end, and only then.
        """
        window = self.state.open
        since = window.since_ms if window else since_ms
        place = window.place if window else Place()
        async with aclosing(walk(lambda at: read(at, since), place, self._retries)) as pages:
            async for page in pages:
                window = window or _begun(page, since, kept_for)
                yield page
                if page.next is not None:
                    window = replace(window, place=page.next)
                    await self.save(replace(self.state, open=window))
        if window is not None:
            await self.save(_closed(self.state, window))

    async def save(self, state: WindowState) -> None:
        """Keep the state. Raises Conflict where another process is at the same list."""
        told = replace(self._checkpoint, state=msgspec.to_builtins(state))
        self._checkpoint = await self._checkpoints.save(told, now=self._clock.now())
        self.state = state


def _begun(page: Page[E], since_ms: int, kept_for: dt.timedelta | None) -> Window:
    """The window that a first page begins."""
    # What was made while the page was under way may not be on it. Where Stripe's time is ahead of
    # our own clock, the list was complete when it was asked for.
    version = page.version
    until = (
        version.low if version.sent_at is None or version.allows(version.low) else version.sent_at
    )
    kept_ms = until if kept_for is None else kept_for // dt.timedelta(milliseconds=1)
    return Window(since_ms, until, Place(), lost=0 < since_ms < until - kept_ms)


def _closed(state: WindowState, window: Window) -> WindowState:
    """The state once a window was read to its end."""
    if window.lost or state.gap_ms is not None:
        seen = max(window.until_ms, state.gap_ms or 0)
        return replace(state, open=None, gap_ms=seen, mending=state.mending and not window.lost)
    return replace(state, open=None, through_ms=max(window.until_ms, state.through_ms or 0))
