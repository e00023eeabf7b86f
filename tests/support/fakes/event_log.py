"""An in-memory fake of the event log, as in `tests/support/fakes/stores.py`."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from typing_extensions import override

from application.events.event_log import MAX_EVENTS, EventFilter, EventLog, EventRecord
from application.events.inbox import EventState, ReceivedEvent
from domain.periods import to_milliseconds
from tests.support.fakes.stores import Fake, Pause, no_pause


def record_of(event: ReceivedEvent) -> EventRecord:
    """The record of an event that nothing has happened to but its decision."""
    return EventRecord(
        id=event.id,
        stripe_account=event.stripe_account,
        type=event.type,
        api_version=event.api_version,
        created=event.created,
        object_type=event.object_type,
        object_id=event.object_id,
        received_at=event.received_at,
        size=len(event.payload),
        state=event.state,
        decision=event.decision,
        effects=(),
        attempts=0,
        error="",
        due_at=event.received_at if event.state is EventState.PENDING else None,
    )


class FakeEventLog(Fake, EventLog):
    """Events and their records in dictionaries."""

    def __init__(self, *events: ReceivedEvent, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.events: dict[str, ReceivedEvent] = {}
        self.records: dict[str, EventRecord] = {}
        self.retried: list[str] = []
        self.limits: list[int] = []
        for event in events:
            self.add(event)

    def add(self, event: ReceivedEvent, **facts: object) -> None:
        """Keep an event; `facts` are what its record tells beside it."""
        self.events[event.id] = event
        self.records[event.id] = replace(record_of(event), **facts)  # type: ignore[arg-type]  # by name

    @override
    async def list(
        self, where: EventFilter, *, after: tuple[int, str] | None, limit: int
    ) -> Sequence[EventRecord]:
        _check(where, limit)
        async with self._step("event_log.list"):
            self.limits.append(limit)
            found = [one for one in self.records.values() if _matches(where, one)]
        found.sort(key=_received, reverse=True)
        return [one for one in found if after is None or _received(one) < after][:limit]

    @override
    async def record(self, event_id: str) -> EventRecord | None:
        async with self._step("event_log.record"):
            return self.records.get(event_id)

    @override
    async def payload(self, event_id: str) -> bytes | None:
        async with self._step("event_log.payload"):
            event = self.events.get(event_id)
            return event.payload if event else None

    @override
    async def about(
        self, stripe_account: str, object_id: str, *, after: tuple[int, str] | None, limit: int
    ) -> Sequence[ReceivedEvent]:
        assert 1 <= limit <= 100
        async with self._step("event_log.about"):
            found = [
                replace(event, state=EventState.PENDING, decision="")
                for event in self.events.values()
                if (event.stripe_account, event.object_id) == (stripe_account, object_id)
            ]
        found.sort(key=_created)
        return [one for one in found if after is None or _created(one) > after][:limit]

    @override
    async def retry(self, event_ids: Sequence[str], *, now: dt.datetime) -> int:
        assert len(event_ids) <= MAX_EVENTS
        async with self._step("event_log.retry"):
            return self._make_due([self.records[one] for one in event_ids], now)

    @override
    async def retry_dead(self, where: EventFilter, *, now: dt.datetime, limit: int) -> int:
        _check(where, limit)
        async with self._step("event_log.retry_dead"):
            dead = replace(where, state=EventState.DEAD)
            found = [one for one in self.records.values() if _matches(dead, one)]
            return self._make_due(found[:limit], now)

    @override
    async def oldest_pending(self, stripe_account: str) -> int | None:
        async with self._step("event_log.oldest_pending"):
            return min(
                (
                    record.created
                    for record in self.records.values()
                    if record.state is EventState.PENDING
                    and record.stripe_account == stripe_account
                ),
                default=None,
            )

    @override
    async def counts(self, stripe_account: str | None) -> dict[EventState, int]:
        async with self._step("event_log.counts"):
            where = EventFilter(stripe_account=stripe_account)
            states = [one.state for one in self.records.values() if _matches(where, one)]
        return {state: states.count(state) for state in (EventState.PENDING, EventState.DEAD)}

    def _make_due(self, records: Sequence[EventRecord], now: dt.datetime) -> int:
        count = 0
        for record in records:
            waits = record.due_at is not None and (record.due_at > now or record.attempts > 0)
            if record.state is EventState.DEAD or waits:
                count += 1
                self.retried.append(record.id)
                self.records[record.id] = replace(
                    record, state=EventState.PENDING, attempts=0, due_at=now
                )
        return count


def _check(where: EventFilter, limit: int) -> None:
    assert 1 <= limit <= MAX_EVENTS
    assert where.object_id is None or where.stripe_account is not None


def _matches(where: EventFilter, record: EventRecord) -> bool:
    start, end = where.received_from, where.received_until
    return (
        where.stripe_account in (None, record.stripe_account)
        and where.state in (None, record.state)
        and where.type in (None, record.type)
        and where.object_id in (None, record.object_id)
        and (start is None or record.received_at >= start)
        and (end is None or record.received_at < end)
    )


def _received(record: EventRecord) -> tuple[int, str]:
    return to_milliseconds(record.received_at), record.id


def _created(event: ReceivedEvent) -> tuple[int, str]:
    return event.created, event.id
