"""Callers' tokens of a test deployment: JSON Web Tokens (RFC 7519), HS256 under a key a caller.

The header's `kid` names the key. Required claims: `sub`, `account`, `scope` (separated by spaces,
RFC 8693), `aud`, `iat`, `exp`. Each key signs for every account, every scope and operators, so that
nothing has to be set up; what a live deployment takes is in `registered_tokens`.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Final

import jwt
import msgspec
from typing_extensions import override

from application.background.clock import Clock
from application.requests.allowances import MAX_PER_SECOND, MAX_STREAMS, Allowance
from application.requests.tokens import Token, TokenVerifier
from infrastructure.security.token_rules import (
    AUDIENCE,
    KEY_NAME,
    MIN_SECRET_BYTES,
    WHATEVER_IS_WRONG,
    Remembered,
    Text,
    check_what_is_issued,
    claims_of,
    digest_of,
    header_of,
    is_account,
    is_current,
    refused,
)

MAX_LIFETIME: Final = dt.timedelta(hours=24)

_ALGORITHM: Final = "HS256"
_ALLOWANCE: Final = Allowance(MAX_PER_SECOND, MAX_STREAMS)
"""Nobody set one here; what a live deployment limits stands in the callers' file."""


class _Claims(msgspec.Struct):
    sub: Text
    account: Text
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
        if not KEY_NAME.fullmatch(name):
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

    A token that verified is remembered by its digest until it expires, 60 seconds at most. The
    caller is called as its key is.
    """

    def __init__(self, keys: Mapping[str, bytes], clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._verified = Remembered()

    def issue(
        self, subject: str, account: str, scopes: Iterable[str], lifetime: dt.timedelta
    ) -> str:
        """A new token. Raises ValueError for what `verify` would refuse."""
        granted = sorted(set(scopes))
        check_what_is_issued(subject, account, granted)
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
        digest = digest_of(token)
        now = self._clock.now().timestamp()
        known = self._verified.get(digest, now)
        if known is not None:
            return known
        name, claims = self._claims(token)
        if not is_current(claims.iat, claims.exp, now, MAX_LIFETIME):
            raise refused()
        verified = Token(
            claims.sub, claims.account, frozenset(claims.scope.split()), name, allowance=_ALLOWANCE
        )
        self._verified.put(digest, now, claims.exp, verified)
        return verified

    def _claims(self, token: str) -> tuple[str, _Claims]:
        """The key's name and the claims of a token whose signature and audience are right."""
        try:
            name = header_of(token)["kid"]
            claims = msgspec.convert(claims_of(token, self._keys[name], _ALGORITHM), _Claims)
        except WHATEVER_IS_WRONG:
            raise refused() from None
        if not is_account(claims.account):
            raise refused()
        return name, claims
