"""Jobs about what was sold, each once by what it is about."""

import asyncio
from collections.abc import Mapping
from typing import Any

from application.background.clock import Clock
from application.jobs.outbox import Outbox
from domain.jobs import Job, job_id


class StoreJobs:
    """Makes jobs of the store. Each is of the buyer's account, and names the seller."""

    def __init__(self, outbox: Outbox, clock: Clock, queued: asyncio.Event) -> None:
        """`queued` is set when there is a job to publish."""
        self._outbox = outbox
        self._clock = clock
        self._queued = queued

    async def tell(self, kind: str, account: str, subject: str, payload: Mapping[str, Any]) -> None:
        """Make the one job of a kind about a subject. Raises Unavailable (STORE_UNAVAILABLE)."""
        id_ = job_id(kind, account, "checkout", subject)
        await self._outbox.append([Job(id_, kind, account, self._clock.now(), payload)])
        self._queued.set()
