"""How an interceptor comes around the methods that are served."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from inspect import isasyncgenfunction
from typing import Any, ClassVar, TypeAlias

import grpc
from typing_extensions import override

from interfaces.grpc.core.calls import Context
from interfaces.grpc.core.methods import UNKNOWN, Method

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"  # generic for type checkers only
_Continuation: TypeAlias = Callable[[grpc.HandlerCallDetails], "Awaitable[Handler]"]
Replying: TypeAlias = Callable[[Any, Context], Awaitable[Any]]
Streaming: TypeAlias = Callable[[Any, Context], AsyncGenerator[Any, None]]


class HandlerInterceptor(grpc.aio.ServerInterceptor):
    """Comes around the handler of every method.

    A handler is wrapped once a method, not once a call: what stands further in never changes while
    the server runs, so a second call needs no more than a look-up. What is wrapped around it runs
    on every call, so it is plain `try` and `await`: a context manager costs several times as much.
    """

    def __init__(self, methods: Mapping[str, Method]) -> None:
        self._methods = methods
        self._wrapped: dict[str, Handler] = {}

    @abstractmethod
    def wrap(self, method: Method, handler: Any) -> Handler:
        """A handler with what this interceptor does around it.

        `handler` is what gRPC found: None for a method that nobody serves, which is UNKNOWN.
        """

    @override
    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        # Callers name methods as they like: what there is not is remembered once, not by its name.
        method = self._methods.get(handler_call_details.method, UNKNOWN)
        wrapped = self._wrapped.get(method.path)
        if wrapped is None:
            wrapped = self.wrap(method, await continuation(handler_call_details))
            self._wrapped[method.path] = wrapped
        return wrapped


class MethodInterceptor(HandlerInterceptor):
    """Comes around every method, with a single reply or a stream of them.

    A method that writes its stream into the context itself is one with a single reply here.
    """

    around_open: ClassVar[bool] = True
    """Whether it comes around the methods that are open to everybody, too."""

    @abstractmethod
    def wrap_reply(self, method: Method, inner: Replying) -> Replying:
        """`inner`, which gives one reply, with what this interceptor does around it."""

    @abstractmethod
    def wrap_stream(self, method: Method, inner: Streaming) -> Streaming:
        """`inner`, which gives a stream, with what this interceptor does around it."""

    @override
    def wrap(self, method: Method, handler: Any) -> Handler:
        if method.open and not self.around_open:
            found: Handler = handler
            return found
        received, sent = kind_of(handler)
        inner = getattr(handler, f"{received}_{sent}")
        around = self.wrap_stream if isasyncgenfunction(inner) else self.wrap_reply
        return handler_of(
            received, sent, around(method, inner),
            handler.request_deserializer, handler.response_serializer,
        )  # fmt: skip


def kind_of(handler: Any) -> tuple[str, str]:
    """What a handler receives and what it sends, each `unary` or `stream`."""
    kinds = ("unary", "stream")
    return kinds[handler.request_streaming], kinds[handler.response_streaming]


def handler_of(
    received: str, sent: str, behavior: Any, deserializer: Any, serializer: Any
) -> Handler:
    """A handler of a kind."""
    make = getattr(grpc, f"{received}_{sent}_rpc_method_handler")
    handler: Handler = make(behavior, deserializer, serializer)
    return handler


class Gate(MethodInterceptor):
    """Lets a call of the contract through or refuses it, and is done."""

    around_open = False

    @abstractmethod
    async def admit(self, method: Method, request: Any, context: Context) -> None:
        """Raise what the call is refused with, or return."""

    @override
    def wrap_reply(self, method: Method, inner: Replying) -> Replying:
        admit = self.admit

        async def reply(request: Any, context: Context) -> Any:
            await admit(method, request, context)
            return await inner(request, context)

        return reply

    @override
    def wrap_stream(self, method: Method, inner: Streaming) -> Streaming:
        admit = self.admit

        async def stream(request: Any, context: Context) -> AsyncGenerator[Any, None]:
            await admit(method, request, context)
            async with aclosing(inner(request, context)) as replies:
                async for reply in replies:
                    yield reply

        return stream
