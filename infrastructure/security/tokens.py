"""Callers' tokens: JSON Web Tokens (RFC 7519), signed with HS256 under a key a caller.

The header's `kid` names the key. Required claims: `sub`, `account`, `scope` (separated by spaces,
RFC 8693), `aud`, `iat`, `exp`.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import jwt
import msgspec
from typing_extensions import override

from application.background.clock import Clock
from application.requests.callers import OPERATOR
from application.requests.tokens import Token, TokenVerifier
from domain.accounts import ACCOUNT_ID
from domain.errors import Reason, Unauthenticated

AUDIENCE: Final = "billing"
MAX_LIFETIME: Final = dt.timedelta(hours=24)
MIN_SECRET_BYTES: Final = 32
"""RFC 7518, 3.2: a key for HS256 is at least as long as its hash."""

_ALGORITHM: Final = "HS256"
_KEY_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}")  # RFC 6749, 3.3
_LEEWAY_SECONDS: Final = 30
_MAX_CHARACTERS: Final = 4_096
_CACHE_SECONDS: Final = 60
_CACHE_SIZE: Final = 10_000
_REFUSAL: Final = "the token does not verify, or is expired"

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class _Claims(msgspec.Struct):
    sub: _Text
    account: _Text
    scope: str
    iat: int
    exp: int


def caller_keys(pairs: Iterable[str]) -> Mapping[str, bytes]:
    """Keys by name, from settings such as `crm:<secret>`; the first is the one that issues.

    Raises ValueError that names the pair by its place: where a name was forgotten or a comma stands
    in a secret, what looks like the name is the secret.
    """
    keys: dict[str, bytes] = {}
    for place, pair in enumerate(pairs, 1):
        name, _, secret = pair.partition(":")
        if not _KEY_NAME.fullmatch(name):
            raise ValueError(f"key {place}: name:secret is needed, the name of letters and digits")
        if len(secret.encode()) < MIN_SECRET_BYTES:
            raise ValueError(
                f"key {place}: a secret of {MIN_SECRET_BYTES} bytes at least is needed"
            )
        if name in keys:
            raise ValueError(f"key {place}: its name is there twice")
        keys[name] = secret.encode()
    if not keys:
        raise ValueError("at least one key, as name:secret, is needed")
    return keys


class CallerTokens(TokenVerifier):
    """Verifies tokens of several callers, and issues them under the first key.

    A token that verified is remembered by its digest until it expires, 60 seconds at most.
    """

    def __init__(self, keys: Mapping[str, bytes], clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._verified: dict[bytes, tuple[float, Token]] = {}

    def issue(
        self, subject: str, account: str, scopes: Iterable[str], lifetime: dt.timedelta
    ) -> str:
        """A new token. Raises ValueError for what `verify` would refuse."""
        granted = sorted(set(scopes))
        if not subject or not _is_account(account):
            raise ValueError("subject, account: a name and an account id (or -) are needed")
        if not granted or not all(_SCOPE.fullmatch(scope) for scope in granted):
            raise ValueError("scopes: one at least, without spaces or quotes")
        if not dt.timedelta(seconds=1) <= lifetime <= MAX_LIFETIME:
            raise ValueError("lifetime: from a second to 24 hours")
        name, secret = next(iter(self._keys.items()))
        issued = int(self._clock.now().timestamp())
        claims = {
            "sub": subject,
            "account": account,
            "scope": " ".join(granted),
            "aud": AUDIENCE,
            "iat": issued,
            "exp": issued + int(lifetime.total_seconds()),
        }
        return jwt.encode(claims, secret, _ALGORITHM, headers={"kid": name})

    @override
    def verify(self, token: str) -> Token:
        if len(token) > _MAX_CHARACTERS:
            raise _refused()
        now = self._clock.now().timestamp()
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        until, known = self._verified.get(digest, (0.0, None))
        if known is not None and now < until:
            return known
        claims = self._claims(token)
        if not _is_current(claims, now):
            raise _refused()
        verified = Token(claims.sub, claims.account, frozenset(claims.scope.split()))
        self._remember(digest, min(claims.exp, now + _CACHE_SECONDS), verified)
        return verified

    def _claims(self, token: str) -> _Claims:
        """The claims of a token whose signature and audience are right."""
        try:
            key = self._keys[jwt.get_unverified_header(token)["kid"]]
            payload: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                audience=AUDIENCE,
                # Times are checked against our own clock, below.
                options={
                    "require": ["exp", "iat", "sub", "aud"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "strict_aud": True,
                },
            )
            claims = msgspec.convert(payload, _Claims)
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, RecursionError):
            raise _refused() from None
        if not _is_account(claims.account):
            raise _refused()
        return claims

    def _remember(self, digest: bytes, until: float, token: Token) -> None:
        self._verified.pop(digest, None)
        while len(self._verified) >= _CACHE_SIZE:
            del self._verified[next(iter(self._verified))]
        self._verified[digest] = until, token


def _is_account(account: str) -> bool:
    return account == OPERATOR or ACCOUNT_ID.fullmatch(account) is not None


def _is_current(claims: _Claims, now: float) -> bool:
    lifetime = claims.exp - claims.iat
    return (
        0 < lifetime <= MAX_LIFETIME.total_seconds()
        and claims.iat - _LEEWAY_SECONDS <= now < claims.exp + _LEEWAY_SECONDS
    )


def _refused() -> Unauthenticated:
    return Unauthenticated(Reason.TOKEN_INVALID, _REFUSAL)
