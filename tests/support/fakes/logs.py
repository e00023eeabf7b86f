"""In-memory fakes of the inbox and the mutation log, as in `tests/support/fakes/stores.py`."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from typing_extensions import override

from application.events.inbox import (
    LONGEST_PAUSE,
    ClaimedEvent,
    EventState,
    Inbox,
    ReceivedEvent,
    Settled,
)
from application.mutations.ports import (
    Lease,
    MutationKey,
    MutationLog,
    MutationRecord,
    MutationState,
    Step,
)
from tests.support.fakes.stores import Fake, Pause, no_pause

NEVER: Final = dt.datetime.min.replace(tzinfo=dt.UTC)


@dataclass(slots=True)
class _Kept:
    event: ReceivedEvent
    attempts: int = 0
    due: dt.datetime = NEVER
    owner: str = ""
    leased_until: dt.datetime = NEVER
    error: str = ""


class FakeInbox(Fake, Inbox):
    """Events in a dictionary, in the order of their arrival."""

    def __init__(self, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.events: dict[str, _Kept] = {}

    @override
    async def append(self, event: ReceivedEvent) -> bool:
        async with self._step("inbox.append"):
            fresh = event.id not in self.events
            if fresh:
                self.events[event.id] = _Kept(replace(event, error=""), error=event.error)
        return fresh

    @override
    async def claim(
        self, owner: str, *, now: dt.datetime, lease: dt.timedelta, limit: int, max_bytes: int
    ) -> Sequence[ClaimedEvent]:
        claimed: list[ClaimedEvent] = []
        size = 0
        async with self._step("inbox.claim"):
            for kept in sorted(self.events.values(), key=lambda kept: kept.event.received_at):
                waits = now < max(kept.due, kept.leased_until) <= now + LONGEST_PAUSE
                if kept.event.state is not EventState.PENDING or waits:
                    continue
                size += len(kept.event.payload)
                if len(claimed) == limit or (claimed and size > max_bytes):
                    break
                kept.owner, kept.leased_until = owner, now + lease
                claimed.append(ClaimedEvent(kept.event, kept.attempts))
        return claimed

    @override
    async def settle(self, owner: str, outcomes: Sequence[Settled]) -> int:
        written = 0
        async with self._step("inbox.settle"):
            for outcome in outcomes:
                kept = self.events[outcome.event_id]
                if kept.owner != owner:
                    continue
                written += 1
                kept.event = replace(kept.event, state=outcome.state, decision=outcome.decision)
                kept.error, kept.owner, kept.leased_until = outcome.error, "", NEVER
                if outcome.state is EventState.PENDING:
                    kept.attempts += 1
                    kept.due = outcome.retry_at or NEVER
        return written

    @override
    async def backlog(self) -> int:
        return len(self.pending())

    @override
    async def get(self, event_id: str) -> tuple[ReceivedEvent, str] | None:
        async with self._step("inbox.get"):
            kept = self.events.get(event_id)
        return (kept.event, kept.error) if kept else None

    def pending(self) -> list[_Kept]:
        """What is not settled yet."""
        return [kept for kept in self.events.values() if kept.event.state is EventState.PENDING]


@dataclass(slots=True)
class _Logged:
    record: MutationRecord
    lease: Lease | None
    retry_at: dt.datetime | None = None


class FakeMutationLog(Fake, MutationLog):
    """Records in a dictionary."""

    def __init__(self, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.records: dict[MutationKey, _Logged] = {}

    @override
    async def begin(
        self, record: MutationRecord, lease: Lease, *, now: dt.datetime
    ) -> tuple[MutationRecord, bool]:
        async with self._step("log.begin"):
            logged = self.records.setdefault(record.key, _Logged(record, lease))
            stored = logged.record
            free = logged.lease is None or logged.lease.until <= now
            ours = logged.lease is not None and logged.lease.owner == lease.owner
            open_ = stored.state is MutationState.OPEN
            held = open_ and stored.payload_hash == record.payload_hash and (free or ours)
            if held:
                logged.lease, logged.retry_at = lease, None
        return stored, held

    @override
    async def save_step(self, key: MutationKey, lease: Lease, step: Step) -> bool:
        async with self._step("log.save_step"):
            logged = self._held(key, lease)
            if logged:
                steps = {**logged.record.steps, step.name: step}
                logged.record, logged.lease = replace(logged.record, steps=steps), lease
        return logged is not None

    @override
    async def finish(
        self, key: MutationKey, lease: Lease, *, reply: bytes | None, failure: bytes | None
    ) -> bool:
        if (reply is None) == (failure is None):
            raise ValueError("reply, failure: exactly one")
        async with self._step("log.finish"):
            logged = self._held(key, lease)
            if logged:
                logged.record = replace(
                    logged.record, state=MutationState.DONE, reply=reply, failure=failure
                )
                logged.lease = None
        return logged is not None

    @override
    async def release(
        self, key: MutationKey, lease: Lease, *, retry_at: dt.datetime | None
    ) -> bool:
        async with self._step("log.release"):
            logged = self._held(key, lease)
            if logged:
                logged.lease, logged.retry_at = None, retry_at
        return logged is not None

    @override
    async def find_open(self, *, now: dt.datetime, limit: int) -> Sequence[MutationRecord]:
        async with self._step("log.find_open"):
            due = [
                (logged.retry_at or (logged.lease and logged.lease.until), logged.record)
                for logged in self.records.values()
                if logged.record.state is MutationState.OPEN
            ]
        ready = sorted(
            ((at, record) for at, record in due if at and at <= now), key=lambda pair: pair[0]
        )
        return [record for _, record in ready[:limit]]

    @override
    async def purge(self, *, before: dt.datetime, limit: int) -> int:
        async with self._step("log.purge"):
            old = [
                key
                for key, logged in self.records.items()
                if logged.record.created_at < before
                and (
                    logged.record.state is MutationState.DONE
                    or (logged.lease is None and logged.retry_at is None)
                )
            ][:limit]
            for key in old:
                del self.records[key]
        return len(old)

    def _held(self, key: MutationKey, lease: Lease) -> _Logged | None:
        logged = self.records.get(key)
        if logged is None or logged.lease is None or logged.lease.owner != lease.owner:
            return None
        return logged
