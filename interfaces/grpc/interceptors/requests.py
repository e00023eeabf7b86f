"""Reads the request, once it is settled who calls."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from inspect import isasyncgenfunction
from typing import Any, Final, Never

import grpc
from google.protobuf.message import DecodeError
from typing_extensions import override

from domain.errors import FieldViolation, InvalidArgument, Reason, UnknownMethod
from interfaces.grpc.core.calls import Context, current_call
from interfaces.grpc.core.methods import UNKNOWN, Method
from interfaces.grpc.interceptors.wrapping import (
    Handler,
    HandlerInterceptor,
    Replying,
    Streaming,
    handler_of,
    kind_of,
)

MAX_REQUEST_BYTES: Final = 1_048_576

STALL_SECONDS: Final = 10.0
"""How long each message of a stream of requests may take to come."""

_Decode = Callable[[bytes], Any]
_Read = Callable[[Any, Context], Awaitable[Any]]


class Requests(HandlerInterceptor):
    """Reads and decodes the request of a call, for what stands further in.

    Left to itself, gRPC reads and decodes it before anything else: strangers could make us hold it
    or wait for it without an end, and bytes that are no protobuf would end as UNKNOWN. So gRPC is
    told that requests are a stream: then a handler begins with the call's metadata, and the message
    is taken from it here, where the call is counted, bounded in time and authenticated.

    Of a stream of requests the first message is read here, which says who calls for what; a method
    takes the others as they come, each in its time.
    """

    def __init__(
        self, methods: Mapping[str, Method], *, stall_seconds: float = STALL_SECONDS
    ) -> None:
        super().__init__(methods)
        self._stall_seconds = stall_seconds

    @override
    def wrap(self, method: Method, handler: Any) -> Handler:
        if method is UNKNOWN:
            return handler_of("stream", "unary", _refuse, None, None)
        received, sent = kind_of(handler)
        inner, decode = getattr(handler, f"{received}_{sent}"), handler.request_deserializer
        if received == "unary":
            read = _one(decode)
        else:
            read = _each(decode) if method.open else _begun(decode, self._stall_seconds)
        reading = _reading_stream if isasyncgenfunction(inner) else _reading_reply
        return handler_of("stream", sent, reading(inner, read), None, handler.response_serializer)


def _reading_reply(inner: Replying, read: _Read) -> Replying:
    async def reply(messages: Any, context: Context) -> Any:
        return await inner(await read(messages, context), context)

    return reply


def _reading_stream(inner: Streaming, read: _Read) -> Streaming:
    async def stream(messages: Any, context: Context) -> AsyncGenerator[Any, None]:
        async with aclosing(inner(await read(messages, context), context)) as replies:
            async for reply in replies:
                yield reply

    return stream


def _one(decode: _Decode) -> _Read:
    """Reads the request of a method of the contract: there is one."""

    async def read(_: Any, context: Context) -> Any:
        message = await context.read()
        if message is grpc.aio.EOF:
            raise _malformed("is missing")
        call = current_call()
        call.message = _decoded(message, decode)
        return call.message

    return read


def _each(decode: _Decode) -> _Read:
    """Lets a method read its requests by itself, as reflection does."""

    async def read(messages: Any, _: Context) -> Any:
        return (_decoded(message, decode) async for message in messages)

    return read


def _begun(decode: _Decode, stall_seconds: float) -> _Read:
    """Reads the first request of a stream of them, and lets the method read the others behind it.

    InvalidArgument (UPLOAD_NOT_STARTED, UPLOAD_STALLED) where one does not come in its time.
    """

    async def following(context: Context, reason: Reason) -> Any:
        """The next request; None at the end of the stream."""
        try:
            async with asyncio.timeout(stall_seconds):
                message = await context.read()
        except TimeoutError:
            raise _malformed("did not come in time", reason) from None
        return None if message is grpc.aio.EOF else _decoded(message, decode)

    async def all_of(first: Any, context: Context) -> AsyncGenerator[Any, None]:
        request = first
        while request is not None:
            yield request
            request = await following(context, Reason.UPLOAD_STALLED)

    async def read(_: Any, context: Context) -> Any:
        first = await following(context, Reason.UPLOAD_NOT_STARTED)
        if first is None:
            raise _malformed("is missing", Reason.UPLOAD_NOT_STARTED)
        current_call().message = first
        return all_of(first, context)

    return read


def _decoded(message: bytes, decode: _Decode) -> Any:
    if len(message) > MAX_REQUEST_BYTES:
        raise _malformed(f"has at most {MAX_REQUEST_BYTES} bytes")
    try:
        return decode(message)
    except DecodeError:
        raise _malformed("is not a protobuf message of the method's type") from None


def _malformed(rule: str, reason: Reason = Reason.INVALID_FIELDS) -> InvalidArgument:
    return InvalidArgument([FieldViolation("request", rule)], reason=reason)


async def _refuse(_: Any, _context: Context) -> Never:
    raise UnknownMethod
