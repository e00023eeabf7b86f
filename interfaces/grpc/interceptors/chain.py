"""What stands between the wire and the servicers, each concern apart."""

from collections.abc import Mapping, Sequence

import grpc

from application.accounts.tenancy import Tenancy
from application.requests.tokens import TokenVerifier
from interfaces.grpc.core.methods import Method
from interfaces.grpc.interceptors.access_log import AccessLog
from interfaces.grpc.interceptors.authentication import Authentication
from interfaces.grpc.interceptors.concurrency import Concurrency
from interfaces.grpc.interceptors.deadlines import Deadlines
from interfaces.grpc.interceptors.draining import Draining
from interfaces.grpc.interceptors.errors import Errors
from interfaces.grpc.interceptors.limits import Limits
from interfaces.grpc.interceptors.requests import STALL_SECONDS, Requests
from interfaces.grpc.interceptors.scopes import Scopes
from interfaces.grpc.interceptors.tenants import Tenants


def interceptors(
    methods: Mapping[str, Method],
    tokens: TokenVerifier,
    tenancy: Tenancy,
    draining: Draining,
    *,
    max_calls: int,
    default_seconds: float,
    stall_seconds: float = STALL_SECONDS,
) -> Sequence[grpc.aio.ServerInterceptor]:
    """All of them, the outermost first.

    The access log comes last of all, so it tells what the caller got. What refuses a call stands
    inside of what turns refusals into statuses; a call is bounded before anything is awaited, and
    its request is read once it is authenticated. Then what its caller
    takes of what all share is bounded.
    """
    return (
        AccessLog(methods),
        Errors(methods),
        draining,
        Concurrency(methods, max_calls),
        Deadlines(methods, default_seconds),
        Authentication(methods, tokens),
        Limits(methods, max_calls),
        Scopes(methods),
        Requests(methods, stall_seconds=stall_seconds),
        Tenants(methods, tenancy),
    )
