"""What stands between the wire and the servicers, each concern apart."""

from collections.abc import Mapping, Sequence

import grpc

from application.callers import Tenancy
from application.ports.tokens import TokenVerifier
from interfaces.grpc.interceptors.access_log import AccessLog
from interfaces.grpc.interceptors.authentication import Authentication
from interfaces.grpc.interceptors.concurrency import Concurrency
from interfaces.grpc.interceptors.deadlines import Deadlines
from interfaces.grpc.interceptors.errors import Errors
from interfaces.grpc.interceptors.scopes import Scopes
from interfaces.grpc.interceptors.tenants import Tenants
from interfaces.grpc.methods import Method


def interceptors(
    methods: Mapping[str, Method],
    tokens: TokenVerifier,
    tenancy: Tenancy,
    *,
    max_calls: int,
    default_seconds: float,
) -> Sequence[grpc.aio.ServerInterceptor]:
    """All of them, the outermost first.

    The access log comes last of all, so it tells what the caller got. What refuses a call stands
    inside of what turns refusals into statuses; a call is bounded before anything is awaited.
    """
    return (
        AccessLog(methods),
        Errors(methods),
        Concurrency(methods, max_calls),
        Deadlines(methods, default_seconds),
        Authentication(methods, tokens),
        Scopes(methods),
        Tenants(methods, tenancy),
    )
