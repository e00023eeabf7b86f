"""Who may call what, for which account."""

import datetime as dt
import time
from typing import Any

import grpc
import jwt
import pytest
from billing_client.v1 import connection_service_pb2
from google.rpc.error_details_pb2 import ErrorInfo

from application.connections.use_cases import ConnectionStatus
from domain.connections import Mode
from tests.support.servers.grpc import (
    SCOPES,
    SECRET,
    Running,
    details,
    reason,
    refusal,
    running_server,
)

GET = connection_service_pb2.GetConnectionRequest()


def signed(
    *, key: str = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None,
    **claims: Any,
) -> str:  # fmt: skip
    """A token of one's own making; a claim of None is left out."""
    now = int(time.time())
    all_claims = {
        "sub": "crm", "account": "acme", "scope": " ".join(SCOPES), "aud": "billing",
        "iat": now, "exp": now + 600,
    } | claims  # fmt: skip
    present = {name: value for name, value in all_claims.items() if value is not None}
    return jwt.encode(present, key, algorithm, headers={"kid": "crm"} | (headers or {}))


NOW = int(time.time())
BAD_TOKENS = {
    "nonsense": "nonsense",
    "bad signature": signed(key="x" * 40),
    "alg none": signed(key="", algorithm="none"),
    "other hash": signed(algorithm="HS512", key=SECRET * 2),
    "unknown kid": signed(headers={"kid": "stranger"}),
    "kid of another kind": signed(headers={"kid": ""}),
    "expired": signed(iat=NOW - 600, exp=NOW - 60),
    "from the future": signed(iat=NOW + 80_000, exp=NOW + 85_000),  # however long the tests take
    "too long a life": signed(exp=NOW + 25 * 3_600),
    "never issued": signed(iat=None),
    "never expires": signed(exp=None),
    "infinite": signed(exp=float("inf")),
    "wrong audience": signed(aud="router"),
    "several audiences": signed(aud=["billing", "router"]),
    "no audience": signed(aud=None),
    "no subject": signed(sub=None),
    "no account": signed(account=None),
    "bad account": signed(account="../acme"),
    "no scope": signed(scope=None),
    "too large": signed(scope="x" * 5_000),
    "nested": "W" * 4_000 + ".e30.e30",
}


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def test_a_token_of_ones_own_making_passes_where_all_is_right(running: Running) -> None:
    """So that each of the bad ones is refused for its own fault."""
    running.connections.status.return_value = ConnectionStatus("acme", Mode.TEST, None, None)
    reply = await running.connection_stub.GetConnection(GET, metadata=bearer(signed()))
    assert reply.account == "acme"


@pytest.mark.parametrize("name", BAD_TOKENS)
async def test_a_bad_token_is_refused(running: Running, name: str) -> None:
    got = await refusal(
        running.connection_stub.GetConnection(GET, metadata=bearer(BAD_TOKENS[name]))
    )
    assert (got.code(), reason(got)) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
    running.connections.status.assert_not_called()
    assert BAD_TOKENS[name] not in await running.log_text()


@pytest.mark.parametrize(
    "metadata", [(), (("authorization", ""),), (("authorization", "Basic Y3JtOng="),),
                 (("authorization", "Bearer "),)],
)  # fmt: skip
async def test_without_a_bearer_token_nobody_gets_in(running: Running, metadata: Any) -> None:
    got = await refusal(running.connection_stub.GetConnection(GET, metadata=metadata))
    assert (got.code(), reason(got)) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
    running.connections.status.assert_not_called()


async def test_the_methods_scope_is_needed(running: Running) -> None:
    others = [scope for scope in SCOPES if scope != "connections.read"]
    got = await refusal(
        running.connection_stub.GetConnection(GET, metadata=running.metadata(scopes=others))
    )
    assert (got.code(), reason(got)) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
    (info,) = details(got, ErrorInfo)
    assert dict(info.metadata) == {"scope": "connections.read"}
    running.connections.status.assert_not_called()


@pytest.mark.parametrize("own", ["", "acme"])
async def test_a_token_acts_for_its_own_account(running: Running, own: str) -> None:
    running.connections.status.return_value = ConnectionStatus("acme", Mode.TEST, None, None)
    await running.connection_stub.GetConnection(
        connection_service_pb2.GetConnectionRequest(account=own), metadata=running.metadata()
    )
    (caller,) = running.connections.status.await_args.args
    assert (caller.subject, caller.account, caller.scopes) == ("crm", "acme", frozenset(SCOPES))


async def test_a_main_account_acts_for_its_sub_account(running: Running) -> None:
    running.connections.status.return_value = ConnectionStatus("x", Mode.TEST, None, None)
    await running.connection_stub.GetConnection(
        connection_service_pb2.GetConnectionRequest(account="acme-west"),
        metadata=running.metadata(),
    )
    (caller,) = running.connections.status.await_args.args
    assert caller.account == "acme-west"
    (line,) = await running.log()
    assert line["account"] == "acme-west"


@pytest.mark.parametrize(
    ("own", "asked"),
    [("acme", "rival"), ("acme", "nobody"), ("acme-west", "acme"), ("acme", "x" * 100_000)],
)
async def test_any_other_account_is_not_found(running: Running, own: str, asked: str) -> None:
    got = await refusal(
        running.connection_stub.GetConnection(
            connection_service_pb2.GetConnectionRequest(account=asked),
            metadata=running.metadata(account=own),
        )
    )
    assert (got.code(), reason(got)) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    running.connections.status.assert_not_called()


async def test_every_method_is_closed_to_strangers(running: Running) -> None:
    """Each method of the descriptors as the server serves it, not as its stub says."""
    for method in running.server._methods.values():
        if method.open:
            continue
        call: Any = running.channel.unary_unary(method.path)
        got = await refusal(call(b""))
        assert reason(got) == "TOKEN_MISSING", method.path


async def test_a_token_verified_before_is_refused_once_expired() -> None:
    """What is remembered of a token must not outlive it."""
    async with running_server() as running:
        running.connections.status.return_value = ConnectionStatus("a", Mode.TEST, None, None)
        issued = NOW - 3_600
        token = signed(iat=issued, exp=int(time.time()) + 600)
        await running.connection_stub.GetConnection(GET, metadata=bearer(token))
        clock = running.tokens._clock
        later = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=660)

        class Later:
            def now(self) -> dt.datetime:
                return later

        running.tokens._clock = Later()
        try:
            got = await refusal(running.connection_stub.GetConnection(GET, metadata=bearer(token)))
        finally:
            running.tokens._clock = clock
        assert reason(got) == "TOKEN_INVALID"
