"""The outermost interceptor: names each call, and logs a line when it has ended."""

import asyncio
import re
import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

import grpc
import structlog
from structlog.typing import FilteringBoundLogger
from typing_extensions import override

from interfaces.grpc.core.calls import REQUEST_ID, Call, Context, begin
from interfaces.grpc.core.methods import Method
from interfaces.grpc.interceptors.wrapping import MethodInterceptor, Replying, Streaming

_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class AccessLog(MethodInterceptor):
    """Logs method, code, reason, duration, caller, account and request id.

    Of what a caller sent nothing is logged, but what a verified token says of itself: its subject
    and its id, so that a token that leaked can be followed.

    Of methods that are open to everybody nothing is logged: who likes may call them for ever.
    """

    def __init__(self, methods: Mapping[str, Method]) -> None:
        super().__init__(methods)
        self._log: FilteringBoundLogger = structlog.get_logger().bind(logger="grpc")

    @override
    def wrap_reply(self, method: Method, inner: Replying) -> Replying:
        async def reply(request: Any, context: Context) -> Any:
            started = time.perf_counter()
            call = _begin(context)
            try:
                return await inner(request, context)
            except asyncio.CancelledError:
                call.code = _code_of_cancellation(context)
                raise
            finally:
                self._end(method, call, started)

        return reply

    @override
    def wrap_stream(self, method: Method, inner: Streaming) -> Streaming:
        async def stream(request: Any, context: Context) -> AsyncGenerator[Any, None]:
            started = time.perf_counter()
            call = _begin(context)
            try:
                async with aclosing(inner(request, context)) as replies:
                    async for reply in replies:
                        yield reply
            except (asyncio.CancelledError, GeneratorExit):
                call.code = _code_of_cancellation(context)
                raise
            finally:
                self._end(method, call, started)

        return stream

    def _end(self, method: Method, call: Call, started: float) -> None:
        if method.open:
            return
        token = call.token
        self._log.info(
            "call",
            method=method.path,
            code=call.code.name,
            reason=call.reason,
            ms=round((time.perf_counter() - started) * 1_000, 1),
            caller=token.caller if token else "",
            subject=token.subject if token else "",
            **({"jti": token.id} if token and token.id else {}),
            account=call.account,
            request_id=call.request_id,
        )


def _begin(context: Context) -> Call:
    metadata = dict(context.invocation_metadata() or ())
    call = Call(_request_id(metadata.get(REQUEST_ID)), metadata)
    begin(call)
    context.set_trailing_metadata(((REQUEST_ID, call.request_id),))
    return call


def _request_id(given: str | bytes | None) -> str:
    if isinstance(given, str) and _WELL_FORMED.fullmatch(given):
        return given
    return secrets.token_hex(16)


def _code_of_cancellation(context: Context) -> grpc.StatusCode:
    """Nobody is left to answer: the caller gave up, its time is up, or the server's grace."""
    remaining: float | None = context.time_remaining()  # None without a deadline
    late = remaining is not None and remaining <= 0
    return grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED
