"""Who calls."""

from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from application.requests.tokens import TokenVerifier
from domain.errors import Reason, Unauthenticated
from interfaces.grpc.core.calls import Context, current_call
from interfaces.grpc.core.methods import Method
from interfaces.grpc.interceptors.wrapping import Gate


class Authentication(Gate):
    """Lets nobody through without a bearer token that verifies (RFC 6750)."""

    def __init__(self, methods: Mapping[str, Method], tokens: TokenVerifier) -> None:
        super().__init__(methods)
        self._tokens = tokens

    @override
    async def admit(self, method: Method, request: Any, context: Context) -> None:
        call = current_call()
        call.token = self._tokens.verify(_bearer(call.metadata))


def _bearer(metadata: Mapping[str, str | bytes]) -> str:
    header = metadata.get("authorization", "")
    if isinstance(header, str):
        scheme, _, token = header.partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
    raise Unauthenticated(
        Reason.TOKEN_MISSING, "the metadata must have authorization: Bearer <token>"
    )
