"""Callers' tokens."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Token:
    """What a verified token says: who calls, which account it is of, and what it may do."""

    subject: str
    account: str
    scopes: frozenset[str]


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
