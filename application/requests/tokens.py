"""Callers' tokens."""

from dataclasses import dataclass
from typing import Protocol

from application.requests.allowances import DEFAULT_ALLOWANCE, Allowance


@dataclass(frozen=True, slots=True)
class Token:
    """What a verified token says: who calls, which account it is of, and what it may do.

    `caller` is the service that made it, by its name in this deployment; `subject` is whom that
    service calls for. `scopes` are those that the caller may have, too. `id` is the token's own
    (`jti`), for logs alone.
    """

    subject: str
    account: str
    scopes: frozenset[str]
    caller: str = ""
    id: str = ""
    allowance: Allowance = DEFAULT_ALLOWANCE


class TokenVerifier(Protocol):
    """Tells a genuine token from any other.

    The boundary is here so that nobody else knows how tokens are made. No I/O: it is called once a
    call, on the event loop.
    """

    def verify(self, token: str) -> Token:
        """What a token says, if it is genuine, meant for Billing, and not expired.

        Raises Unauthenticated (TOKEN_INVALID), whatever is wrong with it.
        """
        ...
