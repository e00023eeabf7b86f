"""Who calls."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from typing_extensions import override

from application.requests.limits import TokenBuckets
from application.requests.tokens import TokenVerifier
from domain.errors import Reason, Unauthenticated
from interfaces.grpc.core.calls import Context, current_call
from interfaces.grpc.core.methods import Method
from interfaces.grpc.interceptors.wrapping import Gate

FAILURES_PER_SECOND: Final = 100
"""How many tokens that do not verify a peer may send, before it is told to stop."""


class Authentication(Gate):
    """Lets nobody through without a bearer token that verifies (RFC 6750).

    A peer that sends too many that do not is answered CALLER_LIMITED. What verifies is never
    refused for that: behind a balancer all callers share a peer.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        tokens: TokenVerifier,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(methods)
        self._tokens = tokens
        self._failures = TokenBuckets()
        self._clock = clock

    @override
    async def admit(self, method: Method, request: Any, context: Context) -> None:
        call = current_call()
        bearer = _bearer(call.metadata)
        try:
            call.token = self._tokens.verify(bearer)
        except Unauthenticated:
            key = "", _host_of(context.peer())
            self._failures.take(key, FAILURES_PER_SECOND, 1, self._clock())
            raise


def _host_of(peer: str) -> str:
    """The address of a peer such as `ipv4:10.0.0.1:50312`, without its port."""
    return peer.rpartition(":")[0] or peer


def _bearer(metadata: Mapping[str, str | bytes]) -> str:
    header = metadata.get("authorization", "")
    if isinstance(header, str):
        scheme, _, token = header.partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
    raise Unauthenticated(
        Reason.TOKEN_MISSING, "the metadata must have authorization: Bearer <token>"
    )
