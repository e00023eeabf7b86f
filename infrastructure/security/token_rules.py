"""What every token of a caller has to keep, whoever made it and under whatever key."""

import datetime as dt
import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import jwt
import msgspec

from application.requests.callers import OPERATOR
from application.requests.tokens import Token
from domain.accounts import ACCOUNT_ID
from domain.errors import Reason, Unauthenticated

AUDIENCE: Final = "billing"
MIN_SECRET_BYTES: Final = 32
"""RFC 7518, 3.2: a key for HS256 is at least as long as its hash."""

KEY_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}")  # RFC 6749, 3.3
LEEWAY_SECONDS: Final = 30
MAX_CHARACTERS: Final = 4_096
CACHE_SECONDS: Final = 60
CACHE_SIZE: Final = 10_000

_FOREIGN_KEYS: Final = frozenset({"jwk", "jku", "x5u", "x5c", "crit"})
"""Headers that would have us take a key, or a rule, from the token itself (RFC 8725, 3.10)."""

_REFUSAL: Final = "the token does not verify, or is expired"

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]

WHATEVER_IS_WRONG: Final = (jwt.PyJWTError, KeyError, TypeError, ValueError, RecursionError)
"""What reading a token of a stranger's making ends with."""


def header_of(token: str) -> Mapping[str, Any]:
    """A token's header, not verified. Raises one of WHATEVER_IS_WRONG where it names a key."""
    header = jwt.get_unverified_header(token)
    if not _FOREIGN_KEYS.isdisjoint(header):
        raise ValueError("a header asks for what is never done")
    return header


def claims_of(token: str, key: Any, algorithm: str, issuer: str | None = None) -> dict[str, Any]:
    """The claims of a token that a key signed, meant for Billing; its times are not looked at.

    Raises one of WHATEVER_IS_WRONG.
    """
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        audience=AUDIENCE,
        issuer=issuer,
        options={
            "require": ["exp", "iat", "sub", "aud"],
            "verify_exp": False,
            "verify_iat": False,
            "strict_aud": True,
        },
    )
    return claims


def is_account(account: str) -> bool:
    """Whether a token may be of it: an account's id, or OPERATOR."""
    return account == OPERATOR or ACCOUNT_ID.fullmatch(account) is not None


def is_current(issued: int, expires: int, now: float, longest: dt.timedelta) -> bool:
    """Whether a token holds now (in seconds since 1970), and not for longer than it may."""
    return (
        0 < expires - issued <= longest.total_seconds()
        and issued - LEEWAY_SECONDS <= now < expires + LEEWAY_SECONDS
    )


def refused() -> Unauthenticated:
    """What every token is refused with, so that nobody learns what to try next."""
    return Unauthenticated(Reason.TOKEN_INVALID, _REFUSAL)


class Remembered:
    """Tokens that verified, by their digest, until they expire: a minute at most. Bounded."""

    def __init__(self) -> None:
        self._tokens: dict[bytes, tuple[float, Token]] = {}

    def __len__(self) -> int:
        return len(self._tokens)

    def get(self, digest: bytes, now: float) -> Token | None:
        """The token of a digest, if it is still known."""
        until, token = self._tokens.get(digest, (0.0, None))
        return token if now < until else None

    def put(self, digest: bytes, now: float, expires: int, token: Token) -> None:
        """Remember a token, in the place of the oldest where there is no room."""
        self._tokens.pop(digest, None)
        while len(self._tokens) >= CACHE_SIZE:
            del self._tokens[next(iter(self._tokens))]
        self._tokens[digest] = min(expires, now + CACHE_SECONDS), token

    def clear(self) -> None:
        """Forget them all."""
        self._tokens.clear()


def digest_of(token: str) -> bytes:
    """What a token is remembered by. Raises Unauthenticated for one that is too long."""
    if len(token) > MAX_CHARACTERS:
        raise refused()
    return hashlib.sha256(token.encode(errors="replace")).digest()


def check_what_is_issued(subject: str, account: str, scopes: list[str]) -> None:
    """Raises ValueError for what nobody would take."""
    if not subject or not is_account(account):
        raise ValueError("subject, account: a name and an account id (or -) are needed")
    if not scopes or not all(SCOPE.fullmatch(scope) for scope in scopes):
        raise ValueError("scopes: one at least, without spaces or quotes")
