"""Gives every call an end."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

from typing_extensions import override

from domain.errors import (
    BillingError,
    FieldViolation,
    InvalidArgument,
    OutcomeUnknown,
    Reason,
    Unavailable,
)
from interfaces.grpc.core.calls import Context, current_call
from interfaces.grpc.core.methods import Method
from interfaces.grpc.interceptors.wrapping import (
    Handler,
    MethodInterceptor,
    Replying,
    Streaming,
)

MAX_SECONDS: Final = 3_600.0
"""How long any call may take, a stream included: whoever follows one resumes it."""


class Deadlines(MethodInterceptor):
    """Holds each call to its caller's deadline, or to a default where there is none.

    gRPC itself cancels a call at its caller's deadline, who is then gone; only the bounds that are
    ours are kept here. A change whose time is up has an unknown outcome, never a failed one.

    A stream is broken off while it works on its next reply, never while gRPC waits for its reader:
    a handler that is cancelled there, and not by gRPC, leaves its call without a status for good.
    A reader who stalls is let go with the connection, which has an age of its own, and so is one
    who watches the server's health.
    """

    def __init__(self, methods: Mapping[str, Method], default_seconds: float) -> None:
        super().__init__(methods)
        self._default_seconds = default_seconds

    @override
    def wrap(self, method: Method, handler: Any) -> Handler:
        if method.open and method.streams:
            watching: Handler = handler
            return watching
        return super().wrap(method, handler)

    @override
    def wrap_reply(self, method: Method, inner: Replying) -> Replying:
        async def reply(request: Any, context: Context) -> Any:
            bound = _bound(context, self._default_seconds)
            if bound is None:
                return await inner(request, context)
            timeout = asyncio.timeout_at(bound)
            try:
                async with timeout:
                    return await inner(request, context)
            except TimeoutError:
                if not timeout.expired():  # somebody else's
                    raise
                raise _late(method) from None

        return reply

    @override
    def wrap_stream(self, method: Method, inner: Streaming) -> Streaming:
        async def stream(request: Any, context: Context) -> AsyncGenerator[Any, None]:
            bound = _bound(context, MAX_SECONDS)
            async with aclosing(inner(request, context)) as replies:
                while True:
                    timeout = asyncio.timeout_at(bound)
                    try:
                        async with timeout:
                            reply = await anext(replies)
                    except StopAsyncIteration:
                        return
                    except TimeoutError:
                        if not timeout.expired():  # somebody else's
                            raise
                        raise _late(method) from None
                    yield reply

        return stream


def _bound(context: Context, default_seconds: float) -> float | None:
    """When to break the call off, in the loop's time; None where gRPC does. Sets the deadline."""
    remaining: float | None = context.time_remaining()  # None without a deadline
    kept_by_grpc = remaining is not None and remaining <= MAX_SECONDS
    seconds = min(default_seconds if remaining is None else remaining, MAX_SECONDS)
    deadline = asyncio.get_running_loop().time() + seconds
    current_call().deadline = deadline
    return None if kept_by_grpc else deadline


def _late(method: Method) -> BillingError:
    """What a call ends with whose time is up."""
    message = current_call().message
    if message is None:
        rule = "did not come in the time that a call may take"
        return InvalidArgument([FieldViolation("request", rule)])
    if method.mutates:
        return OutcomeUnknown(message.request_id)
    if method.streams:
        words = "the stream has lasted as long as a stream may; open it again"
        return Unavailable(Reason.STORE_UNAVAILABLE, words)
    return Unavailable(
        Reason.STORE_UNAVAILABLE, "there was no answer in the time that a call may take"
    )
