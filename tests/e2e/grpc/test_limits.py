"""Limits on a running server: who is refused, with what, and who never is."""

import asyncio
from dataclasses import replace
from typing import Any

import grpc
import pytest
from billing_client.v1 import connection_service_pb2
from google.rpc.error_details_pb2 import RetryInfo

from application.connections.use_cases import ConnectionStatus
from application.requests.allowances import Allowance
from application.requests.tokens import Token, TokenVerifier
from bootstrap.tokens import list_scopes
from domain.connections import Mode
from interfaces.grpc.interceptors import authentication
from interfaces.grpc.interceptors.limits import MONEY, MONEY_SCOPES, READ, WRITE, weight_of
from tests.support.servers.grpc import Running, details, reason, refusal, running_server

GET = connection_service_pb2.GetConnectionRequest()


class Allowing(TokenVerifier):
    """Verifies as another does, and allows a caller so much."""

    def __init__(self, tokens: TokenVerifier, allowance: Allowance) -> None:
        self._tokens = tokens
        self._allowance = allowance

    def verify(self, token: str) -> Token:
        return replace(self._tokens.verify(token), allowance=self._allowance)


def allow(running: Running, allowance: Allowance) -> None:
    for interceptor in running.server._interceptors:
        if isinstance(interceptor, authentication.Authentication):
            interceptor._tokens = Allowing(running.tokens, allowance)


async def test_a_caller_that_calls_too_often_is_told_when_to_come_again(running: Running) -> None:
    running.connections.status.return_value = ConnectionStatus("acme", Mode.TEST, None, None)
    allow(running, Allowance(per_second=1))
    metadata: Any = running.metadata()
    for _ in range(5):
        await running.connection_stub.GetConnection(GET, metadata=metadata)
    got = await refusal(running.connection_stub.GetConnection(GET, metadata=metadata))
    assert (got.code(), reason(got)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "CALLER_LIMITED")
    (retry,) = details(got, RetryInfo)
    assert retry.retry_delay.seconds == 1
    other: Any = running.metadata(account="rival")
    await running.connection_stub.GetConnection(GET, metadata=other)


async def test_what_verifies_is_never_refused_for_its_peers_failures(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "FAILURES_PER_SECOND", 1)
    running.connections.status.return_value = ConnectionStatus("acme", Mode.TEST, None, None)
    bad = (("authorization", "Bearer nonsense"),)
    calls = [running.connection_stub.GetConnection(GET, metadata=bad) for _ in range(20)]
    reasons = [reason(got) for got in await asyncio.gather(*map(refusal, calls))]
    assert {*reasons} == {"TOKEN_INVALID", "CALLER_LIMITED"}
    await running.connection_stub.GetConnection(GET, metadata=running.metadata())
    missing = await refusal(running.connection_stub.GetConnection(GET))
    assert reason(missing) == "TOKEN_MISSING"


async def test_a_place_is_given_back_however_a_call_ends() -> None:
    async with running_server(max_calls=1) as running:
        running.connections.status.side_effect = ValueError
        for _ in range(3):
            got = await refusal(
                running.connection_stub.GetConnection(GET, metadata=running.metadata())
            )
            assert reason(got) == "INTERNAL"


def test_every_scope_has_a_weight_and_money_is_the_heaviest() -> None:
    assert {*list_scopes()} >= MONEY_SCOPES
    assert READ < WRITE < MONEY
    assert weight_of("charges.write") == MONEY
    assert weight_of("customers.write") == weight_of("wallets.spend") == WRITE
    assert weight_of("customers.read") == weight_of("events.watch") == READ
