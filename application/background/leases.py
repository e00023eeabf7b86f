"""Leases: one at a time does what must not be done twice at once, in whichever process."""

import asyncio
import datetime as dt
from dataclasses import replace
from typing import Final

from application.background.checkpoints import Checkpoint, Checkpoints
from application.background.clock import Clock
from domain.back_off import BackOff
from domain.errors import Conflict
from domain.periods import to_milliseconds

LEASE: Final = dt.timedelta(minutes=10)
"""Longer than any mutation runs, and than its recovery waits at first.

Where recovery cannot settle a mutation for hours, somebody else may have the lease before it is
carried on: what is done under it must then find what the other one has done.
"""

_LONGEST: Final = LEASE + dt.timedelta(minutes=5)
"""What runs for longer was taken by a clock that was ahead; other processes' clocks differ less."""

KEPT: Final = dt.timedelta(days=1)
"""How long a lease's row is kept after its last use: longer than anybody looks at one."""

_FORGOTTEN_AT_ONCE: Final = 5

_PAUSES: Final = BackOff(0.02, 0.32)

_SPACE: Final = "/leases"
"""Behind the Stripe account, so that leases are not listed among the account's long work."""


class Leases:
    """Leases by name within a Stripe account, each on one checkpoint's compare-and-set.

    Who takes one again under the same owner has it anew. A new row pays for the removal of old
    ones, so that there are only those of a day. Raises Unavailable (STORE_UNAVAILABLE).
    """

    def __init__(self, checkpoints: Checkpoints, clock: Clock) -> None:
        self._checkpoints = checkpoints
        self._clock = clock

    async def take(self, stripe_account: str, name: str, owner: str) -> bool:
        """Take the lease, durably. Whether it is the owner's now; else somebody else has it."""
        now, space = self._clock.now(), f"{stripe_account}{_SPACE}"
        seen = await self._checkpoints.load(space, name)
        if not seen.revision:
            await self._checkpoints.forget(space, before=now - KEPT, limit=_FORGOTTEN_AT_ONCE)
        is_anothers = seen.state.get("owner", owner) != owner
        if is_anothers and _runs(seen.state["until_ms"], now):
            return False
        return await self._save(seen, {"owner": owner, "until_ms": to_milliseconds(now + LEASE)})

    async def release(self, stripe_account: str, name: str, owner: str) -> None:
        """Give the lease back, where the owner still has it."""
        seen = await self._checkpoints.load(f"{stripe_account}{_SPACE}", name)
        if seen.state.get("owner") == owner:
            await self._save(seen, {})

    async def _save(self, seen: Checkpoint, state: dict[str, object]) -> bool:
        try:
            await self._checkpoints.save(replace(seen, state=state), now=self._clock.now())
        except Conflict:
            return False
        return True


def _runs(until_ms: int, now: dt.datetime) -> bool:
    return to_milliseconds(now) < until_ms <= to_milliseconds(now + _LONGEST)


async def pause(tries: int) -> None:
    """Wait before another try at what somebody else has: 20 ms at first, 320 ms at most."""
    await asyncio.sleep(_PAUSES.longest(tries))
