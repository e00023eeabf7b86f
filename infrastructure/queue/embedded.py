"""The embedded setting: jobs are handed to consumers in the same process."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from typing_extensions import override

from application.jobs.publisher import Publisher
from domain.jobs import Job

Consumer = Callable[[Job], Awaitable[None]]
"""Does what a job asks for. It may come again, after a failure or a crash: drop repeats by id."""

MAX_IN_FLIGHT: Final = 64
CONSUMER_SECONDS: Final = 20.0
"""How long a consumer may take over one job before it counts as failed."""

_log = logging.getLogger(__name__)


class EmbeddedPublisher(Publisher):
    """`application.jobs.publisher.Publisher` without a queue.

    A job is accepted once each consumer of its kind has returned. One that nobody consumes is
    accepted too, as a stream takes what nobody reads; it stays readable in the outbox for as long
    as that keeps it.
    """

    def __init__(self, *, consumer_seconds: float = CONSUMER_SECONDS) -> None:
        self._consumer_seconds = consumer_seconds
        self._consumers: dict[str, list[Consumer]] = defaultdict(list)
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)

    def register(self, kind: str, consumer: Consumer) -> None:
        """Have a consumer called with each job of a kind."""
        self._consumers[kind].append(consumer)

    @override
    async def open(self) -> None:
        """There is nothing to open."""

    @override
    async def publish(self, jobs: Sequence[Job]) -> Mapping[str, str]:
        failures = await asyncio.gather(*map(self._hand_over, jobs))
        return {job.id: why for job, why in zip(jobs, failures, strict=True) if why}

    async def _hand_over(self, job: Job) -> str:
        """Why a job was not consumed; empty where it was."""
        try:
            for consumer in tuple(self._consumers.get(job.kind, ())):
                async with self._in_flight, asyncio.timeout(self._consumer_seconds):
                    await consumer(job)
        except Exception as error:  # a consumer's defect must not stop other jobs  # noqa: BLE001
            _log.warning("consumer failed", extra={"kind": job.kind, "error": type(error).__name__})
            return f"consumer failed: {type(error).__name__}"
        return ""

    @override
    async def close(self) -> None:
        """There is nothing to close."""
