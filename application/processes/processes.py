"""Processes: what outlives its call is carried on, by one at a time, until it has come to an end.

The call that began it, an event, the clock and an operator all do the same: they take the process's
lease, go on from where it stands, and give the lease back with the time at which it is due again.
"""

import asyncio
import contextlib
import datetime as dt
import hashlib
import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, Final, TypeVar

from application.background.clock import Clock
from application.background.leases import pause
from application.background.loops import Loop
from application.background.tasks import Tasks
from application.mirror.stripe import ObjectReader, Priority
from application.mirror.writer import MirrorWriter
from application.mutations.ports import Lease
from application.mutations.steps import in_flight
from application.processes.moves import Moves
from application.processes.ports import (
    Change,
    Course,
    ProcessKey,
    ProcessLog,
    ProcessRecord,
)
from application.processes.process import AnyProcess
from application.processes.progress import due_at, entered, resumed, went_on
from application.processes.run import ProcessRun
from domain.errors import BillingError, Conflict, NotFound, Reason, Unavailable

R = TypeVar("R")

LEASE: Final = dt.timedelta(seconds=30)
"""How long a process that died keeps others waiting at most; renewed while it is carried on."""

RENEW_SECONDS: Final = 10.0

POLL_SECONDS: Final = 1.0
AT_ONCE: Final = 16
BATCH: Final = 4 * AT_ONCE
"""How many that are due are looked up at once: more than are under way, so there are fresh ones."""

UNKNOWN_PAUSE: Final = dt.timedelta(minutes=10)
"""How long a process of a kind that this release does not know is left alone."""

_HAND_OVER_SECONDS: Final = 2.0
_LEASE_TRIES: Final = 40
"""How often an order tries to get the lease: for about ten seconds in all."""

_log = logging.getLogger(__name__)

Work = Callable[[ProcessRun], Awaitable[R]]


