"""The gRPC server: the services of the contract, health, and reflection where it is asked for."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2
from typing_extensions import override

from application.accounts.tenancy import Tenancy
from application.requests.tokens import TokenVerifier
from interfaces.grpc.contract import Service
from interfaces.grpc.core.methods import methods_of, open_methods
from interfaces.grpc.interceptors.chain import interceptors
from interfaces.grpc.interceptors.draining import Draining
from interfaces.grpc.interceptors.requests import MAX_REQUEST_BYTES, STALL_SECONDS

MAX_REPLY_BYTES: Final = 16 * 1_048_576
"""A series of 10,000 buckets in a dozen currencies fits."""

_MAX_RECEIVED_BYTES: Final = 2 * MAX_REQUEST_BYTES
"""gRPC itself refuses, without a reason, what is larger than this."""

_MAX_METADATA_BYTES: Final = 16_384
_MAX_CONNECTION_CALLS: Final = 1_000
_MAX_PENDING_CALLS: Final = 20_000
_MAX_CONNECTIONS: Final = 2_000
_LOOKAHEAD_BYTES: Final = 8_192
_LAST_SECONDS: Final = 0.5
"""How long the last statuses may take to be sent before the port is closed."""

_CONNECTION_AGE_MS: Final = 3_600_000
_CONNECTION_GRACE_MS: Final = 3_900_000
"""A stream that began as its connection's age was reached still has its full hour."""

_KEEPALIVE_MS: Final = 60_000
_KEEPALIVE_TIMEOUT_MS: Final = 20_000
_MIN_CLIENT_PING_MS: Final = 10_000


class _NoLeavers(logging.Filter):
    """Drops gRPC's traceback for each caller who leaves while something is sent to him."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[0] if record.exc_info else None
        return error is None or error.__name__ != "ExecuteBatchError"


_NO_LEAVERS: Final = _NoLeavers()


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where and how to listen.

    `address` is `host:port`; port 0 takes a free one. `reuse_port` lets several processes of a host
    share it (SO_REUSEPORT); without it a second one fails to start. `max_calls` bounds how many
    calls are served at once, `default_seconds` how long one may take whose caller set no deadline,
    `stall_seconds` how long each message of a stream of requests may take.
    `credentials` let the port speak TLS; without them it speaks plain HTTP/2, and TLS is left to
    what stands before it.
    """

    address: str
    reuse_port: bool = False
    reflection: bool = False
    max_calls: int = 1_000
    default_seconds: float = 30.0
    stall_seconds: float = STALL_SECONDS
    credentials: grpc.ServerCredentials | None = None


class Server:
    """Serves from `start` until `stop`."""

    def __init__(
        self,
        offered: tuple[Service, ...],
        tokens: TokenVerifier,
        tenancy: Tenancy,
        options: ServerOptions,
    ) -> None:
        """Raises ValueError where a method of the services cannot be authorised."""
        self._offered = offered
        self._options = options
        self._methods = {
            **methods_of(service.descriptor for service in offered),
            **open_methods(_open_services(reflection=options.reflection)),
        }
        self._draining = Draining(self._methods)
        self._interceptors = interceptors(
            self._methods,
            tokens,
            tenancy,
            self._draining,
            max_calls=options.max_calls,
            default_seconds=options.default_seconds,
            stall_seconds=options.stall_seconds,
        )
        self._health = health.aio.HealthServicer()
        self._server: grpc.aio.Server | None = None

    async def start(self) -> int:
        """Listen and serve; returns the port. RuntimeError where the address cannot be bound."""
        logging.getLogger("grpc._cython.cygrpc").addFilter(_NO_LEAVERS)
        options = self._options
        server = grpc.aio.server(
            interceptors=self._interceptors,
            options=_channel_options(reuse_port=options.reuse_port),
        )
        names = [service.descriptor.full_name for service in self._offered]
        for service in self._offered:
            service.add(server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if options.reflection:
            shown = (*names, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(shown, server)
        if options.credentials is None:
            port = server.add_insecure_port(options.address)
        else:
            port = server.add_secure_port(options.address, options.credentials)
        await server.start()
        self._server = server
        await self.tell_ready(True)
        return port

    async def tell_ready(self, ready: bool) -> None:
        """Say SERVING or NOT_SERVING to whoever asks for health; once it stops, it is the latter.

        Calls are taken all the same.
        """
        status = health_pb2.HealthCheckResponse
        for name in ("", *(service.descriptor.full_name for service in self._offered)):
            await self._health.set(name, status.SERVING if ready else status.NOT_SERVING)

    async def wait(self) -> None:
        """Return once the server has stopped."""
        if self._server is not None:
            await self._server.wait_for_termination()

    async def drain(self) -> None:
        """Say NOT_SERVING and refuse new calls, with SHUTTING_DOWN; those in flight go on."""
        await self._health.enter_graceful_shutdown()
        self._draining.begin()

    async def drained(self, seconds: float) -> None:
        """Wait until no call is in flight any more, at most so long. Only after `drain`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._draining.drained()

    async def stop(self, grace_seconds: float) -> None:
        """Drain, let the calls in flight finish, cut them after the grace, and close the port last.

        Those that are cut hear why. A change that was sent to Stripe goes on in the process's own
        tasks.
        """
        await self.drain()
        await self.drained(grace_seconds)
        self._draining.cut()
        if self._server is not None:
            await self._server.stop(_LAST_SECONDS)


def _open_services(*, reflection: bool) -> Sequence[ServiceDescriptor]:
    files = [health_pb2, *([reflection_pb2] if reflection else [])]
    return [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]


def _channel_options(*, reuse_port: bool) -> list[tuple[str, Any]]:
    return [
        ("grpc.so_reuseport", int(reuse_port)),
        ("grpc.max_receive_message_length", _MAX_RECEIVED_BYTES),
        ("grpc.max_send_message_length", MAX_REPLY_BYTES),
        ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _MAX_METADATA_BYTES),
        # Calls above `max_calls` are refused by an interceptor, with a reason. gRPC's own limits
        # only bound the memory: one connection's further calls wait at their sender, and calls that
        # wait here for the event loop would be cancelled without a status above theirs.
        ("grpc.max_concurrent_streams", _MAX_CONNECTION_CALLS),
        # Else gRPC refuses a burst of honest calls on a connection instead of letting them wait.
        ("grpc.http.overload_protection", 0),
        # What is taken of a request that nobody reads yet; the window grows with what is read.
        ("grpc.http2.lookahead_bytes", _LOOKAHEAD_BYTES),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.max_allowed_incoming_connections", _MAX_CONNECTIONS),
        ("grpc.server.max_pending_requests", _MAX_PENDING_CALLS),
        ("grpc.server.max_pending_requests_hard_limit", _MAX_PENDING_CALLS),
        # A reader who stalls would hold its call forever; who behaves connects anew unnoticed, and
        # perhaps to another of the processes that share the port.
        ("grpc.max_connection_age_ms", _CONNECTION_AGE_MS),
        ("grpc.max_connection_age_grace_ms", _CONNECTION_GRACE_MS),
        # A peer that has gone without a word is noticed, and one that pings too much is cut off.
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _MIN_CLIENT_PING_MS),
    ]
