"""The process log in memory, as in `tests/support/fakes/stores.py`."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

from typing_extensions import override

from application.mutations.ports import Lease
from application.processes.ports import (
    Change,
    ProcessKey,
    ProcessLog,
    ProcessRecord,
    Watch,
    by_age,
)
from domain.errors import AlreadyExists, Reason
from tests.support.fakes.stores import Fake, Pause, no_pause


@dataclass(slots=True)
class _Kept:
    record: ProcessRecord
    lease: Lease | None
    due_at: dt.datetime | None


class FakeProcessLog(Fake, ProcessLog):
    """Processes in a dictionary. `writes` counts the durable ones."""

    def __init__(self, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.kept: dict[str, _Kept] = {}
        self.writes = 0

    @override
    async def begin(self, record: ProcessRecord, lease: Lease) -> tuple[ProcessRecord, bool]:
        async with self._step("processes.begin"):
            found = next((one for one in self.kept.values() if one.record.key == record.key), None)
            for other in self.kept.values():
                open_ = not other.record.progress.course.rests
                if found is None and open_ and {*other.record.claims} & {*record.claims}:
                    raise AlreadyExists(
                        Reason.ALREADY_EXISTS, "open", metadata={"process": other.record.id}
                    )
            if found is None:
                self.writes += 1
                self.kept[record.id] = _Kept(record, lease, lease.until)
        return (record, True) if found is None else (found.record, False)

    @override
    async def take(
        self, process_id: str, lease: Lease, *, now: dt.datetime
    ) -> tuple[ProcessRecord, bool] | None:
        async with self._step("processes.take"):
            kept = self.kept.get(process_id)
            if kept is None:
                return None
            held = kept.lease is None or kept.lease.owner == lease.owner or kept.lease.until <= now
            if held:
                self.writes += 1
                kept.lease, kept.due_at = lease, lease.until
        return kept.record, held

    @override
    async def renew(self, process_id: str, lease: Lease) -> bool:
        return await self.write(process_id, lease, Change())

    @override
    async def write(self, process_id: str, lease: Lease, change: Change) -> bool:
        async with self._step("processes.write"):
            kept = self._change(process_id, lease, change)
            if kept is not None:
                kept.lease, kept.due_at = lease, lease.until
        return kept is not None

    @override
    async def release(
        self, process_id: str, lease: Lease, change: Change, *,
        due_at: dt.datetime | None, wakes: int, now: dt.datetime,
    ) -> bool:  # fmt: skip
        async with self._step("processes.release"):
            kept = self._change(process_id, lease, change)
            if kept is not None:
                kept.lease, kept.due_at = None, now if kept.record.wakes > wakes else due_at
        return kept is not None

    @override
    async def wake(self, objects: Sequence[Watch], *, now: dt.datetime) -> int:
        async with self._step("processes.wake"):
            woken = [one for one in self.kept.values() if {*one.record.watches} & {*objects}]
            for kept in woken:
                kept.record = replace(kept.record, wakes=kept.record.wakes + 1)
                if kept.lease is None:
                    kept.due_at = min(kept.due_at or now, now)
        return len(woken)

    @override
    async def get(self, process_id: str) -> ProcessRecord | None:
        kept = self.kept.get(process_id)
        return kept and kept.record

    @override
    async def find(self, key: ProcessKey) -> ProcessRecord | None:
        found = (kept.record for kept in self.kept.values() if kept.record.key == key)
        return next(found, None)

    @override
    async def list(
        self, account: str, kind: str, *, after: tuple[dt.datetime, str] | None, limit: int
    ) -> Sequence[ProcessRecord]:
        kept = [one.record for one in self.kept.values()]
        mine = [one for one in kept if (one.key.account, one.key.kind) == (account, kind)]
        newest = sorted(mine, key=lambda one: (one.created_at, one.id), reverse=True)
        return [one for one in newest if after is None or (one.created_at, one.id) < after][:limit]

    @override
    async def find_due(self, *, now: dt.datetime, limit: int) -> Sequence[str]:
        async with self._step("processes.find_due"):
            due = [(one.due_at, id_) for id_, one in self.kept.items() if one.due_at is not None]
        return [id_ for due_at, id_ in sorted(due) if due_at <= now][:limit]

    @override
    async def find_open(self, stripe_account: str, *, limit: int) -> Sequence[ProcessRecord]:
        async with self._step("processes.find_open"):
            records = [
                kept.record for kept in self.kept.values()
                if not kept.record.progress.course.rests and stripe_account in {
                    kept.record.stripe_account,
                    *(watch.stripe_account for watch in kept.record.watches),
                }
            ]  # fmt: skip
        return sorted(records, key=by_age)[:limit]

    @override
    async def find_attention(self, *, limit: int) -> Sequence[ProcessRecord]:
        records = [kept.record for kept in self.kept.values()]
        return [record for record in records if record.progress.attention][:limit]

    def _change(self, process_id: str, lease: Lease, change: Change) -> _Kept | None:
        kept = self.kept.get(process_id)
        if kept is None or kept.lease is None or kept.lease.owner != lease.owner:
            return None
        others = {watch for id_, one in self.kept.items() if id_ != process_id
                  for watch in one.record.watches}  # fmt: skip
        if others & {*change.watches}:
            raise AlreadyExists(Reason.ALREADY_EXISTS, "another process watches this object")
        self.writes += 1
        record = kept.record
        steps = dict(record.steps)
        if change.step is not None:
            steps[change.step.name] = change.step
        kept.record = replace(
            record, steps=steps, progress=change.progress or record.progress,
            watches=tuple(sorted({*record.watches, *change.watches})),
        )  # fmt: skip
        return kept
