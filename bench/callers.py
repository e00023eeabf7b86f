"""What it costs to know who calls: from the token to the tenant, and the limiter alone.

The interceptors of a call, one around the other as the server has them, with a token that verified
before, around a method that does nothing. No ratio: the floor is nothing at all.
"""

import argparse
import datetime as dt
import secrets
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import uvloop
from billing_client.v1.customer_service_pb2 import GetCustomerRequest

from application.accounts.tenancy import Tenancy
from application.requests.allowances import MAX_PER_SECOND, Allowance
from application.requests.limits import FairShare, TokenBuckets
from infrastructure.clock import SystemClock
from infrastructure.security.registered_callers import HS256, Callers, Key, RegisteredCaller
from infrastructure.security.registered_tokens import RegisteredTokens, issue
from interfaces.grpc.core.calls import Call, begin
from interfaces.grpc.core.methods import Method
from interfaces.grpc.interceptors.authentication import Authentication
from interfaces.grpc.interceptors.limits import Limits
from interfaces.grpc.interceptors.scopes import Scopes
from interfaces.grpc.interceptors.tenants import Tenants

MAX_CALL_US: Final = 60.0
MAX_LIMITER_US: Final = 3.0

_METHOD: Final = Method(
    "/billing.v1.CustomerService/GetCustomer", "customers.read", True, False, mutates=False,
    streams=False,
)  # fmt: skip


def caller() -> RegisteredCaller:
    key = Key("2026a", HS256, secrets.token_bytes(32))
    allowance = Allowance(MAX_PER_SECOND)
    return RegisteredCaller("shop", "shop", {key.id: key}, None, None, allowance=allowance)


def door() -> tuple[Callable[[Any, Any], Awaitable[Any]], str]:
    """The interceptors from the token to the tenant, and a token that they let through."""
    clock, shop = SystemClock(), caller()
    methods = {_METHOD.path: _METHOD}
    tokens = RegisteredTokens(Callers([shop]), clock)
    hour = dt.timedelta(hours=1)
    token = issue(shop, "bench", "acme", ["customers.read"], hour, clock)

    async def nothing(request: Any, _: Any) -> Any:
        return request

    reply: Callable[[Any, Any], Awaitable[Any]] = nothing
    tenancy = Tenancy(cast("Any", None))  # a token's own account is looked up nowhere
    for around in (
        Tenants(methods, tenancy), Scopes(methods), Limits(methods, 1_000),
        Authentication(methods, tokens),
    ):  # fmt: skip
        reply = around.wrap_reply(_METHOD, reply)
    return reply, token


async def measure_door(calls: int) -> float:
    """Microseconds a call."""
    reply, token = door()
    request = GetCustomerRequest(id="cus_1")
    metadata = {"authorization": f"Bearer {token}"}
    call = Call("bench", metadata, message=request)
    begin(call)
    await reply(request, None)
    started = time.perf_counter()
    for _ in range(calls):
        begin(Call("bench", metadata, message=request))
        await reply(request, None)
    return (time.perf_counter() - started) / calls * 1e6


async def measure_limiter(calls: int) -> float:
    """Microseconds a call: its bucket, and its place among all calls."""
    buckets, share, key = TokenBuckets(), FairShare(1_000), ("shop", "acme")
    started = time.perf_counter()
    for _ in range(calls):
        buckets.take(key, MAX_PER_SECOND * 1_000, 1, time.monotonic())
        share.enter("shop")
        share.leave("shop")
    return (time.perf_counter() - started) / calls * 1e6


async def measure(calls: int, rounds: int) -> bool:
    doors = [await measure_door(calls) for _ in range(rounds)]
    limiters = [await measure_limiter(calls) for _ in range(rounds)]
    at_door, limiter = statistics.median(doors), statistics.median(limiters)
    print(f"authentication to tenant, remembered token: {at_door:.1f} us (at most {MAX_CALL_US})")
    print(f"limiter alone: {limiter:.2f} us (at most {MAX_LIMITER_US})")
    return at_door <= MAX_CALL_US and limiter <= MAX_LIMITER_US


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000, help="a round; the burst allows them")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    if not uvloop.run(measure(arguments.calls, arguments.rounds)):
        sys.exit(1)


if __name__ == "__main__":
    main()
