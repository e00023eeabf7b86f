"""Tokens of registered callers: who is let in, with what, and when no longer."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from application.requests.tokens import Token
from domain.errors import Reason, Unauthenticated
from infrastructure.security.callers_document import CallersInvalid, keys_of_jwks, read_callers
from infrastructure.security.callers_file import CallersFile, FollowedCallers
from infrastructure.security.registered_callers import Callers
from infrastructure.security.registered_tokens import RegisteredTokens, issue
from tests.support.fakes.stores import FakeClock
from tests.support.servers.callers import (
    DOCUMENT,
    EC,
    ED,
    JWKS,
    OPS_SECRET,
    SHOP_SECRET,
    signed,
    write_callers,
)

SCOPES = ("customers.read", "customers.write", "invoices.read", "charges.write")
LEDGER: dict[str, Any] = {"iss": "https://ledger.internal"}
OPS: dict[str, Any] = {"iss": "https://ops.internal", "account": "-"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def file(tmp_path: Path) -> CallersFile:
    return CallersFile(write_callers(tmp_path), SCOPES)


@pytest.fixture
def tokens(file: CallersFile, clock: FakeClock) -> RegisteredTokens:
    return RegisteredTokens(file.read(), clock)


def now(clock: FakeClock) -> float:
    return clock.now().timestamp()


def refused(tokens: RegisteredTokens, token: str) -> bool:
    with pytest.raises(Unauthenticated) as raised:
        tokens.verify(token)
    assert raised.value.reason is Reason.TOKEN_INVALID
    return True


def test_the_issuer_picks_the_caller_and_the_kid_its_key(
    tokens: RegisteredTokens, clock: FakeClock
) -> None:
    token = tokens.verify(signed(now=now(clock), jti="t-1"))
    assert token == Token("cart", "acme", frozenset({"customers.read"}), "shop", "t-1")
    for key, algorithm, kid in ((ED, "EdDSA", "ed"), (EC, "ES256", "ec")):
        token = tokens.verify(signed(key, algorithm, kid=kid, now=now(clock), **LEDGER))
        assert token.caller == "ledger"


def test_a_caller_has_no_scope_above_its_own(tokens: RegisteredTokens, clock: FakeClock) -> None:
    wide = {"scope": "customers.read charges.write", **LEDGER}
    token = tokens.verify(signed(ED, "EdDSA", kid="ed", now=now(clock), **wide))
    assert token.scopes == {"customers.read"}


def _bad(at: float) -> dict[str, str]:
    public = ED.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    other = ed25519.Ed25519PrivateKey.generate()
    ledger = {"kid": "ed", "now": at, **LEDGER}
    return {
        "no issuer": signed(now=at, iss=None),
        "unknown issuer": signed(now=at, iss="https://elsewhere"),
        "an issuer that is a list": signed(now=at, iss=["https://shop.internal"]),
        "another caller's kid": signed(kid="o1", now=at),
        "another caller's key": signed(OPS_SECRET, now=at),
        "no kid": signed(kid=None, now=at),
        "HS256 with a public key": signed(public, "HS256", **ledger),
        "another algorithm": signed(SHOP_SECRET * 2, "HS512", now=at),
        "none": signed("", "none", now=at),
        "another key of the algorithm": signed(other, "EdDSA", **ledger),
        "the kid of another algorithm": signed(ED, "EdDSA", **{**ledger, "kid": "ec"}),
        "jwk": signed(now=at, headers={"jwk": JWKS["keys"][0]}),
        "jku": signed(now=at, headers={"jku": "https://elsewhere"}),
        "x5u": signed(now=at, headers={"x5u": "https://elsewhere"}),
        "x5c": signed(now=at, headers={"x5c": ["MII"]}),
        "crit": signed(now=at, headers={"crit": ["exp"], "exp": 1}),
        "audience": signed(now=at, aud="router"),
        "several audiences": signed(now=at, aud=["billing", "router"]),
        "expired": signed(now=at - 700),
        "early": signed(now=at + 31),
        "not before": signed(now=at, nbf=int(at) + 31),
        "an hour and a second": signed(now=at, exp=int(at) + 3_601),
        "longer than its caller's": signed(
            ED, "EdDSA", kid="ed", now=at, exp=int(at) + 601, **LEDGER
        ),
        "an account that is not its caller's": signed(
            ED, "EdDSA", kid="ed", now=at, account="rival", **LEDGER
        ),
        "an operator whose caller is none": signed(now=at, account="-"),
        "an account of a caller that has none": signed(
            OPS_SECRET, kid="o1", now=at, **{**OPS, "account": "acme"}
        ),
        "an operator's of 15 minutes and a second": signed(
            OPS_SECRET, kid="o1", now=at, exp=int(at) + 901, **OPS
        ),
        **{
            f"no {claim}": signed(now=at, **{claim: None})
            for claim in ("sub", "aud", "iat", "exp", "account", "scope")
        },
    }


@pytest.mark.parametrize("name", _bad(0))
def test_what_a_caller_may_not_sign_is_refused(
    tokens: RegisteredTokens, clock: FakeClock, name: str
) -> None:
    assert refused(tokens, _bad(now(clock))[name])


def test_an_operators_token_is_short(tokens: RegisteredTokens, clock: FakeClock) -> None:
    at = now(clock)
    token = tokens.verify(signed(OPS_SECRET, kid="o1", now=at, exp=int(at) + 900, **OPS))
    assert token.account == "-"


def test_a_cut_caller_is_refused_all_that_is_older_at_once(
    file: CallersFile, clock: FakeClock
) -> None:
    tokens = RegisteredTokens(file.read(), clock)
    old = signed(now=now(clock))
    assert tokens.verify(old)
    clock.advance(seconds=5)
    second = file.cut("shop", clock.now())
    assert second == clock.now()
    tokens.use(file.read())
    assert refused(tokens, old)
    assert tokens.verify(signed(now=now(clock)))
    assert file.read().named("ops").not_before is None
    clock.advance(seconds=5.5)
    assert file.cut("shop", clock.now()) > clock.now()
    assert file.path.read_text().count("not_before") == 1


def test_a_cut_changes_one_line_and_keeps_the_mode(file: CallersFile, clock: FakeClock) -> None:
    file.path.chmod(0o640)
    file.cut("ledger", clock.now())
    assert file.path.stat().st_mode & 0o777 == 0o640
    lines = [n for n in file.path.read_text().splitlines() if not n.startswith("not_before")]
    assert lines == DOCUMENT.splitlines()
    with pytest.raises(KeyError):
        file.cut("nobody", clock.now())


async def test_a_key_that_leaves_the_file_stops_and_what_was_remembered_with_it(
    file: CallersFile, clock: FakeClock
) -> None:
    callers, digest = file.read_with_digest()
    tokens = RegisteredTokens(callers, clock)
    followed = FollowedCallers(file, tokens, digest)
    token = signed(now=now(clock))
    await followed.follow()
    assert tokens.verify(token).caller == "shop"
    file.path.write_text(DOCUMENT.replace('kid = "2026a"', 'kid = "2026b"'))
    await followed.follow()
    assert refused(tokens, token)
    assert tokens.verify(signed(kid="2026b", now=now(clock)))


async def test_a_public_key_that_leaves_its_set_stops(file: CallersFile, clock: FakeClock) -> None:
    callers, digest = file.read_with_digest()
    tokens = RegisteredTokens(callers, clock)
    token = signed(ED, "EdDSA", kid="ed", now=now(clock), **LEDGER)
    assert tokens.verify(token)
    (file.path.parent / "ledger.jwks.json").write_text(json.dumps({"keys": JWKS["keys"][1:]}))
    await FollowedCallers(file, tokens, digest).follow()
    assert refused(tokens, token)


async def test_a_broken_file_holds_for_a_day_and_then_nobody_is_let_in(
    file: CallersFile, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    callers, digest = file.read_with_digest()
    tokens = RegisteredTokens(callers, clock)
    followed = FollowedCallers(file, tokens, digest)
    file.path.write_text(DOCUMENT + "[[callers]]\nname = 3\n")
    for _ in range(2):
        await followed.follow()
    assert tokens.verify(signed(now=now(clock)))
    assert len(caplog.records) == 1
    clock.advance(seconds=86_400)
    assert refused(tokens, signed(now=now(clock)))
    file.path.write_text(DOCUMENT)
    await followed.follow()
    assert tokens.verify(signed(now=now(clock)))


def test_what_is_issued_verifies_and_nothing_else_is_issued(
    file: CallersFile, tokens: RegisteredTokens, clock: FakeClock
) -> None:
    callers = file.read()
    minutes = dt.timedelta(minutes=5)
    token = issue(callers.named("shop"), "me", "acme", ["customers.read"], minutes, clock)
    assert tokens.verify(token).subject == "me"
    for name, account, scope, lifetime, rule in (
        ("ledger", "acme", "customers.read", minutes, "public keys"),
        ("shop", "-", "customers.read", minutes, "may not sign"),
        ("ops", "acme", "customers.read", minutes, "may not sign"),
        ("ops", "-", "customers.read", dt.timedelta(minutes=16), "15 minutes"),
        ("shop", "acme", "customers.read", dt.timedelta(minutes=61), "60 minutes"),
    ):
        with pytest.raises(ValueError, match=rule):
            issue(callers.named(name), "me", account, [scope], lifetime, clock)


def read(document: str, **files: Any) -> Callers:
    def beside(name: str, most: int) -> bytes:
        if name not in files:
            raise FileNotFoundError(2, "No such file or directory")
        content = files[name]
        return (content if isinstance(content, bytes) else json.dumps(content).encode())[:most]

    return read_callers(document.encode(), beside, SCOPES)


GOOD = f"""\
# callers
[[callers]]
name = "shop"
issuer = "shop"
scopes = ["customers.read"]
accounts = ["acme"]
[[callers.keys]]
kid = "a"
secret = "{SHOP_SECRET}"
"""


def public(**changes: Any) -> dict[str, Any]:
    return {"keys": [{**JWKS["keys"][0], **changes}]}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("name = ", "line 1: it is no TOML"),
        ("", "[[callers]] is needed, one a caller"),
        ("other = 1\n" + GOOD, "other: is not known here"),
        (GOOD + GOOD, "line 11: caller shop: name: caller shop has the same"),
        (GOOD.replace('name = "shop"', 'name = "a b"'), "line 2: caller 1: name: is needed"),
        (GOOD.replace("issuer", "isuer"), "line 2: caller shop: isuer: is not known; is issuer"),
        (GOOD.replace("customers.read", "customer.read"), "is customers.read"),
        (GOOD.replace('"acme"', '"../acme"'), "accounts[1]: is no account's id"),
        (GOOD.replace('["acme"]', '"some"'), 'accounts: is needed: "all" or "none"'),
        (GOOD.replace("[[callers.keys]]", "operator = 1\n[[callers.keys]]"), "true or false"),
        (GOOD.replace(SHOP_SECRET, "hunter2"), "key a: a secret of 32 bytes"),
        (GOOD.replace('kid = "a"', 'kid = "a"\nalgorithm = "RS256"'), "HS256 alone"),
        (GOOD.replace("secret =", "secret_file ="), "cannot be read: No such file"),
        (GOOD.replace("secret =", "jwks_file ="), "has algorithm, kid, secret"),
        (GOOD.partition("[[callers.keys]]")[0], "keys: is needed"),
        (
            GOOD + '[[callers.keys]]\nkid = "a"\nsecret = "' + OPS_SECRET + '"',
            "key a: its kid is there twice",
        ),
        (
            GOOD.replace("[[callers.keys]]", "not_before = 2026-01-01\n[[callers.keys]]"),
            "with its offset",
        ),
        (
            GOOD.replace("[[callers.keys]]", "longest_minutes = 61\n[[callers.keys]]"),
            "from 1 to 60",
        ),
    ],
)
def test_a_wrong_file_is_told_by_line_and_name(document: str, problem: str) -> None:
    with pytest.raises(CallersInvalid) as raised:
        read(document)
    assert problem in str(raised.value)
    assert SHOP_SECRET not in str(raised.value)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (b"nothing", "is no JWK set"),
        ({"keys": []}, "is no JWK set"),
        ({"keys": [1]}, "key 1: is no JWK"),
        (public(kid=None), "key 1: kid is needed"),
        (public(alg="HS256"), "key 1: alg must be ES256 or EdDSA"),
        (public(alg="ES256"), "key 1: ES256 needs kty EC and crv P-256"),
        (public(crv="Ed448"), "key 1: EdDSA needs kty OKP and crv Ed25519"),
        (public(x="AAAA"), "key 1: x must have 32 bytes"),
        (public(d="AAAA"), "key 1: holds a private key"),
        (public(use="enc"), "key 1: is not for signatures"),
        ({"keys": [{**JWKS["keys"][1], "y": JWKS["keys"][1]["x"]}]}, "is no key of its algorithm"),
        (b"[" * 60_000, "is no JWK set"),
        (b"x" * 70_000, "is longer than"),
    ],
)
def test_a_wrong_key_set_is_told_by_key(keys: Any, problem: str) -> None:
    document = GOOD.partition("[[callers.keys]]")[0] + 'jwks_file = "shop"\n'
    assert read(document, shop=JWKS).named("shop").keys.keys() == {"ed", "ec"}
    with pytest.raises(CallersInvalid) as raised:
        read(document, shop=keys)
    assert problem in str(raised.value)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(CallersInvalid) as raised:
        read("[[callers]]\n[[callers]]\nname = 'x'\n")
    assert len(raised.value.problems) == 9


def test_no_key_is_shown_by_accident(file: CallersFile) -> None:
    assert SHOP_SECRET not in repr(file.read().all)


def test_a_token_of_a_test_deployment_is_none_of_a_registered_callers(
    tokens: RegisteredTokens, clock: FakeClock
) -> None:
    assert refused(tokens, signed(now=now(clock), iss=None))
    assert jwt.get_unverified_header(signed(kid=None)).get("kid") is None


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(
        ["all", "none", "acme", "OKP", "Ed25519", "EdDSA", "sig", "AAAA", "-", "a" * 43]
    )
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("keys kid alg kty crv x y d use n k".split()), inner)
    ),
    max_leaves=12,
)


@settings(deadline=None, database=None)
@given(ODD)
def test_whatever_a_key_set_holds_is_keys_or_problems(value: Any) -> None:
    keys, problems = keys_of_jwks(json.dumps(value).encode())
    assert keys or problems


@settings(deadline=None, database=None)
@given(st.binary(max_size=200))
def test_whatever_a_callers_file_holds_is_callers_or_problems(content: bytes) -> None:
    with pytest.raises(CallersInvalid):
        read_callers(content, lambda _name, _most: b"", SCOPES)


VALUES = st.sampled_from(
    ['"all"', '"none"', '""', "true", "1", "-1", "1.5", "[]", "[1]", "{}", "[[]]", '["acme"]',
     '["customers.read"]', "2026-01-01", "2026-01-01T00:00:00Z", "07:00:00", "nan", '"\\u0000"',
     '"a"', '"../a"', "[{}]", "[{kid = 1}]", '[{secret = "x", kid = "a"}]', "9" * 30],
)  # fmt: skip
FIELDS = st.sampled_from(
    "name issuer scopes accounts operator longest_minutes not_before calls_per_second streams keys"
    " jwks_file other".split()
)


@settings(deadline=None, database=None)
@given(st.lists(st.dictionaries(FIELDS, VALUES), max_size=3), st.binary(max_size=50))
def test_odd_entries_are_callers_or_problems_by_name(
    entries: list[dict[str, str]], beside: bytes
) -> None:
    document = "".join(
        "[[callers]]\n" + "".join(f"{name} = {value}\n" for name, value in entry.items())
        for entry in entries
    )
    with pytest.raises(CallersInvalid) as raised:
        read_callers(document.encode(), lambda _name, _most: beside, SCOPES)
    assert all(len(problem) < 500 for problem in raised.value.problems)
