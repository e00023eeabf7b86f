"""Commands that ask the running service: the way to it, and how its refusals read."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeAlias, TypeVar, cast

import grpc
import typer
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from typing_extensions import override

T = TypeVar("T")
M = TypeVar("M", bound=Message)

Connect = Callable[[str, Sequence[str]], AbstractAsyncContextManager[grpc.aio.Channel]]
"""Opens a channel whose calls bear a token for (account, scopes)."""

CALL_SECONDS: Final = 60.0
"""How long a call with a single reply may take; a stream may take as long as it likes."""

INTERRUPTED: Final = 130

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 16 * 1_048_576),
    ("grpc.enable_http_proxy", 0),  # the service is near, whatever the shell is set up for
)
_Details: TypeAlias = grpc.aio.ClientCallDetails


class Refused(RuntimeError):
    """The service refused a call, or does not answer: one line for the person who asked."""


@asynccontextmanager
async def authorised(
    address: str, mint: Callable[[], str]
) -> AsyncGenerator[grpc.aio.Channel, None]:
    """A channel to `address` (host:port, plain HTTP/2); each call bears a token anew from `mint`.

    Anew, so that a token may be short-lived and what runs for hours still goes on. Raises Refused
    where nobody answers at the address.
    """
    async with grpc.aio.insecure_channel(
        address, options=_OPTIONS, interceptors=[_Replies(mint), _Streams(mint)]
    ) as channel:
        try:
            yield channel
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE and _status(error) is None:
                words = f"the service does not answer at {address}; is it running there?"
                raise Refused(words) from None
            raise


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do the work. Raises Refused with one line; typer.Exit where the person interrupts it."""
    try:
        return asyncio.run(work)
    except grpc.aio.AioRpcError as error:
        raise Refused(refusal(error)) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(INTERRUPTED) from None


def refusal(error: grpc.aio.AioRpcError) -> str:
    """What a failed call says, in one line: the message, each field's rule, the reason."""
    status, reason = _status(error), error.code().name
    if status is None:
        return f"{error.details() or 'the call failed'} ({reason})"
    words = [status.message]
    for packed in status.details:
        if (request := _unpacked(packed, BadRequest)) is not None:
            rules = [f"{v.field}: {v.description}" for v in request.field_violations]
            words += [rule for rule in rules if rule not in status.message]
        if (info := _unpacked(packed, ErrorInfo)) is not None:
            reason = info.reason
    return f"{'; '.join(words)} ({reason})"


def _status(error: grpc.aio.AioRpcError) -> Status | None:
    """What Billing says of a refusal; None where the error is of somebody else's making."""
    found: Status | None = rpc_status.from_call(cast("Any", error))  # typed for other channels
    return found


def _unpacked(packed: Any, kind: type[M]) -> M | None:
    detail = kind()
    return detail if packed.Unpack(detail) else None


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
