"""Payout membership: which balance transactions a payout holds, as only a list by payout tells.

It is read for automatic payouts once they are reconciled: when Stripe says so, and when somebody
asks. A backfill does not read it, which would list everything twice.
"""

import asyncio
import logging
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import msgspec
from typing_extensions import override

from application.background.checkpoints import Checkpoints
from application.background.clock import Clock
from application.background.loops import Loop
from application.background.outages import AccountOutages
from application.background.retries import Retries
from application.connections.sources import MirroredAccounts, for_each
from application.effects.effect import Follower
from application.effects.happenings import EventWithFacts, Outcome
from application.mirror.importer import Importer
from application.mirror.lists import Page, PayoutTransactionLister, Place
from application.mirror.nouns import BALANCE_TRANSACTIONS, PAYOUTS
from application.mirror.oddity_log import log_oddities
from application.mirror.ports import Mirror
from application.mirror.stripe import Priority
from application.upkeep.walk import walk
from domain.balance_transactions import PAYOUT, BalanceTransaction
from domain.errors import BillingError, Conflict, RateLimited, Reason
from domain.mirror import Facet, Row, Snapshot, Version
from domain.oddities import Oddity, is_hopeless
from domain.payouts import MEMBERSHIP, Payout
from domain.periods import to_milliseconds

TASK: Final = "payout membership"
RECONCILED: Final = "payout.reconciliation_completed"
SCHEDULE_SECONDS: Final = 900.0
AGAIN_SECONDS: Final = 30.0
MAX_DUE: Final = 1_000
"""How many payouts of an account may wait to be read."""

_TRIES: Final = 8

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MembershipState:
    """What an account's checkpoint keeps: the payouts that are due, and where one has come to.

    Of `payout` so many transactions were `read`, `odd` of Stripe's list were not understood, and it
    goes on at `place`.
    """

    due: tuple[str, ...] = ()
    payout: str = ""
    place: Place = field(default_factory=Place)
    read: int = 0
    odd: int = 0


