"""Operations: long work on a Stripe account that any process starts, resumes, tells of and ends."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import uuid4

from application.background.clock import Clock
from application.background.loops import Loop, first_of
from application.background.outages import AccountOutages
from application.background.retries import Sleep
from application.connections.access import MirrorAccess
from application.connections.sources import MirroredAccounts, Source, for_each
from application.operations.log import Kept, OperationLog
from application.operations.run import OperationRun
from application.operations.work import Work
from application.requests.callers import Caller
from domain.errors import (
    BillingError,
    Conflict,
    FailedPrecondition,
    NotFound,
    RateLimited,
    Reason,
    ShuttingDown,
)
from domain.operations import ID_CHARACTERS, Operation, OperationKind, OperationOptions

AT_ONCE: Final = 4
"""How many operations a process carries out at once; others wait, for this one or another."""

SCAN_SECONDS: Final = 30.0
WATCH_SECONDS: Final = 0.5
MAX_WATCHES: Final = 200
STOP_SECONDS: Final = 10.0
"""How long the work of an operation may take to end once it was cut off."""

_TRIES: Final = 10
"""How often a change is tried that always somebody else forestalls."""

_Key = tuple[str, OperationKind]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Running:
    run: OperationRun
    task: "asyncio.Task[None]"


class Operations:
    """Starts, tells of and ends operations; a Stripe account has at most one of a kind.

    An operation belongs to the store, not to a process: whichever process has room carries it out,
    and another one goes on where it ended. All methods with a caller raise FailedPrecondition
    (STRIPE_NOT_CONNECTED, STRIPE_CONNECTION_REVOKED), and Unavailable.
    """

    def __init__(
        self,
        log: OperationLog,
        works: Sequence[Work],
        access: MirrorAccess,
        mirrored_accounts: MirroredAccounts,
        clock: Clock,
        *,
        sleep: Sleep = asyncio.sleep,
        at_once: int = AT_ONCE,
        max_watches: int = MAX_WATCHES,
        wake: asyncio.Event | None = None,
    ) -> None:
        """`works` are all that there are to carry out, one of a kind.

        `wake` is set where an operation was left to whichever process has room.
        """
        self._log = log
        self._works = {work.kind: work for work in works}
        self._access = access
        self._mirrored_accounts = mirrored_accounts
        self._clock = clock
        self._sleep = sleep
        self._at_once = at_once
        self._max_watches = max_watches
        self._running: dict[_Key, _Running] = {}
        self._taken = 0
        self._watches = 0
        self._wake = wake or asyncio.Event()
        self._stopping = asyncio.Event()
        # Takes up operations that wait, and those whose process has gone.
        self.loop: Final = Loop(
            "taking up operations", self._take_up, SCAN_SECONDS, wake=self._wake, sleep=sleep
        )
        self._unread = AccountOutages(
            _log, "an account's operations cannot be read", "an account's operations are read again"
        )

    async def start(
        self, caller: Caller, kind: OperationKind, options: OperationOptions | None = None
    ) -> Operation:
        """Begin an operation in the background; the one that is there, if it is the same.

        Raises FailedPrecondition (OPERATION_RUNNING) where one with other options is not over.
        """
        stripe_account = await self._access.stripe_account(caller)
        if self._stopping.is_set():
            raise ShuttingDown("this process is stopping; call again")
        options = options or OperationOptions()
        for _ in range(_TRIES):
            kept = await self._log.find(stripe_account, kind)
            try:
                if kept is not None and not kept.operation.ended:
                    return await self._join(kept, options)
                now, id_ = self._clock.now(), uuid4().hex[:ID_CHARACTERS]
                fresh = Operation(id_, stripe_account, kind, options, now)
                return (
                    await self._take(fresh, kept) or (await self._log.save(fresh, kept)).operation
                )
            except Conflict:
                continue  # somebody else was first: what he started counts
        raise _too_busy()

    async def get(self, caller: Caller, kind: OperationKind) -> Operation:
        """The last operation of a kind, as it stands. Raises NotFound where there never was one."""
        kept = await self._log.find(await self._access.stripe_account(caller), kind)
        if kept is None:
            raise NotFound("operation", kind)
        return self._as_it_is(kept.operation)

    async def watch(self, caller: Caller, kind: OperationKind) -> AsyncGenerator[Operation, None]:
        """The operation as it stands, and again as it gets on, until it has ended.

        At most twice a second; a slow reader gets the latest, and nothing is held for him. Raises
        as `get`; RateLimited (OVERLOADED) where there are too many watches; Unavailable
        (SHUTTING_DOWN) where this process stops.
        """
        if self._watches >= self._max_watches:
            words = "too many watches at once; try again later"
            raise RateLimited(Reason.OVERLOADED, words, retry_after_seconds=10)
        self._watches += 1
        told = None
        try:
            while not self._stopping.is_set():
                operation = await self.get(caller, kind)
                if operation != told:
                    yield operation
                    told = operation
                if operation.ended:
                    return
                await self._rest(WATCH_SECONDS)
            raise ShuttingDown("this process is stopping; watch again")
        finally:
            self._watches -= 1

    async def cancel(self, caller: Caller, kind: OperationKind) -> Operation:
        """End an operation for good; one that has ended stays as it is. Raises NotFound.

        What it has brought into the mirror stays. Another process that carries it out learns of it
        within seconds.
        """
        stripe_account = await self._access.stripe_account(caller)
        for _ in range(_TRIES):
            kept = await self._log.find(stripe_account, kind)
            if kept is None:
                raise NotFound("operation", kind)
            if kept.operation.ended:
                return kept.operation
            here = self._here(kept.operation)
            cancelled = self._as_it_is(kept.operation).cancelled(self._clock.now())
            try:
                await self._log.save(cancelled, kept)
            except Conflict:
                continue
            if here is not None:
                await self._cut([here.task])
            if here is not None or self._log.is_free(kept):
                await self._tidy(cancelled)
            return cancelled
        raise _too_busy()

    async def stop(self) -> None:
        """Cut off all work in good order: the next start, or another process, goes on at once.

        Watches end, and nothing can be started any more. `loop` must have ended.
        """
        self._stopping.set()
        running = list(self._running.values())
        await self._cut([one.task for one in running])
        await asyncio.gather(*(one.run.give_back() for one in running))

    async def _join(self, kept: Kept, options: OperationOptions) -> Operation:
        """The operation that is there already, taken up if nobody has it."""
        there = kept.operation
        if there.options != options:
            raise FailedPrecondition(
                Reason.OPERATION_RUNNING,
                f"a {there.kind} {there.options.words} is {there.state}; "
                "wait for its end or cancel it, then start it with other options",
                subject=f"operations/{there.kind}",
                metadata={"kind": there.kind, "state": there.state},
            )
        if self._log.is_free(kept) and self._here(there) is None:
            return await self._take(there, kept) or there
        return self._as_it_is(there)

    async def _take(self, operation: Operation, seen: Kept | None) -> Operation | None:
        """Carry an operation out here, if there is room; None where there is none.

        Raises Conflict where somebody else has it.
        """
        if self._taken >= self._at_once:
            return None
        self._taken += 1
        begun = False
        try:
            taken = operation.taken(uuid4().hex, self._clock.now())
            kept = await self._log.save(taken, seen)
            if taken.ended:
                await self._tidy(taken)
            elif self._stopping.is_set():
                await self._log.save(taken.given_back(), kept)
            else:
                self._begin(kept)
                begun = True
            return taken
        finally:
            if not begun:
                self._taken -= 1

    def _begin(self, kept: Kept) -> None:
        key = kept.operation.stripe_account, kept.operation.kind
        work = self._works[kept.operation.kind]
        run = OperationRun(kept, self._log, work, self._clock, sleep=self._sleep)
        task = asyncio.create_task(_carry_out(run, self._running.get(key)))
        self._running[key] = _Running(run, task)
        task.add_done_callback(partial(self._forget, key))

    def _forget(self, key: _Key, task: "asyncio.Task[None]") -> None:
        self._taken -= 1
        self._wake.set()
        present = self._running.get(key)
        if present is not None and present.task is task:
            del self._running[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("an operation was dropped", exc_info=error, extra={"stripe_account": key[0]})

    async def _take_up(self) -> None:
        """Look through all accounts for operations that nobody has; the oldest come first."""
        if self._taken >= self._at_once:
            return
        found: list[Kept] = []

        async def look(source: Source) -> None:
            try:
                kept = await self._log.of(source.stripe_account)
            except BillingError as error:
                self._unread.waits(source.stripe_account, error)
            else:
                self._unread.answered(source.stripe_account)
                found.extend(filter(self._is_takeable, kept))

        await for_each(self._mirrored_accounts.sources(), look)
        found.sort(key=lambda kept: kept.operation.requested_at)
        for kept in found:
            try:
                if await self._take(kept.operation, kept) is None:
                    return
            except Conflict:
                continue  # another process has taken it

    def _is_takeable(self, kept: Kept) -> bool:
        key = kept.operation.stripe_account, kept.operation.kind
        return key not in self._running and self._log.is_free(kept)

    def _here(self, operation: Operation) -> _Running | None:
        """This process's run of an operation, if it is the one that has it."""
        running = self._running.get((operation.stripe_account, operation.kind))
        return running if running and running.run.owner == operation.owner else None

    def _as_it_is(self, operation: Operation) -> Operation:
        """The operation with what this process knows of it and has not saved yet."""
        here = self._here(operation)
        return operation if here is None or here.run.operation.ended else here.run.operation

    async def _tidy(self, operation: Operation) -> None:
        try:
            await self._works[operation.kind].tidy(operation)
        except BillingError as error:  # the next operation of its kind removes it
            told = {
                "stripe_account": operation.stripe_account,
                "kind": operation.kind,
                "error": error.message,
            }
            _log.warning("an operation has left something behind", extra=told)

    async def _cut(self, tasks: "Sequence[asyncio.Task[None]]") -> None:
        """Cancel tasks, and wait until they have ended, for a while."""
        for task in tasks:
            task.cancel()
        if tasks:
            ended = asyncio.ensure_future(asyncio.wait(tasks))
            await first_of([ended, asyncio.ensure_future(self._sleep(STOP_SECONDS))])

    async def _rest(self, seconds: float) -> None:
        """Wait so long, or until the process stops."""
        sleep = asyncio.ensure_future(self._sleep(seconds))
        await first_of([sleep, asyncio.ensure_future(self._stopping.wait())])


async def _carry_out(run: OperationRun, before: _Running | None) -> None:
    """Carry an operation out, once the one before it, which was cancelled, is at its end."""
    if before is not None:
        await asyncio.wait({before.task})
    await run.carry_out()


def _too_busy() -> Conflict:
    return Conflict(Reason.REQUEST_IN_FLIGHT, "other calls keep changing the operation; call again")
