"""Watching: billing events of an account as they happen, from any point that is still kept."""

import asyncio
import contextlib
import datetime as dt
import re
from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from application.jobs.outbox import Outbox, WatchedJob
from application.requests.callers import Caller
from application.requests.violations import refuse
from domain.effects import FactName
from domain.errors import FieldViolation, InvalidArgument, RateLimited, Reason, ShuttingDown
from domain.money import Money
from domain.periods import from_milliseconds

PAGE: Final = 100
"""How many events a watch holds at most: a slow reader makes it read later, not hold more."""

POLL_SECONDS: Final = 1.0
BOOKMARK_SECONDS: Final = 15.0
MAX_WATCHES: Final = 500

_TOKEN: Final = re.compile(r"e([0-9a-f]{1,15})")


@dataclass(frozen=True, slots=True)
class BillingEvent:
    """A business fact of an account. `id` is the same however often it is told.

    `fact` is one of FactName; another release may know more. `object_id` is Stripe's id of what it
    is about, `occurred_at` Stripe's time of the event that told it first.
    """

    id: str
    fact: str
    account: str
    stripe_account: str
    object_id: str
    customer: str | None
    amount: Money | None
    occurred_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Watched:
    """An event, or None for a bookmark; after either the watch may go on from `resume_token`."""

    resume_token: str
    event: BillingEvent | None


class Watching:
    """Streams billing events from the outbox.

    Every watch reads pages from the store at its reader's pace: nothing is held for slow ones, and
    they fail nobody. The number of watches is bounded.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        poll_seconds: float = POLL_SECONDS,
        bookmark_seconds: float = BOOKMARK_SECONDS,
        max_watches: int = MAX_WATCHES,
    ) -> None:
        self._outbox = outbox
        self._poll_seconds = poll_seconds
        self._bookmark_seconds = bookmark_seconds
        self._max_watches = max_watches
        self._watches = 0
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End all watches, with ShuttingDown: a stream would outlast any drain."""
        self._stopping.set()

    async def watch(
        self,
        caller: Caller,
        *,
        resume_token: str = "",
        oldest: bool = False,
        facts: Collection[str] = (),
        violations: Sequence[FieldViolation] = (),
    ) -> AsyncGenerator[Watched, None]:
        """The account's events behind a token, in order, without end; a bookmark comes first.

        Without token from now on, or with `oldest` from the first that is kept. `facts` narrows
        them (empty: all). A bookmark also comes when nothing has happened for a while. Each event
        comes at least once over any number of watches that go on from each other's tokens.

        Raises InvalidArgument: INVALID_PAGE_TOKEN for a token that is none, or older than what is
        kept, so that nobody misses events unknowingly. RateLimited (OVERLOADED) where there are too
        many watches. Unavailable.
        """
        refuse(chain(violations, _fact_violations(facts)))
        if self._watches >= self._max_watches:
            words = "too many watches at once; try again later"
            raise RateLimited(Reason.OVERLOADED, words, retry_after_seconds=10)
        self._watches += 1
        try:
            position = await self._start(resume_token, oldest=oldest)
            yield Watched(_write(position), None)
            follow = self._follow(caller.account, position, frozenset(facts))
            async with contextlib.aclosing(follow) as events:
                async for watched in events:
                    yield watched
        finally:
            self._watches -= 1

    async def _start(self, resume_token: str, *, oldest: bool) -> int:
        """The position behind which a watch begins."""
        first, last = await self._outbox.bounds()
        if not resume_token:
            return 0 if oldest else last
        match = _TOKEN.fullmatch(resume_token)
        position = int(match[1], 16) if match else -1
        if not 0 <= position <= last:
            raise _refusal("must be a token that WatchEvents of this deployment returned")
        if position < first - 1:
            raise _refusal("its events are deleted by now; start again without a token")
        return position

    async def _follow(
        self, account: str, position: int, facts: frozenset[str]
    ) -> AsyncGenerator[Watched, None]:
        loop = asyncio.get_running_loop()
        told_at = loop.time()
        while not self._stopping.is_set():
            # Read before the page: when that is empty, nothing up to here is left for the account.
            _, last = await self._outbox.bounds()
            page = await self._outbox.watch(account, after=position, limit=PAGE)
            for watched in page:
                position = watched.position
                event = _event(watched)
                if not facts or event.fact in facts:
                    yield Watched(_write(position), event)
                    told_at = loop.time()
            if len(page) == PAGE:
                continue
            position = max(position, last)
            if loop.time() - told_at >= self._bookmark_seconds:
                yield Watched(_write(position), None)
                told_at = loop.time()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._stopping.wait()
        raise ShuttingDown("the service is stopping; watch again with the last resume_token")


def _fact_violations(facts: Collection[str]) -> Iterator[FieldViolation]:
    if not {*facts} <= {*FactName}:
        yield FieldViolation("facts", f"must be among: {', '.join(FactName)}")


def _event(watched: WatchedJob) -> BillingEvent:
    job, payload = watched.job, watched.job.payload
    amount = payload["amount"]
    return BillingEvent(
        id=job.id,
        fact=payload["fact"],
        account=job.account,
        stripe_account=payload["stripe_account"],
        object_id=payload["object_id"],
        customer=payload["customer"],
        amount=None if amount is None else Money(amount, payload["currency"]),
        occurred_at=from_milliseconds(payload["occurred_at_ms"]),
    )


def _write(position: int) -> str:
    """Opaque to callers. It needs no signature: a watch shows the caller's own events only."""
    return f"e{position:x}"


def _refusal(rule: str) -> InvalidArgument:
    violations = [FieldViolation("resume_token", rule)]
    return InvalidArgument(violations, reason=Reason.INVALID_PAGE_TOKEN)
