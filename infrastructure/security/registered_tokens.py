"""Tokens of registered callers (RFC 7519, RFC 8725): each under the keys and the bounds of its own.

The claim `iss` picks the caller, the header's `kid` one of its keys, and the key its only
algorithm. Required claims: `iss`, `sub`, `aud`, `iat`, `exp`, `account`, `scope`. `jti` is logged
and not looked for again: a token serves many calls.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Final

import jwt
import msgspec
from typing_extensions import override

from application.background.clock import Clock
from application.requests.tokens import Token, TokenVerifier
from infrastructure.security.registered_callers import HS256, Callers, RegisteredCaller
from infrastructure.security.token_rules import (
    AUDIENCE,
    LEEWAY_SECONDS,
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

USABLE: Final = dt.timedelta(hours=24)
"""For how long callers are taken as they were read last; then nobody is let in."""


class _Claims(msgspec.Struct):
    iss: Text
    sub: Text
    account: Text
    scope: str
    iat: int
    exp: int
    jti: Text = ""
    nbf: int = 0


class RegisteredTokens(TokenVerifier):
    """Verifies tokens of the callers that were read last.

    A token that verified is remembered by its digest until it expires, 60 seconds at most, and no
    longer than its callers are the ones that hold.
    """

    def __init__(self, callers: Callers, clock: Clock) -> None:
        self._clock = clock
        self._verified = Remembered()
        self.use(callers)

    def use(self, callers: Callers) -> None:
        """Go by these callers from now on; nothing is remembered of those before them."""
        self._callers = callers
        self._verified.clear()
        self.still_hold()

    def still_hold(self) -> None:
        """Take the callers for current: they were read again, and are the same."""
        self._usable_until = (self._clock.now() + USABLE).timestamp()

    @override
    def verify(self, token: str) -> Token:
        digest = digest_of(token)
        now = self._clock.now().timestamp()
        if now >= self._usable_until:
            raise refused()
        known = self._verified.get(digest, now)
        if known is not None:
            return known
        caller, claims = self._claims(token)
        if not _holds(caller, claims, now):
            raise refused()
        scopes = caller.granted(frozenset(claims.scope.split()))
        verified = Token(
            claims.sub, claims.account, scopes, caller.name, claims.jti, caller.allowance
        )
        self._verified.put(digest, now, claims.exp, verified)
        return verified

    def _claims(self, token: str) -> tuple[RegisteredCaller, _Claims]:
        """The caller and the claims of a token whose signature and audience are right."""
        try:
            header = header_of(token)
            unverified = jwt.decode(token, options={"verify_signature": False})
            caller = self._callers.of_issuer(unverified["iss"])
            key = caller.keys[header["kid"]]
            claims = claims_of(token, key.value, key.algorithm, caller.issuer)
            return caller, msgspec.convert(claims, _Claims)
        except WHATEVER_IS_WRONG:
            raise refused() from None


def _holds(caller: RegisteredCaller, claims: _Claims, now: float) -> bool:
    """Whether what a caller signed is what it may sign, and is neither too old nor too young."""
    cut = caller.not_before is not None and claims.iat < caller.not_before.timestamp()
    return (
        not cut
        and is_account(claims.account)
        and caller.may_sign_for(claims.account)
        and claims.nbf - LEEWAY_SECONDS <= now
        and is_current(claims.iat, claims.exp, now, caller.longest_of(claims.account))
    )


def issue(
    caller: RegisteredCaller,
    subject: str,
    account: str,
    scopes: Iterable[str],
    lifetime: dt.timedelta,
    clock: Clock,
) -> str:
    """A token of a caller that shares a secret with us.

    Raises ValueError, naming what is wrong, for one that would be refused.
    """
    granted = sorted(set(scopes))
    check_what_is_issued(subject, account, granted)
    key = caller.signing_key
    if key is None:
        raise ValueError(f"caller {caller.name}: it has public keys alone, and signs by itself")
    if not caller.may_sign_for(account):
        raise ValueError(f"account: the caller {caller.name} may not sign for it")
    above = sorted({*granted} - caller.granted(frozenset(granted)))
    if above:
        raise ValueError(f"scopes: the caller {caller.name} may not have {', '.join(above)}")
    longest = caller.longest_of(account)
    if not dt.timedelta(seconds=1) <= lifetime <= longest:
        minutes = int(longest.total_seconds() // 60)
        raise ValueError(f"lifetime: from a second to {minutes} minutes")
    issued = int(clock.now().timestamp())
    claims = {
        "iss": caller.issuer,
        "sub": subject,
        "account": account,
        "scope": " ".join(granted),
        "aud": AUDIENCE,
        "iat": issued,
        "exp": issued + int(lifetime.total_seconds()),
    }
    return jwt.encode(claims, key.value, HS256, headers={"kid": key.id})