class PayoutMembership(Follower):
    """Reads which payout balance transactions are in, and keeps it: in the facet PAYOUT of each.

    Beside the payout the facet MEMBERSHIP says that all were read; without it nothing may be summed
    up. A payout that is due stays so in the checkpoint until then, whatever ends a process, and is
    read on from its last page. Of two processes that read one payout both do all of it, which
    changes nothing.
    """

    def __init__(
        self,
        lister: PayoutTransactionLister,
        importer: Importer,
        mirror: Mirror,
        checkpoints: Checkpoints,
        mirrored_accounts: MirroredAccounts,
        clock: Clock,
        *,
        retries: Retries | None = None,
    ) -> None:
        self._lister = lister
        self._importer = importer
        self._mirror = mirror
        self._checkpoints = checkpoints
        self._mirrored_accounts = mirrored_accounts
        self._clock = clock
        self._retries = retries or Retries()
        self._noted: set[str] = set()
        self._asked = asyncio.Event()
        self._scheduled_at = -math.inf
        self.loop: Final = Loop(TASK, self._read_noted, self._until_due, wake=self._asked)
        self._unread = AccountOutages(_log, "payouts cannot be read", "payouts are read again")

    @override
    async def after(
        self, events: Sequence[EventWithFacts], outcomes: Mapping[str, Outcome]
    ) -> None:
        told: dict[str, dict[str, Version]] = defaultdict(dict)
        for event in events:
            received, account = event.projected.received, event.projected.stripe_account
            if received.type == RECONCILED:
                version = Version.of_event(received.created)
                told[account][event.projected.object_id] = version
        for account, versions in told.items():
            rows = await self._mirror.fetch(PAYOUTS, account, sorted(versions))
            unread = [id_ for id_, at in versions.items() if not _read_since(rows.get(id_), at)]
            if unread:
                await self.ask(account, unread)

    async def ask(self, stripe_account: str, payouts: Sequence[str]) -> None:
        """Have payouts read soon, in the background; durable on return. Idempotent.

        Raises RateLimited (OVERLOADED) where MAX_DUE wait already, and what the checkpoints raise.
        """

        def asked(state: MembershipState) -> MembershipState:
            due = tuple(dict.fromkeys((*state.due, *payouts)))
            if len(due) > MAX_DUE:
                words = "too many payouts wait to be read"
                raise RateLimited(Reason.OVERLOADED, words, retry_after_seconds=60)
            return replace(state, due=due)

        await self._change(stripe_account, asked)
        self._noted.add(stripe_account)
        self._asked.set()

    async def is_due(self, stripe_account: str, payout: str) -> bool:
        """Whether a payout waits to be read, or is being read."""
        state = await self._state(stripe_account)
        return payout == state.payout or payout in state.due

    async def read(
        self, stripe_account: str, payout: str, *, priority: Priority = Priority.REREAD
    ) -> bool:
        """Read a payout's transactions to their end; whether they are all read then.

        False for one that is not mirrored, or of which Stripe does not tell (yet), or cannot be
        read: then nothing is written. Goes on at the last page that was read. Raises as the ports
        do: what was read until then is kept.
        """
        row = (await self._mirror.fetch(PAYOUTS, stripe_account, [payout])).get(payout)
        found = row.snapshot.object if row and row.snapshot else None
        if found is None or not found.tells_transactions:
            await self._change(stripe_account, lambda state: _without(state, payout))
            return False
        try:
            await self._read_to_end(stripe_account, payout, priority)
        except BillingError as error:
            if not is_hopeless(error):
                raise
            log_oddities(stripe_account, [Oddity(PAYOUTS.name, payout, error.message)])
            await self._change(stripe_account, lambda state: _without(state, payout))
            return False
        return True

    async def read_due(self, stripe_account: str) -> int:
        """Read all payouts of an account that are due; how many were. Raises as `read` does."""
        read = 0
        state = await self._state(stripe_account)
        for payout in state.due:
            await self.read(stripe_account, payout, priority=Priority.CATCH_UP)
            read += 1
        return read

    async def _read_to_end(self, stripe_account: str, payout: str, priority: Priority) -> None:
        state = await self._state(stripe_account)
        if state.payout != payout:
            state = MembershipState(payout=payout)

        async def page_at(place: Place) -> Page[Snapshot[BalanceTransaction]]:
            return await self._lister.page_of_payout(
                stripe_account, payout, place, priority=priority
            )

        read, odd, version = state.read, state.odd, Version.of_event(0)
        async with aclosing(walk(page_at, state.place, self._retries)) as pages:
            async for page in pages:
                odd += await self._keep(stripe_account, payout, page, priority)
                read += len(page.items)
                version = page.version
                if page.next is not None:
                    at = MembershipState((), payout, page.next, read, odd)
                    await self._change(stripe_account, partial(_come_to, at))
        values = {
            "transactions": read,
            "not_understood": odd,
            "read_at": to_milliseconds(self._clock.now()),
        }
        whole = Facet(stripe_account, payout, MEMBERSHIP, values, version)
        await self._retries(lambda: self._mirror.derive(PAYOUTS, [whole]))
        await self._change(stripe_account, lambda now: _without(now, payout))

    async def _keep(
        self,
        stripe_account: str,
        payout: str,
        page: Page[Snapshot[BalanceTransaction]],
        priority: Priority,
    ) -> int:
        """Bring a page into the mirror, and say of each transaction where it is; the odd ones."""
        facets = [
            Facet(stripe_account, one.id, PAYOUT, {"payout": payout}, page.version)
            for one in page.items
        ]
        # Together, since the one does not ask for the other: a store has them in one commit.
        brought, _ = await asyncio.gather(
            self._retries(lambda: self._importer.bring(BALANCE_TRANSACTIONS, page.items, priority)),
            self._retries(lambda: self._mirror.derive(BALANCE_TRANSACTIONS, facets)),
        )
        oddities = (*page.oddities, *brought.oddities)
        log_oddities(stripe_account, oddities)
        return len(oddities)

    async def _state(self, stripe_account: str) -> MembershipState:
        checkpoint = await self._checkpoints.load(stripe_account, TASK)
        return msgspec.convert(checkpoint.state, MembershipState)

    async def _change(
        self, stripe_account: str, change: Callable[[MembershipState], MembershipState]
    ) -> None:
        """Change the checkpoint, again where somebody else has changed it meanwhile."""
        for tries_left in reversed(range(_TRIES)):
            checkpoint = await self._checkpoints.load(stripe_account, TASK)
            before = msgspec.convert(checkpoint.state, MembershipState)
            now = change(before)
            if now == before:
                return
            told = replace(checkpoint, state=msgspec.to_builtins(now))
            try:
                await self._checkpoints.save(told, now=self._clock.now())
            except Conflict:
                if not tries_left:
                    raise
            else:
                return

    async def _read_noted(self) -> None:
        """Read what is due where somebody has asked, and everywhere where the schedule says so."""
        now = asyncio.get_running_loop().time()
        if now >= self._scheduled_at:
            self._scheduled_at = now + SCHEDULE_SECONDS
            async for source in self._mirrored_accounts.sources():
                self._noted.add(source.stripe_account)

        async def noted() -> AsyncIterator[str]:
            for stripe_account in sorted(self._noted):
                self._noted.discard(stripe_account)  # first, so that what comes now is noted again
                yield stripe_account

        await for_each(noted(), self._read_apart)

    async def _read_apart(self, stripe_account: str) -> None:
        try:
            await self.read_due(stripe_account)
            self._unread.answered(stripe_account, task=TASK)
        except Conflict:
            self._noted.add(stripe_account)
        except BillingError as error:
            self._noted.add(stripe_account)
            self._unread.waits(stripe_account, error, task=TASK)

    def _until_due(self) -> float:
        left = max(0.0, self._scheduled_at - asyncio.get_running_loop().time())
        return min(left, AGAIN_SECONDS) if self._noted else left


def _come_to(at: MembershipState, now: MembershipState) -> MembershipState:
    """The state now, but for the payout that is being read."""
    return replace(at, due=now.due)


def _without(state: MembershipState, payout: str) -> MembershipState:
    """The state once a payout is no longer due."""
    due = tuple(one for one in state.due if one != payout)
    return MembershipState(due) if state.payout == payout else replace(state, due=due)


def _read_since(row: Row[Payout] | None, told: Version) -> bool:
    """Whether all of a payout was read after Stripe said that it is reconciled."""
    membership = row.derived.get(MEMBERSHIP) if row else None
    return membership is not None and membership.version.surely_after(told)
