"""How an interceptor comes around the methods of the contract."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final, TypeAlias

import grpc
from typing_extensions import override

from interfaces.grpc.calls import Context
from interfaces.grpc.methods import Method

_OPEN: Final = ("/grpc.health.", "/grpc.reflection.")
"""Services that are not of the contract and open to everybody."""

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic for type checkers only
_Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]]"
Replying: TypeAlias = Callable[[Any, Context], Awaitable[Any]]
Streaming: TypeAlias = Callable[[Any, Context], AsyncGenerator[Any, None]]


class MethodInterceptor(grpc.aio.ServerInterceptor):
    """Comes around every method of the contract, with a single reply or a stream of them.

    A handler is wrapped once a method, not once a call: what stands further in never changes while
    the server runs, so a second call needs no more than a look-up. What is wrapped around it runs
    on every call, so it is plain `try` and `await`: a context manager costs several times as much.
    """

    def __init__(self, methods: Mapping[str, Method]) -> None:
        self._methods = methods
        self._wrapped: dict[str, _Handler] = {}

    @abstractmethod
    def wrap_reply(self, method: Method, inner: Replying) -> Replying:
        """`inner`, which gives one reply, with what this interceptor does around it."""

    @abstractmethod
    def wrap_stream(self, method: Method, inner: Streaming) -> Streaming:
        """`inner`, which gives a stream, with what this interceptor does around it."""

    @override
    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> "_Handler | None":
        path = handler_call_details.method
        wrapped = self._wrapped.get(path)
        if wrapped is not None:
            return wrapped
        handler = await continuation(handler_call_details)
        if handler is None or path.startswith(_OPEN):
            return handler
        # A method that is served but not known to be authorised ends here, with a KeyError.
        wrapped = self._wrapped[path] = self._wrap(self._methods[path], handler)
        return wrapped

    def _wrap(self, method: Method, handler: Any) -> _Handler:
        if handler.request_streaming:
            raise NotImplementedError(f"{method.path}: requests are not streamed in this contract")
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self.wrap_stream(method, handler.unary_stream),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            self.wrap_reply(method, handler.unary_unary),
            handler.request_deserializer,
            handler.response_serializer,
        )


class Gate(MethodInterceptor):
    """Lets a call through or refuses it, and is done."""

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
