"""What the caller may do."""

from typing import Any

from typing_extensions import override

from domain.errors import PermissionDenied, Reason
from interfaces.grpc.core.calls import Context, current_token
from interfaces.grpc.core.methods import Method
from interfaces.grpc.interceptors.wrapping import Gate


class Scopes(Gate):
    """Lets nobody through whose token lacks the scope that the contract names for the method."""

    @override
    async def admit(self, method: Method, request: Any, context: Context) -> None:
        if method.scope not in current_token().scopes:
            raise PermissionDenied(
                Reason.SCOPE_MISSING,
                f"the token lacks the scope {method.scope}",
                metadata={"scope": method.scope},
            )
