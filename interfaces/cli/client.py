"""The way to the running service: a channel whose calls bear a token."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeAlias, TypeVar

import grpc
import typer
from typing_extensions import override

from interfaces.cli.exits import ExitCode, Refused
from interfaces.cli.refusals import FLAGS, reason_of, refused, status_of
from interfaces.cli.target import Target

T = TypeVar("T")

Connect = Callable[[Sequence[str]], AbstractAsyncContextManager[grpc.aio.Channel]]
"""Opens a channel whose calls bear a token with these scopes, or the one that was given."""

Reach = Callable[[Target], Connect]
"""Finds the way to the service that a command's flags and the environment name."""

CALL_SECONDS: Final = 60.0
"""How long a call with a single reply may take; a stream may take as long as it likes."""

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 16 * 1_048_576),
    ("grpc.enable_http_proxy", 0),  # the service is near, whatever the shell is set up for
)
_Details: TypeAlias = grpc.aio.ClientCallDetails


@asynccontextmanager
async def authorised(
    address: str,
    mint: Callable[[], str],
    *,
    credentials: grpc.ChannelCredentials | None = None,
    doubt: str = "",
) -> AsyncGenerator[grpc.aio.Channel, None]:
    """A channel to `address` (host:port); each call bears a token anew from `mint`.

    Anew, so that a token may be short-lived and what runs for hours still goes on. With
    `credentials` it speaks TLS, else plain HTTP/2. `doubt` says what to look at where the service
    does not take the token. Raises Refused for that, and where nobody answers at the address.
    """
    async with _channel(address, [_Replies(mint), _Streams(mint)], credentials) as channel:
        try:
            yield channel
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE and status_of(error) is None:
                raise Refused(_silence(address, credentials), ExitCode.NO_ANSWER) from None
            if doubt and reason_of(error) == "TOKEN_INVALID":
                words = f"the service at {address} does not take the token: {doubt} (TOKEN_INVALID)"
                raise Refused(words) from None
            raise


def run(work: Coroutine[Any, Any, T], flags: Mapping[str, str] = FLAGS) -> T:
    """Do the work. Raises Refused with one line; typer.Exit where the person interrupts it.

    `flags` is what the command calls the fields of the API.
    """
    try:
        return asyncio.run(work)
    except grpc.aio.AioRpcError as error:
        raise refused(error, flags) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _channel(
    address: str, interceptors: Sequence[Any], credentials: grpc.ChannelCredentials | None
) -> grpc.aio.Channel:
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=_OPTIONS, interceptors=interceptors)
    return grpc.aio.secure_channel(
        address, credentials, options=_OPTIONS, interceptors=interceptors
    )


def _silence(address: str, credentials: grpc.ChannelCredentials | None) -> str:
    asked = "--tls-ca: is it signed by that CA?" if credentials else "does it need --tls?"
    return f"the service does not answer at {address}; does it run there (--address), {asked}"


class _Replies(grpc.aio.UnaryUnaryClientInterceptor):
    """Authorises calls with a single reply, and bounds them."""

    def __init__(self, mint: Callable[[], str]) -> None:
        self._mint = mint

    @override
    async def intercept_unary_unary(
        self,
        continuation: Callable[[_Details, Any], Awaitable[Any]],
        client_call_details: _Details,
        request: Any,
    ) -> Any:
        details = _with_token(client_call_details, self._mint(), CALL_SECONDS)
        return await continuation(details, request)


class _Streams(grpc.aio.UnaryStreamClientInterceptor):
    """Authorises calls with a stream of replies."""

    def __init__(self, mint: Callable[[], str]) -> None:
        self._mint = mint

    @override
    async def intercept_unary_stream(
        self,
        continuation: Callable[[_Details, Any], Awaitable[Any]],
        client_call_details: _Details,
        request: Any,
    ) -> Any:
        return await continuation(
            _with_token(client_call_details, self._mint(), client_call_details.timeout), request
        )


def _with_token(details: _Details, token: str, default_seconds: float | None) -> _Details:
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    metadata.add("authorization", f"Bearer {token}")
    return grpc.aio.ClientCallDetails(
        details.method,
        default_seconds if details.timeout is None else details.timeout,
        metadata,
        details.credentials,
        details.wait_for_ready,
    )
