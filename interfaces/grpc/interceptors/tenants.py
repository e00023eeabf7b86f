"""Which account the caller acts for."""

from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from application.accounts.tenancy import Tenancy
from application.requests.callers import Caller
from interfaces.grpc.core.calls import Context, act_as, current_call, current_token
from interfaces.grpc.core.methods import Method
from interfaces.grpc.interceptors.wrapping import Gate


class Tenants(Gate):
    """Settles the account of a call, by its request's first field, and with it the Caller.

    Of a stream of requests it is the first one's.
    """

    def __init__(self, methods: Mapping[str, Method], tenancy: Tenancy) -> None:
        super().__init__(methods)
        self._tenancy = tenancy

    @override
    async def admit(self, method: Method, request: Any, context: Context) -> None:
        call = current_call()
        token = current_token()
        call.account = await self._tenancy.act_for(
            token.account,
            call.message.account,
            sub_accounts=method.sub_accounts,
            operators=method.operators,
        )
        act_as(
            Caller(
                token.subject,
                call.account,
                token.scopes,
                call.request_id,
                call.deadline,
                token.account,
            )
        )
