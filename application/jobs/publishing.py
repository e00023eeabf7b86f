"""Publishing: jobs leave the outbox for the queue, at least once."""

import asyncio
import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from secrets import SystemRandom
from typing import Final

from application.background.clock import Clock
from application.background.loops import Loop, Paused
from application.background.outages import Outage
from application.jobs.outbox import LONGEST_PAUSE, MAX_JOBS, ClaimedJob, FailedJob, Outbox
from application.jobs.publisher import Publisher, QueueUnavailable
from domain.back_off import BackOff

BATCH: Final = 200
LEASE: Final = dt.timedelta(seconds=120)
"""Longer than a batch takes whose every acknowledgement fails to come."""

POLL_SECONDS: Final = 1.0
LAST_POLL_SECONDS: Final = 30.0
"""How long a queue that stays away is left alone at most."""

FIRST_RETRY_SECONDS: Final = 1.0
LAST_RETRY_SECONDS: Final = LONGEST_PAUSE.total_seconds()
_RETRY: Final = BackOff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
RETENTION: Final = dt.timedelta(days=30)
"""How long published jobs and billing events are kept. Longer than facts have effects: an id that
is gone could be made again."""

PURGE_SECONDS: Final = 3_600.0
PURGE_ROUNDS: Final = 100

_log = logging.getLogger(__name__)
_random = SystemRandom()


class Publishing:
    """Claims jobs, publishes them, marks them: in this order, so that a crash repeats and loses
    nothing. Any number of processes may run it.

    A job that fails comes again after a growing pause, without end: it is owed to somebody, and
    others do not wait for it. `queued` is set by whoever appends.
    """

    def __init__(
        self,
        outbox: Outbox,
        publisher: Publisher,
        clock: Clock,
        queued: asyncio.Event,
        owner: str,
        *,
        retention: dt.timedelta = RETENTION,
    ) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._clock = clock
        self._owner = owner
        self._retention = retention
        self._purged_at: dt.datetime | None = None
        self._queue_away = Outage(_log, "jobs wait for the queue", "the queue is back")
        # Looks for retries, and for what other processes append, as often as it polls.
        self.loop: Final = Loop(
            "publishing",
            self._publish_all,
            POLL_SECONDS,
            wake=queued,
            back_off=BackOff(2 * POLL_SECONDS, LAST_POLL_SECONDS),
        )

    async def publish_batch(self) -> int:
        """Claim, publish and mark one batch; returns how many jobs it held.

        Raises QueueUnavailable where none of several could be handed over; they are due again after
        a pause. Raises Unavailable where the store does not answer; they are due after the lease.
        """
        claimed = await self._outbox.claim(
            self._owner, now=self._clock.now(), lease=LEASE, limit=BATCH
        )
        if not claimed:
            return 0
        try:
            failures = await self._publisher.publish([one.job for one in claimed])
        except QueueUnavailable as error:
            await self._release(claimed, dict.fromkeys((one.job.id for one in claimed), str(error)))
            raise
        published = [one.job.id for one in claimed if one.job.id not in failures]
        await self._outbox.mark_published(self._owner, published, now=self._clock.now())
        await self._release([one for one in claimed if one.job.id in failures], failures)
        if not published and len(claimed) > 1:  # of one alone it may be the job's own fault
            raise QueueUnavailable("no job was accepted")
        return len(claimed)

    async def purge(self) -> int:
        """Delete what was published, and the billing events, of longer ago than is kept."""
        before, purged = self._clock.now() - self._retention, 0
        for _ in range(PURGE_ROUNDS):
            gone = await self._outbox.purge(before=before, limit=MAX_JOBS)
            if not gone:
                break
            purged += gone
        return purged

    async def _publish_all(self) -> None:
        """Publish whatever is due, batch by batch; purge at times."""
        try:
            await self._publisher.open()
            while not self.loop.stopping and await self.publish_batch():
                pass
        except QueueUnavailable as error:
            self._queue_away.failed(str(error))
            raise Paused from error
        await self._purge_at_times()
        self._queue_away.answered()

    async def _release(self, claimed: Sequence[ClaimedJob], errors: Mapping[str, str]) -> None:
        if claimed:
            failures = [
                FailedJob(one.job.id, errors[one.job.id], self._retry_at(one.attempts))
                for one in claimed
            ]
            await self._outbox.release(self._owner, failures)

    def _retry_at(self, attempts: int) -> dt.datetime:
        pause = _RETRY.pause(attempts, _random.random())
        return self._clock.now() + dt.timedelta(seconds=pause)

    async def _purge_at_times(self) -> None:
        now = self._clock.now()
        due = dt.timedelta(seconds=PURGE_SECONDS)
        if self._purged_at is None or abs(now - self._purged_at) >= due:
            self._purged_at = now
            await self.purge()
