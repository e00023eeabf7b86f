"""Refuses calls once the server is about to stop, and ends those that outlast it."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from typing_extensions import override

from domain.errors import BillingError, OutcomeUnknown, ShuttingDown
from interfaces.grpc.core.calls import Context, current_call
from interfaces.grpc.core.methods import Method
from interfaces.grpc.interceptors.wrapping import MethodInterceptor, Replying, Streaming


class Draining(MethodInterceptor):
    """Knows the calls in flight: after `begin` there come no more, and `cut` ends them.

    Every caller hears why. A change that is cut may have been sent, so its outcome is unknown; all
    else is refused as a new call is.
    """

    around_open = False

    def __init__(self, methods: Mapping[str, Method]) -> None:
        super().__init__(methods)
        self._draining = self._ended = False
        self._running = 0
        self._idle = asyncio.Event()
        # Those that are at work on a reply. What waits for its reader is cancelled by gRPC alone:
        # a handler that is cancelled there by anybody else leaves its call without a status.
        self._working: set[asyncio.Task[Any]] = set()
        self._cut: set[asyncio.Task[Any]] = set()

    def begin(self) -> None:
        """Refuse every new call from now on."""
        self._draining = True
        if not self._running:
            self._idle.set()

    async def drained(self) -> None:
        """Return once no call is in flight any more. Only after `begin`."""
        await self._idle.wait()

    def cut(self) -> None:
        """End the calls that are at work, and others once they are again. Only after `begin`."""
        self._ended = True
        self._cut |= self._working
        for task in self._working:
            task.cancel()

    @override
    def wrap_reply(self, method: Method, inner: Replying) -> Replying:
        async def reply(request: Any, context: Context) -> Any:
            task = self._enter()
            self._working.add(task)
            try:
                return await inner(request, context)
            except asyncio.CancelledError:
                if task not in self._cut:
                    raise
                raise _cut_off(method) from None
            finally:
                self._working.discard(task)
                self._leave(task)

        return reply

    @override
    def wrap_stream(self, method: Method, inner: Streaming) -> Streaming:
        async def stream(request: Any, context: Context) -> AsyncGenerator[Any, None]:
            task = self._enter()
            try:
                async with aclosing(inner(request, context)) as replies:
                    while True:
                        self._working.add(task)
                        try:
                            reply = await anext(replies)
                        except StopAsyncIteration:
                            return
                        except asyncio.CancelledError:
                            if task not in self._cut:
                                raise
                            raise _cut_off(method) from None
                        finally:
                            self._working.discard(task)
                        yield reply
                        if self._ended:
                            raise _cut_off(method)
            finally:
                self._leave(task)

        return stream

    def _enter(self) -> "asyncio.Task[Any]":
        if self._draining:
            raise ShuttingDown("this process is stopping; call again")
        task = asyncio.current_task()
        if task is None:
            raise LookupError("gRPC serves each call in a task of its own")
        self._running += 1
        return task

    def _leave(self, task: "asyncio.Task[Any]") -> None:
        self._cut.discard(task)
        self._running -= 1
        if self._draining and not self._running:
            self._idle.set()


def _cut_off(method: Method) -> BillingError:
    if method.mutates and (message := current_call().message) is not None:
        return OutcomeUnknown(message.request_id)
    return ShuttingDown("this process has stopped before the call was over; call again")
