"""Billing events: each fact is told to the account's watchers (WatchEvents), once."""

import datetime as dt
from collections.abc import Mapping, Sequence

from typing_extensions import override

from application.background.clock import Clock
from application.effects.effect import Effect
from application.effects.happenings import DueEvent, Outcome
from application.jobs.outbox import Outbox, append_all
from domain.effects import Fact, fact_payload
from domain.jobs import EVENTS, Job, job_id


class BillingEvents(Effect):
    """Appends a job a fact. It comes after the other effects, since it tells of them."""

    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self._outbox = outbox
        self._clock = clock

    @override
    async def after(self, due: Sequence[DueEvent], outcomes: Mapping[str, Outcome]) -> None:
        now = self._clock.now()
        jobs: dict[str, Job] = {}
        for due_event in due:
            for fact in due_event.event.facts:
                job = _job(due_event, fact, now)
                jobs.setdefault(job.id, job)
                outcomes[due_event.event.id].note(fact.name.value)
        await append_all(self._outbox, list(jobs.values()))


def _job(due: DueEvent, fact: Fact, now: dt.datetime) -> Job:
    kind, account = f"{EVENTS}.{fact.name}", due.connection.account
    projected = due.event.projected
    payload = fact_payload(fact, projected.stripe_account, projected.received.created)
    return Job(job_id(kind, account, fact.name, fact.subject), kind, account, now, payload)
