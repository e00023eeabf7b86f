"""Callers' tokens. What a bad one looks like is in tests/e2e/grpc/test_access.py too."""

import base64
import contextlib
import datetime as dt
import json

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.requests.callers import OPERATOR
from application.requests.tokens import Token
from domain.errors import Reason, Unauthenticated
from infrastructure.security import token_rules
from infrastructure.security import tokens as module
from infrastructure.security.tokens import CallerTokens, caller_keys
from tests.support.fakes.stores import FakeClock

CLAIMS = st.sampled_from("kid alg typ crit b64 sub account scope aud iat exp nbf jti iss".split())
OLD, NEW = "o" * 32, "n" * 40
KEYS = caller_keys([f"new:{NEW}", f"old:{OLD}"])
HOUR = dt.timedelta(hours=1)


def issued(tokens: CallerTokens, lifetime: dt.timedelta = HOUR) -> str:
    return tokens.issue("crm", "acme", ["b.read", "a.write", "b.read"], lifetime)


def said(subject: str, account: str, *scopes: str) -> Token:
    return Token(subject, account, frozenset(scopes), "new", allowance=module._ALLOWANCE)


def refused(tokens: CallerTokens, token: str) -> bool:
    with pytest.raises(Unauthenticated) as raised:
        tokens.verify(token)
    assert raised.value.reason is Reason.TOKEN_INVALID
    assert len(token) < 10 or token not in str(raised.value)
    return True


def test_what_is_issued_verifies_under_the_first_key() -> None:
    tokens = CallerTokens(KEYS, FakeClock())
    token = issued(tokens)
    assert tokens.verify(token) == Token(
        "crm", "acme", frozenset({"a.write", "b.read"}), "new", allowance=module._ALLOWANCE
    )
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "kid": "new", "typ": "JWT"}


def test_a_token_may_be_an_operators() -> None:
    tokens = CallerTokens(KEYS, FakeClock())
    token = tokens.issue("ops", OPERATOR, ["events.read"], HOUR)
    assert tokens.verify(token) == Token(
        "ops", "-", frozenset({"events.read"}), "new", allowance=module._ALLOWANCE
    )
    for account in ("--", "-acme", " -", ""):
        with pytest.raises(ValueError, match="account"):
            tokens.issue("ops", account, ["events.read"], HOUR)


def test_every_key_verifies_while_it_is_there() -> None:
    clock = FakeClock()
    token = issued(CallerTokens(caller_keys([f"old:{OLD}"]), clock))
    assert CallerTokens(KEYS, clock).verify(token).subject == "crm"
    assert refused(CallerTokens(caller_keys([f"new:{NEW}"]), clock), token)


def test_a_key_verifies_only_what_bears_its_name() -> None:
    clock = FakeClock()
    token = issued(CallerTokens(caller_keys([f"old:{NEW}"]), clock))
    assert refused(CallerTokens(KEYS, clock), token)


@pytest.mark.parametrize("lifetime", [dt.timedelta(seconds=90), dt.timedelta(hours=24)])
def test_a_token_ends(lifetime: dt.timedelta) -> None:
    clock = FakeClock()
    tokens = CallerTokens(KEYS, clock)
    token = issued(tokens, lifetime)
    clock.advance(seconds=lifetime.total_seconds() + 29)
    assert tokens.verify(token).account == "acme"
    clock.advance(seconds=1)
    assert refused(tokens, token)


def test_a_token_of_a_clock_slightly_ahead_is_accepted() -> None:
    ahead, clock = FakeClock(), FakeClock()
    ahead.advance(seconds=30)
    token = issued(CallerTokens(KEYS, ahead))
    assert CallerTokens(KEYS, clock).verify(token).account == "acme"
    ahead.advance(seconds=1)
    assert refused(CallerTokens(KEYS, clock), issued(CallerTokens(KEYS, ahead)))


def test_a_verified_token_is_remembered_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    tokens = CallerTokens(KEYS, clock)
    token = issued(tokens)
    seen = []
    claims = CallerTokens._claims

    def counted(self: CallerTokens, token: str) -> tuple[str, module._Claims]:
        seen.append(token)
        return claims(self, token)

    monkeypatch.setattr(CallerTokens, "_claims", counted)
    for seconds, times in ((0, 1), (59, 1), (1, 2), (1, 2)):
        clock.advance(seconds=seconds)
        assert tokens.verify(token).account == "acme"
        assert len(seen) == times


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_rules, "CACHE_SIZE", 3)
    clock = FakeClock()
    tokens = CallerTokens(KEYS, clock)
    for n in range(10):
        tokens.verify(tokens.issue(f"caller-{n}", "acme", ["a.read"], HOUR))
    assert len(tokens._verified) == 3
    assert all(len(key) == 32 for key in tokens._verified._tokens)


@pytest.mark.parametrize(
    ("subject", "account", "scopes", "lifetime"),
    [
        ("", "acme", ["a"], HOUR),
        ("crm", "", ["a"], HOUR),
        ("crm", "a/b", ["a"], HOUR),
        ("crm", "acme", [], HOUR),
        ("crm", "acme", ["a b"], HOUR),
        ("crm", "acme", ["a"], dt.timedelta(0)),
        ("crm", "acme", ["a"], dt.timedelta(hours=24, seconds=1)),
    ],
)
def test_nothing_is_issued_that_would_not_verify(
    subject: str, account: str, scopes: list[str], lifetime: dt.timedelta
) -> None:
    with pytest.raises(ValueError, match=r"needed|without|from a second"):
        CallerTokens(KEYS, FakeClock()).issue(subject, account, scopes, lifetime)


@pytest.mark.parametrize(
    "pairs",
    [
        [], ["secret-without-a-name-of-32-bytes-or-more"], [f":{NEW}"], [f"a b:{NEW}"],
        ["crm:" + "x" * 31], [f"crm:{NEW}", f"crm:{OLD}"],
    ],
)  # fmt: skip
def test_bad_keys_stop_the_start_without_being_shown(pairs: list[str]) -> None:
    with pytest.raises(ValueError, match="key") as raised:
        caller_keys(pairs)
    for pair in pairs:
        assert pair.rpartition(":")[2] not in str(raised.value)


def test_a_secret_may_hold_colons_and_counts_in_bytes() -> None:
    assert caller_keys(["crm:a:" + "ü" * 15]) == {"crm": ("a:" + "ü" * 15).encode()}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CLAIMS, inner, max_size=4),
    max_leaves=8,
)


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@settings(deadline=None, database=None)
@given(st.text(max_size=300) | st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}"))
def test_no_text_is_more_than_refused(token: str) -> None:
    assert refused(CallerTokens(KEYS, FakeClock()), token)


@settings(deadline=None, database=None)
@given(JSON, JSON)
def test_no_unsigned_content_is_more_than_refused(header: object, payload: object) -> None:
    token = f"{encoded(header)}.{encoded(payload)}.AAAA"
    assert refused(CallerTokens(KEYS, FakeClock()), token)


@settings(deadline=None, database=None)
@given(st.dictionaries(CLAIMS, JSON | st.sampled_from(["billing", "acme", "a.read"])))
def test_whatever_a_caller_signs_is_verified_or_refused(claims: dict[str, object]) -> None:
    token = jwt.PyJWS().encode(json.dumps(claims).encode(), KEYS["old"], headers={"kid": "old"})
    with contextlib.suppress(Unauthenticated):
        CallerTokens(KEYS, FakeClock()).verify(token)
