"""Turns errors into statuses. Nothing else aborts a call."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Never

import grpc
import structlog
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from structlog.typing import FilteringBoundLogger
from typing_extensions import override

from domain.errors import BillingError, Reason, UnknownMethod
from interfaces.grpc.core.calls import REQUEST_ID, Call, Context, current_call
from interfaces.grpc.core.methods import Method
from interfaces.grpc.core.statuses import code_of, internal_status, status_of
from interfaces.grpc.interceptors.wrapping import MethodInterceptor, Replying, Streaming


class Errors(MethodInterceptor):
    """Answers domain errors as such, and anything else as INTERNAL with nothing of it told.

    grpc.aio would send the text of an unforeseen exception to the caller.
    """

    def __init__(self, methods: Mapping[str, Method]) -> None:
        super().__init__(methods)
        self._log: FilteringBoundLogger = structlog.get_logger().bind(logger="grpc")

    @override
    def wrap_reply(self, method: Method, inner: Replying) -> Replying:
        async def reply(request: Any, context: Context) -> Any:
            try:
                return await inner(request, context)
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status
                await self._answer(method, context, error)

        return reply

    @override
    def wrap_stream(self, method: Method, inner: Streaming) -> Streaming:
        async def stream(request: Any, context: Context) -> AsyncGenerator[Any, None]:
            try:
                async with aclosing(inner(request, context)) as replies:
                    async for reply in replies:
                        yield reply
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status
                await self._answer(method, context, error)

        return stream

    async def _answer(self, method: Method, context: Context, error: Exception) -> Never:
        if isinstance(error, grpc.aio.AbortError):  # answered already
            raise error
        call = current_call()
        if (
            isinstance(error, NotImplementedError)
            and context.code() is grpc.StatusCode.UNIMPLEMENTED
        ):
            error = UnknownMethod()  # what the generated base class of a servicer says of a method
        if isinstance(error, BillingError):
            call.code, call.reason = code_of(error), error.reason
            status = status_of(error)
        else:
            call.code, call.reason = grpc.StatusCode.INTERNAL, Reason.INTERNAL
            self._log.error(
                "unforeseen error",
                exc_info=error,
                method=method.path,
                request_id=call.request_id,
            )
            status = internal_status(call.request_id)
        await _abort(context, call, status)


async def _abort(context: Context, call: Call, proto: Status) -> Never:
    status = rpc_status.to_status(proto)
    # An abort's metadata takes the place of what was set before.
    metadata = (*(status.trailing_metadata or ()), (REQUEST_ID, call.request_id))
    await context.abort(status.code, status.details or "", trailing_metadata=metadata)
