"""Events whose effects wait for their tenant."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WaitingEvent:
    """An event that is in the mirror, and whose effects wait for a connection."""

    event_id: str
    stripe_account: str
    since: dt.datetime


class WaitingEvents(Protocol):
    """Remembers, by id, the events of Stripe accounts that no account is connected to.

    A collection of its own, so that the inbox knows nothing of effects: for the inbox these events
    are done. Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def add(self, events: Sequence[WaitingEvent]) -> None:
        """Remember events, durably; at most 1,000. Idempotent by event id."""
        ...

    async def of(self, stripe_account: str, *, after: str, limit: int) -> Sequence[WaitingEvent]:
        """Waiting events of a Stripe account, in order of event id, from behind one."""
        ...

    async def remove(self, stripe_account: str, event_ids: Sequence[str]) -> None:
        """Forget events, durably. Idempotent."""
        ...

    async def next_stripe_account(self, *, after: str) -> str | None:
        """The first Stripe account behind `after` with waiting events, or None. Across tenants."""
        ...

    async def count(self) -> int:
        """How many events wait. Across tenants: for operators."""
        ...
