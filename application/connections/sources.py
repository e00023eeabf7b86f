"""Every Stripe account that is mirrored, for the flows that go round them all."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from application.connections.platform import Platform
from application.connections.ports import ConnectionRepository
from domain.connections import Mode
from domain.errors import BillingError

S = TypeVar("S")

AT_ONCE: Final = 8
_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Source:
    """A mirrored Stripe account. `ours`: the platform's own, whose webhooks name no account.

    `since` is when it was connected (None: always was).
    """

    stripe_account: str
    ours: bool
    since: dt.datetime | None


class MirroredAccounts:
    """The platform's own account and those of all active connections."""

    def __init__(self, connections: ConnectionRepository, platform: Platform, mode: Mode) -> None:
        self._connections = connections
        self._platform = platform
        self._mode = mode

    async def sources(self) -> AsyncIterator[Source]:
        """All of them. An account that is connected meanwhile may be left for the next round."""
        yield Source(await self._platform.stripe_account(), True, None)
        after = ""
        while True:
            found = await self._connections.list_active(self._mode, after=after, limit=_PAGE)
            for one in found:
                yield Source(one.stripe_account, False, one.connected_at)
            if len(found) < _PAGE:
                return
            after = found[-1].stripe_account


async def for_each(items: AsyncIterable[S], work: Callable[[S], Awaitable[None]]) -> None:
    """Do the work for each item, AT_ONCE at a time: a slow account does not hold up the others.

    Nor does one that fails: all others are done. What was raised comes at the end of the round, as
    it is, so that nobody has to look into a group; of several failures a defect, else the first.
    """
    free = asyncio.Semaphore(AT_ONCE)
    failures: list[Exception] = []

    async def one(item: S) -> None:
        try:
            await work(item)
        except Exception as error:  # noqa: BLE001 - raised below, when the others are done
            failures.append(error)
        finally:
            free.release()

    try:
        async with asyncio.TaskGroup() as group:
            async for item in items:
                await free.acquire()
                group.create_task(one(item))
    except ExceptionGroup as errors:  # of `items`: the work's own are kept
        failures += errors.exceptions
    if failures:
        raise min(failures, key=lambda error: isinstance(error, BillingError))
