"""NATS JetStream: a stream of jobs, each publish acknowledged once the stream has it on disk."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, Header, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError
from typing_extensions import override

from application.jobs.publisher import Publisher, QueueUnavailable
from domain.errors import FailedPrecondition, Reason
from domain.jobs import Job
from domain.periods import to_milliseconds

STREAM: Final = "BILLING_JOBS"
SUBJECTS: Final = "billing.jobs"
"""Jobs of a kind are published to `billing.jobs.<kind>`."""

DUPLICATE_WINDOW_SECONDS: Final = 3_600.0
"""How long the stream drops repeats: longer than a publisher's lease and longest pause."""

MAX_AGE_SECONDS: Final = 30 * 86_400.0

MAX_IN_FLIGHT: Final = 256
CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 5.0

_RECONNECT_SECONDS: Final = 1
_PING_SECONDS: Final = 10
_PENDING_BYTES: Final = 8 * 1024 * 1024

_log = logging.getLogger(__name__)


class NatsPublisher(Publisher):
    """`application.jobs.publisher.Publisher` on NATS JetStream.

    `Nats-Msg-Id` is the job's id: the stream stores a job once within its duplicate window, however
    often it is published. Once connected, the client reconnects by itself for as long as it takes.
    """

    def __init__(
        self,
        url: str,
        *,
        stream: str = STREAM,
        replicas: int = 1,
        answer_seconds: float = ANSWER_SECONDS,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        """`url` may name several servers, parted by commas. `replicas` is for a new stream."""
        self._servers = [part.strip() for part in url.split(",") if part.strip()]
        self._addresses = ", ".join(map(_without_credentials, self._servers))
        self._stream = stream
        self._replicas = replicas
        self._answer_seconds = answer_seconds
        self._connect_seconds = connect_seconds
        self._client: Client | None = None
        self._opening = asyncio.Lock()
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)

    @override
    async def open(self) -> None:
        async with self._opening:
            if self._client is not None and not self._client.is_closed:
                if not self._client.is_connected:
                    raise self._unavailable("not connected")
                return
            client = Client()
            try:
                async with asyncio.timeout(self._connect_seconds):
                    await self._connect(client)
                    await self._check_stream(client)
            except (NatsError, OSError, TimeoutError) as error:
                await _close(client)
                raise self._unavailable(type(error).__name__) from error
            except BaseException:
                await _close(client)
                raise
            self._client = client

    async def _connect(self, client: Client) -> None:
        await client.connect(
            self._servers,
            name="billing",
            error_cb=self._on_error,
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=_RECONNECT_SECONDS,
            connect_timeout=int(CONNECT_SECONDS),
            ping_interval=_PING_SECONDS,
            max_outstanding_pings=2,
            pending_size=_PENDING_BYTES,
        )

    async def _check_stream(self, client: Client) -> None:
        """Make the stream, or see that the one there keeps what is promised.

        What an operator has set otherwise (limits, replicas, placement) is left as it is.
        """
        jetstream = client.jetstream(timeout=self._answer_seconds)
        try:
            found = (await jetstream.stream_info(self._stream)).config
        except NotFoundError:
            # Of several processes that start at once all may do this: the same again is no error.
            found = (await jetstream.add_stream(self._wanted())).config
        wrong = [
            words
            for words, right in (
                (f"subjects must hold {SUBJECTS}.>", f"{SUBJECTS}.>" in (found.subjects or ())),
                ("storage must be file", found.storage == StorageType.FILE),
                ("acknowledgements must be on", not found.no_ack),
                (
                    f"duplicate window must be {DUPLICATE_WINDOW_SECONDS:.0f} s at least",
                    found.duplicate_window >= DUPLICATE_WINDOW_SECONDS,
                ),
            )
            if not right
        ]
        if wrong:
            raise FailedPrecondition(
                Reason.INTERNAL, f"stream {self._stream}: {'; '.join(wrong)}", subject="nats_url"
            )

    def _wanted(self) -> StreamConfig:
        return StreamConfig(
            name=self._stream,
            description="jobs of Billing for other services",
            subjects=[f"{SUBJECTS}.>"],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.OLD,
            max_age=MAX_AGE_SECONDS,
            duplicate_window=DUPLICATE_WINDOW_SECONDS,
            num_replicas=self._replicas,
        )

    @override
    async def publish(self, jobs: Sequence[Job]) -> Mapping[str, str]:
        client = self._client
        if client is None or not client.is_connected:
            raise self._unavailable("not connected")
        jetstream = client.jetstream(timeout=self._answer_seconds)
        failures = await asyncio.gather(*(self._publish(jetstream, job) for job in jobs))
        return {job.id: why for job, why in zip(jobs, failures, strict=True) if why}

    async def _publish(self, jetstream: JetStreamContext, job: Job) -> str:
        """Why the stream has not confirmed a job; empty where it has (or had it already)."""
        async with self._in_flight:
            try:
                await jetstream.publish(
                    f"{SUBJECTS}.{job.kind}",
                    _body(job),
                    stream=self._stream,
                    headers={Header.MSG_ID.value: job.id},
                )
            except (NatsError, OSError, TimeoutError) as error:
                return type(error).__name__  # its text may quote an address
        return ""

    @override
    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await _close(client)

    async def _on_error(self, error: Exception) -> None:
        """In place of the client's own, which logs a traceback a try and the server's address."""
        _log.debug("queue has trouble", extra={"error": type(error).__name__})

    def _unavailable(self, cause: str) -> QueueUnavailable:
        return QueueUnavailable(f"{cause}: {self._addresses}")


def _body(job: Job) -> bytes:
    """The message: the job as JSON, its instant in milliseconds."""
    return msgspec.json.encode(
        {
            "id": job.id,
            "kind": job.kind,
            "account": job.account,
            "created_at_ms": to_milliseconds(job.created_at),
            "payload": job.payload,
        }
    )


async def _close(client: Client) -> None:
    try:
        await client.close()
    except (NatsError, OSError) as error:
        _log.warning("queue did not close in order", extra={"error": type(error).__name__})


def _without_credentials(server: str) -> str:
    """Where a server is. What stands before the last `@` is a password, whatever it holds."""
    scheme, _, rest = server.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('/')[0]}"
