"""Registered callers at the real service: every RPC against every kind of token."""

import asyncio
import base64
import json
import os
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import grpc
import jwt
import pytest
import pytest_asyncio
from billing_client.v1 import options_pb2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from google.protobuf.message_factory import GetMessageClass

from bootstrap.tokens import list_scopes
from tests.property.seed import SEED
from tests.support.contract.tenant import METHODS, as_sent
from tests.support.servers.callers import (
    CUT_SECRET,
    DOCUMENT,
    EC,
    ED,
    JWKS,
    OPS_SECRET,
    RETIRED_SECRET,
    SHOP_SECRET,
    signed,
    write_callers,
)
from tests.support.servers.service import (
    ServiceAndEmulator,
    bearer,
    reason_of,
    until,
    world,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKENS: Final = int(os.environ.get("BILLING_FUZZ_TOKENS") or 1_000)
"""How many hostile tokens are tried."""

ACCOUNT: Final = "tenant-1"
CUT: Final = f"""
[[callers]]
name = "cut"
issuer = "https://cut.internal"
scopes = "all"
accounts = "all"
not_before = 2999-01-01T00:00:00Z

[[callers.keys]]
kid = "c1"
secret = "{CUT_SECRET}"
"""
REFUSED: Final = ("TOKEN_INVALID", "CALLER_LIMITED")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServiceAndEmulator]:
    """A service with registered callers, and its first tenant."""
    folder = tmp_path_factory.mktemp("callers")
    document = DOCUMENT.replace('accounts = ["acme"]', f'accounts = ["{ACCOUNT}"]') + CUT
    path = write_callers(folder, document)
    async with world(folder, BILLING_CALLERS=str(path), BILLING_CALLER_KEYS="") as made:
        tenant = await made.tenant()
        assert tenant.account == ACCOUNT
        yield made


def scope_of(name: str) -> str:
    return str(METHODS[name][0].GetOptions().Extensions[options_pb2.authorization].scope)


def bad_tokens(scope: str) -> Mapping[str, tuple[str | None, str]]:
    """Tokens for a method that needs a scope, each with the reason that refuses it."""
    now = time.time()
    right: dict[str, Any] = {"account": ACCOUNT, "scope": scope}
    ledger = {**right, "kid": "ed", "iss": "https://ledger.internal"}
    public = ED.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    others = " ".join(other for other in list_scopes() if other != scope)
    not_the_ledgers = scope not in ("customers.read", "invoices.read")
    invalid = {
        "broken": "nonsense",
        "cut short": signed(**right)[:-2],
        "expired": signed(now=now - 700, **right),
        "early": signed(now=now + 600, **right),
        "another audience": signed(aud="router", **right),
        "another issuer": signed(iss="https://elsewhere", **right),
        "a test deployment's": signed(iss=None, **right),
        "no algorithm": signed("", "none", **right),
        "HS256 with a public key": signed(public, "HS256", **ledger),
        "another's key": signed(OPS_SECRET, **right),
        "a retired key": signed(RETIRED_SECRET, kid="2025z", **right),
        "a cut caller": signed(CUT_SECRET, kid="c1", **{**right, "iss": "https://cut.internal"}),
        "an account above its caller's": signed(ED, "EdDSA", **{**ledger, "account": "tenant-2"}),
        "an operator whose caller is none": signed(**{**right, "account": "-"}),
        "its own key": signed(headers={"jwk": JWKS["keys"][0]}, **right),
    }
    return {
        "no token": (None, "TOKEN_MISSING"),
        **{name: (token, "TOKEN_INVALID") for name, token in invalid.items()},
        "missing scope": (signed(account=ACCOUNT, scope=others), "SCOPE_MISSING"),
        **(
            {"scope above its caller's": (signed(ED, "EdDSA", **ledger), "SCOPE_MISSING")}
            if not_the_ledgers
            else {}
        ),
    }


async def outcome(here: ServiceAndEmulator, name: str, token: str | None) -> str:
    """The reason for which a request that says nothing is refused; empty where it is answered."""
    method, stub = METHODS[name]
    call = getattr(stub(here.service.channel), method.name)(
        as_sent(method, GetMessageClass(method.input_type)()),
        metadata=() if token is None else bearer(token),
        timeout=10,
    )
    try:
        if method.server_streaming:
            await call.read()
            call.cancel()
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return reason_of(error)
    return ""


async def test_every_rpc_refuses_every_bad_token(here: ServiceAndEmulator) -> None:
    wrong, cases = [], 0
    for name in sorted(METHODS):
        tokens = bad_tokens(scope_of(name))
        for what, (token, reason) in tokens.items():
            met = await outcome(here, name, token)
            cases += 1
            # One address sends many bad tokens here, and is told to stop now and then.
            if met != reason and not (reason == "TOKEN_INVALID" and met == "CALLER_LIMITED"):
                wrong.append((name, what, met))
    sys.stdout.write(f"{len(METHODS)} RPCs, {cases} cases refused\n")
    assert wrong == []
    assert cases >= 16 * len(METHODS)


async def test_every_rpc_lets_through_what_is_right(here: ServiceAndEmulator) -> None:
    stopped = {}
    for name in sorted(METHODS):
        met = await outcome(here, name, signed(account=ACCOUNT, scope=scope_of(name)))
        if met in ("TOKEN_MISSING", "TOKEN_INVALID", "SCOPE_MISSING", "CALLER_LIMITED", "INTERNAL"):
            stopped[name] = met
    assert stopped == {}


