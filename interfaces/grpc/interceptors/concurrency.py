"""Bounds how many calls are served at once."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from typing_extensions import override

from application.requests.limits import waiting_room
from domain.errors import RateLimited, Reason
from interfaces.grpc.core.calls import Context
from interfaces.grpc.core.methods import Method
from interfaces.grpc.interceptors.wrapping import MethodInterceptor, Replying, Streaming


class _Room:
    """So many calls at once, and no more."""

    __slots__ = ("_most", "_running")

    def __init__(self, most: int) -> None:
        self._most = most
        self._running = 0

    def enter(self) -> None:
        if self._running >= self._most:
            raise RateLimited(Reason.OVERLOADED, "too many calls at once", retry_after_seconds=1)
        self._running += 1

    def leave(self) -> None:
        self._running -= 1


class Concurrency(MethodInterceptor):
    """Refuses calls above the bound at once, with OVERLOADED, and nothing done.

    Health and reflection, open to everybody, have rooms of their own: nobody is kept from the
    contract by them, nor from asking after health by those who watch it. These are twice as large,
    so that no connection fills one alone.
    """

    def __init__(self, methods: Mapping[str, Method], max_calls: int) -> None:
        super().__init__(methods)
        # Who calls is not known yet, so those who will wait for their share have to fit, too.
        self._room = _Room(max_calls + waiting_room(max_calls))
        self._open, self._open_streams = _Room(2 * max_calls), _Room(2 * max_calls)

    @override
    def wrap_reply(self, method: Method, inner: Replying) -> Replying:
        room = self._room_of(method)

        async def reply(request: Any, context: Context) -> Any:
            room.enter()
            try:
                return await inner(request, context)
            finally:
                room.leave()

        return reply

    @override
    def wrap_stream(self, method: Method, inner: Streaming) -> Streaming:
        room = self._room_of(method)

        async def stream(request: Any, context: Context) -> AsyncGenerator[Any, None]:
            room.enter()
            try:
                async with aclosing(inner(request, context)) as replies:
                    async for reply in replies:
                        yield reply
            finally:
                room.leave()

        return stream

    def _room_of(self, method: Method) -> _Room:
        if not method.open:
            return self._room
        return self._open_streams if method.streams else self._open
