"""How a mirror stands: how current it is, what waits, and what it holds."""

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from application.connections.access import MirrorAccess
from application.connections.platform import Platform
from application.effects.waiting import WaitingEvents
from application.events.event_log import EventLog
from application.events.inbox import EventState
from application.mirror.nouns import NOUNS
from application.mirror.ports import Mirror
from application.operations.log import OperationLog
from application.requests.callers import Caller
from application.upkeep.catch_up import CatchUp, Gap
from domain.operations import MIRROR_KINDS, Operation

MAX_WAITING: Final = 10_000
"""How far the waiting events of one account are counted."""

_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Backlog:
    """Events that are not done: `pending` for the mirror, `dead` for an operator.

    `waiting` are in the mirror, and their effects wait until an account is connected.
    """

    pending: int
    dead: int
    waiting: int


@dataclass(frozen=True, slots=True)
class MirrorStatus:
    """How the mirror of a Stripe account stands.

    All that happened at Stripe before `data_through` (Stripe's time) is known here; None while that
    cannot be said. `rows` are live ones, by noun. `everything` is the backlog of all accounts
    together: for operators, None for all others. `gap` is a time whose events were lost.
    """

    stripe_account: str
    data_through: dt.datetime | None
    backlog: Backlog
    rows: Mapping[str, int]
    operations: Sequence[Operation]
    everything: Backlog | None = None
    gap: Gap | None = None


class MirrorStatuses:
    """Tells how mirrors stand, without asking Stripe about them."""

    def __init__(
        self,
        mirror: Mirror,
        event_log: EventLog,
        waiting: WaitingEvents,
        catch_up: CatchUp,
        operations: OperationLog,
        access: MirrorAccess,
        platform: Platform,
    ) -> None:
        self._mirror = mirror
        self._event_log = event_log
        self._waiting = waiting
        self._catch_up = catch_up
        self._operations = operations
        self._access = access
        self._platform = platform

    async def of(self, caller: Caller) -> MirrorStatus:
        """How the caller's mirror stands.

        Raises FailedPrecondition (STRIPE_NOT_CONNECTED, STRIPE_CONNECTION_REVOKED).
        """
        stripe_account = await self._access.stripe_account(caller)
        counts = await asyncio.gather(*(self._mirror.count(one, stripe_account) for one in NOUNS))
        kept = await self._operations.of(stripe_account)
        standing = await self._catch_up.standing(stripe_account)
        return MirrorStatus(
            stripe_account,
            standing.data_through,
            await self._backlog(stripe_account),
            {noun.name: count for noun, count in zip(NOUNS, counts, strict=True)},
            [one.operation for one in kept if one.operation.kind in MIRROR_KINDS],
            await self._everything() if caller.is_operator else None,
            standing.gap,
        )

    async def _backlog(self, stripe_account: str) -> Backlog:
        ours = stripe_account == await self._platform.stripe_account()
        counts = await self._event_log.counts("" if ours else stripe_account)
        return _backlog(counts, await self._count_waiting(stripe_account))

    async def _count_waiting(self, stripe_account: str) -> int:
        """How many events of the account wait for effects, counted up to MAX_WAITING."""
        count, after = 0, ""
        while count < MAX_WAITING:
            page = await self._waiting.of(stripe_account, after=after, limit=_PAGE)
            count += len(page)
            if len(page) < _PAGE:
                break
            after = page[-1].event_id
        return count

    async def _everything(self) -> Backlog:
        return _backlog(await self._event_log.counts(None), await self._waiting.count())


def _backlog(counts: Mapping[EventState, int], waiting: int) -> Backlog:
    return Backlog(counts.get(EventState.PENDING, 0), counts.get(EventState.DEAD, 0), waiting)
