"""Bounds how many calls are served at once."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from typing_extensions import override

from domain.errors import RateLimited, Reason
from interfaces.grpc.calls import Context
from interfaces.grpc.interceptors.wrapping import MethodInterceptor, Replying, Streaming
from interfaces.grpc.methods import Method


class Concurrency(MethodInterceptor):
    """Refuses calls above the bound at once, with OVERLOADED, and nothing done."""

    def __init__(self, methods: Mapping[str, Method], max_calls: int) -> None:
        super().__init__(methods)
        self._max_calls = max_calls
        self._running = 0

    @override
    def wrap_reply(self, method: Method, inner: Replying) -> Replying:
        async def reply(request: Any, context: Context) -> Any:
            self._enter()
            try:
                return await inner(request, context)
            finally:
                self._running -= 1

        return reply

    @override
    def wrap_stream(self, method: Method, inner: Streaming) -> Streaming:
        async def stream(request: Any, context: Context) -> AsyncGenerator[Any, None]:
            self._enter()
            try:
                async with aclosing(inner(request, context)) as replies:
                    async for reply in replies:
                        yield reply
            finally:
                self._running -= 1

        return stream

    def _enter(self) -> None:
        if self._running >= self._max_calls:
            raise RateLimited(Reason.OVERLOADED, "too many calls at once", retry_after_seconds=1)
        self._running += 1
