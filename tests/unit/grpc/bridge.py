"""grpcio-testing drives synchronous servicers; this lets it drive ours, without a socket."""

import asyncio
from typing import Any, Final

import grpc_testing
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from application.requests.callers import Caller
from domain.errors import BillingError
from interfaces.grpc.core.calls import act_as
from interfaces.grpc.core.statuses import code_of, status_of

CALLER: Final = Caller("crm", "acme", frozenset({"customers.read"}), "call-1")
PATIENCE: Final = 10.0


class _Bridged:
    """A servicer as grpcio-testing wants it: its methods run on the test's event loop."""

    def __init__(self, servicer: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._servicer = servicer
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._servicer, name)

        async def call(request: Message) -> Message:
            act_as(CALLER)
            reply: Message = await method(request, None)
            return reply

        def answer(request: Message, context: Any) -> Message:
            future = asyncio.run_coroutine_threadsafe(call(request), self._loop)
            try:
                return future.result(PATIENCE)
            except BillingError as error:
                context.abort(code_of(error), status_of(error).message)
                raise

        return answer


async def invoke(servicer: Any, method: MethodDescriptor, request: Message) -> tuple[Any, Any, str]:
    """The reply, status code and message of a call."""
    bridged = _Bridged(servicer, asyncio.get_running_loop())
    server = grpc_testing.server_from_dictionary(
        {method.containing_service: bridged}, grpc_testing.strict_real_time()
    )
    call = server.invoke_unary_unary(method, (), request, PATIENCE)
    reply, _, code, details = await asyncio.to_thread(call.termination)
    return reply, code, details