async def test_a_key_that_leaves_the_file_stops_while_the_service_runs(
    here: ServiceAndEmulator,
) -> None:
    path = Path(here.service.settings["BILLING_CALLERS"])
    token = signed(ED, "EdDSA", kid="ed", account=ACCOUNT, iss="https://ledger.internal")
    name = "CustomerService.ListCustomers"
    assert await outcome(here, name, token) == ""
    before = (path.parent / "ledger.jwks.json").read_text()
    (path.parent / "ledger.jwks.json").write_text(json.dumps({"keys": JWKS["keys"][1:]}))

    async def stopped() -> bool:
        return await outcome(here, name, token) in REFUSED

    assert await until(stopped, seconds=20)  # it is looked at every 5 seconds
    (path.parent / "ledger.jwks.json").write_text(before)


Mutate = Callable[[random.Random, str], str]


def _flipped(chance: random.Random, token: str) -> str:
    place = chance.randrange(len(token))
    return token[:place] + chance.choice("AZaz09-_.=") + token[place + 1 :]


def _with_part(number: int, make: Callable[[random.Random], object]) -> Mutate:
    def mutate(chance: random.Random, token: str) -> str:
        parts = token.split(".")
        parts[number] = _encoded(make(chance))
        return ".".join(parts)

    return mutate


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _odd_header(chance: random.Random) -> object:
    algorithm: Any = chance.choice(["HS256", "none", "None", "EdDSA", "RS256", "", None, 1, [], {}])
    header: dict[str, Any] = {"alg": algorithm, "typ": "JWT"}
    header["kid"] = chance.choice(["2026a", "ed", "", None, 1, [], "../../etc/passwd", "x" * 300])
    for name in chance.sample(["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip"], 2):
        header[name] = chance.choice([True, "https://elsewhere", ["b64"], {}])
    return header if chance.random() < 0.9 else chance.choice([None, [], "x", 1])


def _odd_claims(chance: random.Random) -> object:
    odd: list[Any] = [
        None,
        True,
        -1,
        2**70,
        1e308,
        "",
        "x",
        [],
        {},
        "\ud800",
        ["billing"],
        "-",
        "9" * 400,
    ]
    claims: dict[str, Any] = {
        "iss": "https://shop.internal", "sub": "a", "aud": "billing", "account": ACCOUNT,
        "scope": "customers.read", "iat": int(time.time()), "exp": int(time.time()) + 600,
    }  # fmt: skip
    for name in chance.sample(sorted(claims), chance.randrange(4)):
        claims[name] = chance.choice(odd)
    return claims


def _resigned(chance: random.Random, _: str) -> str:
    key = chance.choice([OPS_SECRET, RETIRED_SECRET, secrets.token_hex(32), "{}" * 16])
    content = json.dumps(_odd_claims(chance)).encode()
    return jwt.PyJWS().encode(content, key, "HS256", headers={"kid": "2026a"})


def _of_another(chance: random.Random, _: str) -> str:
    key = chance.choice([ed25519.Ed25519PrivateKey.generate(), ED])
    content = json.dumps(_odd_claims(chance)).encode()  # the shop's issuer: not this key's
    return jwt.PyJWS().encode(content, key, "EdDSA", headers={"kid": chance.choice(["ed", "ec"])})


def _noise(chance: random.Random, token: str) -> str:
    return chance.choice([
        token[: chance.randrange(1, len(token))], token + ".x", token * 12, "." * 50, "W" * 4_000,
        "e30.e30.e30", " ".join(token), token.replace(".", ".."), token[::-1],
    ])  # fmt: skip


MUTATIONS: Final[tuple[Mutate, ...]] = (
    _with_part(0, _odd_header), _with_part(1, _odd_claims), _resigned, _of_another, _noise,
    _flipped,
)  # fmt: skip


def hostile(chance: random.Random) -> str:
    """A token that nobody made who may; printable, as metadata has to be."""
    token = signed(account=ACCOUNT)
    mutated = token
    while mutated == token:  # a character may be changed into itself
        mutated = chance.choice(MUTATIONS)(chance, token)
    return mutated


async def test_hostile_tokens_are_refused_and_break_nothing(here: ServiceAndEmulator) -> None:
    chance = random.Random(f"tokens:{SEED}")  # noqa: S311 - to be repeated, no secret
    counts: Counter[str] = Counter()
    left = TOKENS

    async def attacker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            token = hostile(chance)
            met = await outcome(here, "CustomerService.ListCustomers", token)
            counts[met] += 1
            same = _same_signature(token)
            assert met in (*REFUSED, "TOKEN_MISSING") or same, (met, token)

    async with asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(attacker())
    sys.stdout.write(f"{TOKENS} hostile tokens, seed {SEED}: {dict(counts)}\n")
    assert counts.total() == TOKENS
    assert counts["INTERNAL"] == 0
    for key, algorithm, kid, iss in (
        (SHOP_SECRET, "HS256", "2026a", "shop"), (EC, "ES256", "ec", "ledger"),
    ):  # fmt: skip
        right = signed(key, algorithm, kid=kid, account=ACCOUNT, iss=f"https://{iss}.internal")
        assert await outcome(here, "CustomerService.ListCustomers", right) == ""


def _same_signature(token: str) -> bool:
    """Whether a mutation left the token the same: the last character of base64 has spare bits."""
    try:
        jwt.decode(token, SHOP_SECRET, ["HS256"], audience="billing")
    except (jwt.PyJWTError, ValueError):
        return False
    return True
