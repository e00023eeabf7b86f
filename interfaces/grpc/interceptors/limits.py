"""What one caller may take of what all share."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final

from typing_extensions import override

from application.requests.limits import FairShare, OpenStreams, TokenBuckets
from interfaces.grpc.core.calls import Context, current_token
from interfaces.grpc.core.methods import Method
from interfaces.grpc.interceptors.wrapping import MethodInterceptor, Replying, Streaming

READ: Final = 1
WRITE: Final = 2
MONEY: Final = 5

MONEY_SCOPES: Final = frozenset(
    """
    charges.write invoices.write subscriptions.write payment_links.write payment_methods.write
    wallets.write wallets.admin checkout.write checkout.refund
    """.split()
)
"""What moves money, or how it will be moved: it asks Stripe, and others wait for it there."""


def weight_of(scope: str) -> int:
    """How much a call weighs that needs a scope, in reads."""
    if scope in MONEY_SCOPES:
        return MONEY
    return READ if scope.endswith((".read", ".watch")) else WRITE


class Limits(MethodInterceptor):
    """Refuses a caller that calls too often, too much at once, or with too many streams."""

    around_open = False

    def __init__(
        self,
        methods: Mapping[str, Method],
        max_calls: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(methods)
        self._buckets = TokenBuckets()
        self._share = FairShare(max_calls)
        self._streams = OpenStreams()
        self._clock = clock

    @override
    def wrap_reply(self, method: Method, inner: Replying) -> Replying:
        weight, share, take, clock = (
            weight_of(method.scope),
            self._share,
            self._buckets.take,
            self._clock,
        )

        async def reply(request: Any, context: Context) -> Any:
            token = current_token()
            caller = token.caller
            take((caller, token.account), token.allowance.per_second, weight, clock())
            place = share.enter(caller)
            if place is not None:
                await share.wait(caller, place)
            try:
                return await inner(request, context)
            finally:
                share.leave(caller)

        return reply

    @override
    def wrap_stream(self, method: Method, inner: Streaming) -> Streaming:
        weight, share, streams = weight_of(method.scope), self._share, self._streams

        async def stream(request: Any, context: Context) -> AsyncGenerator[Any, None]:
            token = current_token()
            caller, allowance = token.caller, token.allowance
            key = caller, token.account
            self._buckets.take(key, allowance.per_second, weight, self._clock())
            streams.open(caller, allowance)
            try:
                place = share.enter(caller)
                if place is not None:
                    await share.wait(caller, place)
                try:
                    async with aclosing(inner(request, context)) as replies:
                        async for reply in replies:
                            yield reply
                finally:
                    share.leave(caller)
            finally:
                streams.close(caller)

        return stream