class Processes:
    """Begins processes and carries them on."""

    def __init__(
        self, log: ProcessLog, writer: MirrorWriter, objects: ObjectReader, clock: Clock,
        tasks: Tasks, woken: asyncio.Event,
    ) -> None:  # fmt: skip
        """`woken` is set where events have made processes of ours due."""
        self._log = log
        self._writer = writer
        self._objects = objects
        self._clock = clock
        self._tasks = tasks
        self._kinds: dict[str, AnyProcess] = {}
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._advancing: dict[str, asyncio.Task[None]] = {}
        # None is begun once our process stops, so that the drain sees the last of them.
        self.loop: Final = Loop("processes", self.keep_up, POLL_SECONDS, wake=woken)

    def register(self, process: AnyProcess) -> None:
        """Let a kind of process be begun and carried on. ValueError for a kind that is there."""
        if self._kinds.setdefault(process.kind, process) is not process:
            raise ValueError(f"{process.kind} is registered twice")

    async def start(self, record: ProcessRecord) -> ProcessRecord:
        """Store a process, and begin to carry it on; the one of its key where there is one.

        Durable on return; `advance` waits for the first run.
        """
        lease = self._new_lease()
        stored, made = await self._log.begin(record, lease)
        if made:
            self._spawn(stored.id, self._carry_on(stored, lease, Priority.CALLER))
        return stored

    async def get(self, process_id: str) -> ProcessRecord:
        """A process as it stands, whoever's it is. NotFound where there is none."""
        record = await self._log.get(process_id)
        if record is None:
            raise NotFound("process", process_id)
        return record

    async def find(self, key: ProcessKey) -> ProcessRecord | None:
        """A process by what began it."""
        return await self._log.find(key)

    async def advance(self, process_id: str, priority: Priority = Priority.CALLER) -> None:
        """Carry a process on until it rests or waits; returns also where somebody else does so.

        What goes wrong is the process's own affair and written there. Raises Unavailable where the
        store does not answer.
        """
        task = self._running.get(process_id)
        if task is None:
            task = self._spawn(process_id, self._take_and_carry_on(process_id, priority))
        with contextlib.suppress(Conflict):
            await asyncio.shield(task)

    async def join(self, process_id: str) -> None:
        """Wait for whoever of us carries a process on at the moment; returns at once otherwise."""
        if task := self._running.get(process_id):
            await asyncio.wait([task])

    async def act(self, process_id: str, order: Work[R]) -> R:
        """Give a process an order, alone with it, and have it carried on; what the order returns.

        An order looks whether it may be given, writes down in `data` what is wanted, or turns the
        process back; to do it is the process's own affair. Nothing of it is kept where it raises.
        It may come twice. Raises NotFound, what the order raises, and Conflict (REQUEST_IN_FLIGHT)
        where somebody else is at it for long.
        """
        while running := self._running.get(process_id):
            await asyncio.wait([running])
        return await asyncio.shield(self._spawn(process_id, self._obey(process_id, order)))

    async def resume(self, process_id: str, why: str) -> None:
        """Have a process that needs attention tried again; another is only carried on.

        For operators. Raises as `act` does.
        """

        async def order(run: ProcessRun) -> None:
            if run.progress.attention:
                run.progress = resumed(run.progress, run.now(), why)

        await self.act(process_id, order)

    async def close(self, process_id: str, state: str, why: str) -> None:
        """End a process where it stands: its matter was settled by other means. For operators.

        It still follows what is done to its objects.
        """

        async def order(run: ProcessRun) -> None:
            back = run.progress.course in (Course.BACKWARD, Course.TAKEN_BACK)
            course = Course.TAKEN_BACK if back else Course.COMPLETED
            closed = replace(went_on(run.progress, run.progress.stage), course=course)
            closed = replace(closed, attention="", turning=False)
            run.progress = entered(closed, state, run.now(), why)

        await self.act(process_id, order)

    async def keep_up(self) -> int:
        """Begin what is due, AT_ONCE at a time, until all is begun; returns how many that were.

        It waits for a free slot and never for the slowest. Raises Unavailable where the store does
        not answer.
        """
        begun = 0
        while not self.loop.stopping:
            if len(self._advancing) >= AT_ONCE:
                await asyncio.wait(
                    self._advancing.values(),
                    timeout=POLL_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                continue
            due = await self._log.find_due(now=self._clock.now(), limit=BATCH)
            fresh = [process_id for process_id in due if process_id not in self._advancing]
            if not fresh:
                break
            for process_id in fresh[: AT_ONCE - len(self._advancing)]:
                begun += 1
                self._advancing[process_id] = self._tasks.spawn(self._advance_apart(process_id))
        return begun

    async def _advance_apart(self, process_id: str) -> None:
        """Carry on what is due; what goes wrong is nobody else's affair."""
        try:
            await self.advance(process_id, Priority.REREAD)
        except BillingError as error:
            _log.warning("a process is put off", extra={"reason": error.reason})
        except Exception:  # noqa: BLE001 - other processes go on
            _log.exception("a process cannot be carried on", extra={"process_id": process_id})
        finally:
            del self._advancing[process_id]

    def _spawn(self, process_id: str, work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        """A task that is the only one of a process here."""
        task = self._tasks.spawn(work)
        self._running[process_id] = task

        def forget(_: object) -> None:
            if self._running.get(process_id) is task:
                del self._running[process_id]

        task.add_done_callback(forget)
        return task

    async def _take_and_carry_on(self, process_id: str, priority: Priority) -> None:
        lease = self._new_lease()
        taken = await self._log.take(process_id, lease, now=self._clock.now())
        if taken is None:
            raise NotFound("process", process_id)
        record, held = taken
        if held:
            await self._carry_on(record, lease, priority)

    async def _obey(self, process_id: str, order: Work[R]) -> R:
        lease = self._new_lease()
        for tries in range(_LEASE_TRIES):
            taken = await self._log.take(process_id, lease, now=self._clock.now())
            if taken is None:
                raise NotFound("process", process_id)
            record, held = taken
            if held:
                answer: R = await self._carry_on(record, lease, Priority.CALLER, order)
                return answer
            await pause(tries)
        raise in_flight()

    async def _carry_on(
        self, record: ProcessRecord, lease: Lease, priority: Priority,
        order: Work[Any] | None = None,
    ) -> Any:  # fmt: skip
        """Do an order, if there is one, and then all that can be done now; give the lease back."""
        process = self._kinds.get(record.key.kind)
        if process is None:
            return await self._leave(record, lease, order)
        run = ProcessRun(
            process, record, lambda: replace(lease, until=self._clock.now() + LEASE),
            self._log, self._writer, self._objects, self._clock, priority,
        )  # fmt: skip
        renewing = asyncio.create_task(self._renew(record.id, lease.owner))
        try:
            answer = None if order is None else await self._ordered(run, order)
            await Moves(process, run).go_on()
            await run.release(due_at(run.progress, run.now()))
        except asyncio.CancelledError:  # our process stops
            await self._hand_over(run)
            raise
        except Unavailable:
            if order is not None:
                raise
            # The lease ends by itself, and then the loop carries the process on.
        else:
            return answer
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _leave(self, record: ProcessRecord, lease: Lease, order: Work[Any] | None) -> None:
        """Leave a process to a release that knows its kind."""
        now = self._clock.now()
        await self._log.release(
            record.id, lease, Change(), due_at=now + UNKNOWN_PAUSE, wakes=record.wakes, now=now
        )
        _log.error("a process of an unknown kind", extra={"kind": record.key.kind})
        if order is not None:
            raise Unavailable(Reason.STORE_UNAVAILABLE, "this release does not know the process")

    async def _ordered(self, run: ProcessRun, order: Work[Any]) -> Any:
        """Do an order, durably; where it raises nothing of it is kept.

        Then a process that rests is due at once: whoever had it before may have died at it, and of
        that nothing but the lease told, which was ended here.
        """
        before, data = run.progress, run.data
        try:
            answer = await order(run)
            await run.save()
        except BaseException as error:
            run.data, run.progress = data, before
            if isinstance(error, Exception):
                rests = before.course.rests and not before.attention
                due = run.now() if rests else due_at(before, run.now())
                with contextlib.suppress(BillingError):  # else the lease ends by itself
                    await run.release(due)
            raise
        return answer

    async def _renew(self, process_id: str, owner: str) -> None:
        """Prolong the lease for as long as the run takes. Where that fails, its writes tell."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            with contextlib.suppress(BillingError):
                await self._log.renew(process_id, Lease(owner, self._clock.now() + LEASE))

    async def _hand_over(self, run: ProcessRun) -> None:
        """Leave a process to others at once; where the store does not answer, they wait."""
        with contextlib.suppress(BillingError, TimeoutError):
            async with asyncio.timeout(_HAND_OVER_SECONDS):
                await run.release(run.now())

    def _new_lease(self) -> Lease:
        return Lease(uuid.uuid4().hex, self._clock.now() + LEASE)


def process_id(key: ProcessKey) -> str:
    """The id of the process that a request begins: opaque, the same for the same request."""
    parts = f"{key.account}\0{key.kind}\0{key.request_id}"
    return f"{key.kind}_{hashlib.sha256(parts.encode()).hexdigest()[:24]}"
