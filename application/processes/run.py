"""One run of a process: what its stages have in hand, and what is written with what."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn

import msgspec
from typing_extensions import override

from application.background.clock import Clock
from application.mirror.ports import Noun
from application.mirror.stripe import ObjectReader, Priority
from application.mirror.writer import MirrorWriter
from application.mutations.failures import decode_failure, encode_failure
from application.mutations.ports import Lease, Step, StepLog
from application.mutations.steps import Steps
from application.processes.ports import (
    MAX_WATCHES,
    Change,
    ProcessKey,
    ProcessLog,
    ProcessRecord,
    Progress,
    Watch,
)
from application.processes.process import AnyProcess, Run, Stuck, T, Waits
from application.processes.progress import closed, entered, resumed
from domain.errors import BillingError, Conflict, Reason


class LeaseLost(Conflict):
    """Somebody else carries the process on."""

    def __init__(self) -> None:
        super().__init__(Reason.REQUEST_IN_FLIGHT, "the process is carried on elsewhere")


class ProcessRun(Run[Any, Any], StepLog[ProcessKey]):
    """A run under a lease.

    What changes in memory is written with whatever is written next: a step, a watch, the release.
    So it is durable before anything more is done, and costs no write of its own.
    """

    def __init__(
        self, process: AnyProcess, record: ProcessRecord, lease: Callable[[], Lease],
        log: ProcessLog, writer: MirrorWriter, objects: ObjectReader, clock: Clock,
        priority: Priority,
    ) -> None:  # fmt: skip
        """`lease` gives the lease as it is prolonged by a write now."""
        self._log = log
        self._lease = lease
        self._clock = clock
        self._record = record
        self._frozen = msgspec.json.decode(record.frozen, type=process.frozen)
        self._stored = self._progress = record.progress
        self._watches = frozenset(record.watches)
        self.data: Any = msgspec.json.decode(record.progress.data, type=process.data)
        self._steps = Steps(
            self, writer, clock, record, lease(), objects,
            settle=self.save, priority=priority,
        )  # fmt: skip

    @property
    @override
    def id(self) -> str:
        return self._record.id

    @property
    @override
    def record(self) -> ProcessRecord:
        return self._record

    @property
    @override
    def frozen(self) -> Any:
        return self._frozen

    @property
    @override
    def steps(self) -> Steps:
        return self._steps

    @property
    def stored(self) -> Progress:
        """How far it is, as far as that is durable."""
        return self._stored

    @property
    def progress(self) -> Progress:
        """How far it is, with what is not written yet."""
        data = msgspec.json.encode(self.data)
        if data != self._progress.data:
            self._progress = replace(self._progress, data=data)
        return self._progress

    @progress.setter
    def progress(self, progress: Progress) -> None:
        self._progress = replace(progress, data=msgspec.json.encode(self.data))

    @property
    @override
    def failure(self) -> BillingError | None:
        failure = self._progress.failure
        return None if failure is None else decode_failure(failure)

    @override
    def now(self) -> dt.datetime:
        return self._clock.now()

    @override
    async def watch(self, stripe_account: str, *object_ids: str) -> None:
        new = {Watch(stripe_account, object_id) for object_id in object_ids} - self._watches
        if not new:
            return
        if len(self._watches) + len(new) > MAX_WATCHES:
            raise ValueError(f"a process watches at most {MAX_WATCHES} objects")
        await self._write(watches=tuple(sorted(new)))
        self._watches |= new

    @override
    async def read(self, noun: Noun[T], object_id: str, stripe_account: str = "") -> T:
        stripe_account = stripe_account or self._record.stripe_account
        await self.watch(stripe_account, object_id)
        return await self._steps.at(stripe_account).standing(noun, object_id)

    @override
    def enter(self, state: str) -> None:
        self._progress = entered(self._progress, state, self.now())

    @override
    def wait(self, state: str, *, until: dt.datetime | None = None) -> NoReturn:
        if until is not None:
            self.look_at(until)
        raise Waits(state)

    @override
    def ask_people(self, why: str) -> NoReturn:
        raise Stuck(why)

    @override
    def resume(self, why: str) -> None:
        if self.progress.attention:
            self.progress = resumed(self.progress, self.now(), why)

    @override
    def close(self, state: str, why: str) -> None:
        self.progress = closed(self.progress, state, self.now(), why)

    @override
    def look_at(self, at: dt.datetime) -> None:
        self._progress = replace(self._progress, look_at=at)

    @override
    def turn_back(self, why: BillingError) -> None:
        failure = encode_failure(why)
        self._progress = replace(self._progress, failure=failure, turning=True)

    @override
    async def save_step(self, key: ProcessKey, lease: Lease, step: Step) -> bool:
        """Write a step, and with it all that has changed since the last write."""
        await self._write(step=step)
        return True

    @override
    async def save(self) -> None:
        if self.progress != self._stored:
            await self._write()

    async def release(self, due_at: dt.datetime | None) -> bool:
        """Write what has changed, and give the lease back. False where it is lost."""
        return await self._log.release(
            self.id, self._lease(), self._change(),
            due_at=due_at, wakes=self._record.wakes, now=self.now(),
        )  # fmt: skip

    async def _write(self, step: Step | None = None, watches: tuple[Watch, ...] = ()) -> None:
        change = self._change(step, watches)
        if not await self._log.write(self.id, self._lease(), change):
            raise LeaseLost
        if change.progress is not None:
            self._stored = change.progress

    def _change(self, step: Step | None = None, watches: tuple[Watch, ...] = ()) -> Change:
        progress = self.progress
        return Change(None if progress == self._stored else progress, step, watches)
