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
from application.mutations.failures import is_definite
from application.mutations.ports import Lease
from application.mutations.steps import in_flight
from application.processes.ports import (
    Change,
    Course,
    ProcessKey,
    ProcessLog,
    ProcessRecord,
)
from application.processes.process import AnyProcess, Waits
from application.processes.progress import (
    TRIES,
    due_at,
    entered,
    failed,
    resumed,
    turned_back,
    waited,
    went_on,
)
from application.processes.run import LeaseLost, ProcessRun
from domain.errors import BillingError, Conflict, NotFound, RateLimited, Reason, Unavailable

R = TypeVar("R")

LEASE: Final = dt.timedelta(seconds=30)
"""How long a process that died keeps others waiting at most; renewed while it is carried on."""

RENEW_SECONDS: Final = 10.0

BOUND_SECONDS: Final = 80.0
"""How long one run may take, whoever waits for it."""

POLL_SECONDS: Final = 1.0
BATCH: Final = 64
AT_ONCE: Final = 16

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
        # None is begun once our process stops, so that the drain sees the last of them.
        self.loop: Final = Loop("processes", self.advance_due, POLL_SECONDS, wake=woken)

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

    async def advance_due(self) -> int:
        """Carry on what is due, some at once; returns how many were."""
        due = await self._log.find_due(now=self._clock.now(), limit=BATCH)
        slots = asyncio.Semaphore(AT_ONCE)

        async def advance(process_id: str) -> None:
            async with slots:
                if not self.loop.stopping:
                    await self.advance(process_id, Priority.REREAD)

        results = await asyncio.gather(*map(advance, due), return_exceptions=True)
        defects = [one for one in results if isinstance(one, Exception)]
        for error in defects:
            if not isinstance(error, BillingError):
                _log.error("a process cannot be carried on", exc_info=error)
        for error in defects:
            if isinstance(error, Unavailable):
                raise error
        return len(due)

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
            await self._go_on(process, run)
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
        """Do an order, durably; where it raises nothing of it is kept."""
        before, data = run.progress, run.data
        try:
            answer = await order(run)
            await run.save()
        except Exception:
            run.data, run.progress = data, before
            await run.release(due_at(before, run.now()))
            raise
        return answer

    async def _go_on(self, process: AnyProcess, run: ProcessRun) -> None:
        """Stage by stage, until it rests or waits, or something goes wrong."""
        run.progress = replace(run.progress, look_at=None)
        for _ in range(2 * len(process.stages) + 3):  # each way once, and to turn
            if run.progress.attention or not await self._moved(process, run):
                break

    async def _moved(self, process: AnyProcess, run: ProcessRun) -> bool:
        """One move; whether another may follow at once."""
        self._turn_where_settled(process, run)
        await self._save_a_turn(run)
        try:
            async with asyncio.timeout(BOUND_SECONDS):
                return await self._move(process, run)
        except Waits as waits:
            run.progress = waited(run.progress, waits.state, run.now())
            return run.progress.turning and _may_turn(process, run)
        except TimeoutError:
            return await self._failed(process, run, Reason.STRIPE_UNAVAILABLE)
        except LeaseLost:
            raise  # the process is somebody else's
        except RateLimited as error:
            # Our own pace, and no fault of the process: it uses up none of its tries.
            wait = dt.timedelta(seconds=max(error.retry_after_seconds, 1))
            run.progress = replace(
                run.progress, trouble=str(error.reason), look_at=run.now() + wait
            )
            return False
        except BillingError as error:
            if error.reason is Reason.STORE_UNAVAILABLE:
                raise
            if is_definite(error) and _refuses(process, run):
                if not run.progress.turning:
                    run.turn_back(error)
                if run.steps.is_settled:
                    self._turn(process, run)
                    return True
            return await self._failed(process, run, error.reason)
        except Exception:  # noqa: BLE001 - whatever it is, other processes go on
            _log.exception("a process broke", extra={"kind": process.kind, "process_id": run.id})
            return await self._failed(process, run, "DEFECT")

    async def _move(self, process: AnyProcess, run: ProcessRun) -> bool:
        progress = run.progress
        match progress.course:
            case Course.FORWARD:
                stage = process.stages[progress.stage]
                await stage.do(run)
                self._arrive(process, run, progress.stage + 1)
            case Course.BACKWARD:
                if progress.stage >= 0:
                    undo = process.stages[progress.stage].undo
                    if undo is not None:
                        await undo(run)
                self._retreat(process, run, progress.stage - 1)
            case Course.COMPLETED | Course.TAKEN_BACK:
                await process.tend(run)
                run.progress = went_on(run.progress, run.progress.stage)
                return False
        return True

    def _arrive(self, process: AnyProcess, run: ProcessRun, stage: int) -> None:
        progress = went_on(run.progress, stage)
        if stage == len(process.stages):
            progress = replace(progress, course=Course.COMPLETED, look_at=None)
        state = process.stages[stage].state if stage < len(process.stages) else process.completed
        run.progress = entered(progress, state, run.now())

    def _retreat(self, process: AnyProcess, run: ProcessRun, stage: int) -> None:
        progress = went_on(run.progress, max(stage, -1))
        if stage < 0:
            progress = replace(progress, course=Course.TAKEN_BACK, look_at=None)
            failure = run.failure
            state = process.taken_back if failure is None else process.ended(failure)
            progress = entered(progress, state, run.now())
        run.progress = progress

    def _turn_where_settled(self, process: AnyProcess, run: ProcessRun) -> None:
        """Turn back as is wanted, unless an unknown outcome keeps it, or the pivot."""
        progress = run.progress
        if not progress.turning:
            return
        if progress.course is not Course.FORWARD or progress.stage > _pivot(process):
            run.progress = replace(progress, turning=False, failure=None)  # it came too late
        elif _may_turn(process, run):
            self._turn(process, run)

    def _turn(self, process: AnyProcess, run: ProcessRun) -> None:
        why = str(run.failure.reason) if run.failure else ""
        run.progress = turned_back(run.progress, process.compensating, run.now(), why)

    async def _save_a_turn(self, run: ProcessRun) -> None:
        """Which way it goes is durable before anything is done on it."""
        if run.progress.course is Course.BACKWARD is not run.stored.course:
            await run.save()

    async def _failed(self, process: AnyProcess, run: ProcessRun, why: str) -> bool:
        """Count a try; the last one is told to people before it is stored."""
        progress = failed(run.progress, str(why), run.now())
        if progress.attention:
            _log.error(
                "a process needs attention",
                extra={"kind": process.kind, "process_id": run.id, "reason": progress.attention},
            )
            try:
                await process.attention(run)
            except Exception:  # noqa: BLE001 - the last try is tried again, and told again
                _log.exception("nobody was told", extra={"process_id": run.id})
                before = replace(run.progress, tries=TRIES - 2)
                progress = failed(before, str(why), run.now())
        run.progress = progress
        return False

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


def _pivot(process: AnyProcess) -> int:
    """The index of the stage after which nothing is taken back."""
    return next((n for n, stage in enumerate(process.stages) if stage.pivot), len(process.stages))


def _refuses(process: AnyProcess, run: ProcessRun) -> bool:
    """Whether a refusal of the stage in hand turns it back: up to the pivot itself."""
    progress = run.progress
    return progress.course is Course.FORWARD and progress.stage <= _pivot(process)


def _may_turn(process: AnyProcess, run: ProcessRun) -> bool:
    """Whether it may turn back without asking the stage in hand: that is not the pivot.

    The pivot may be done, and nobody has written that down yet.
    """
    progress = run.progress
    before_the_pivot = progress.course is Course.FORWARD and progress.stage < _pivot(process)
    return before_the_pivot and run.steps.is_settled
