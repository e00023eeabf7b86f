"""The callers that a deployment registers, and what each of them may sign for."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from application.requests.allowances import DEFAULT_ALLOWANCE, Allowance
from application.requests.callers import OPERATOR

HS256: Final = "HS256"
ALGORITHMS: Final = frozenset({HS256, "EdDSA", "ES256"})
"""A shared secret, or (by public key) Ed25519 and ECDSA on P-256."""

LONGEST: Final = dt.timedelta(hours=1)
LONGEST_OF_OPERATORS: Final = dt.timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Key:
    """A key that verifies what one algorithm signed; `value` is bytes for HS256."""

    id: str
    algorithm: str
    value: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class RegisteredCaller:
    """A service that may call. None for `scopes` or `accounts` stands for all of them.

    `accounts` are those that a token may be of; a main account among them acts for its
    sub-accounts. `operator` allows tokens of operators. What was issued before `not_before` is
    refused. `line` is where the caller stands in the file.
    """

    name: str
    issuer: str
    keys: Mapping[str, Key]
    scopes: frozenset[str] | None
    accounts: frozenset[str] | None
    operator: bool = False
    longest: dt.timedelta = LONGEST
    not_before: dt.datetime | None = None
    allowance: Allowance = DEFAULT_ALLOWANCE
    line: int = 0

    def may_sign_for(self, account: str) -> bool:
        """Whether a token of the caller's may be of an account, or of an operator."""
        if account == OPERATOR:
            return self.operator
        return self.accounts is None or account in self.accounts

    def longest_of(self, account: str) -> dt.timedelta:
        """How long a token may hold: an operator's for a quarter of an hour at most."""
        return min(self.longest, LONGEST_OF_OPERATORS) if account == OPERATOR else self.longest

    def granted(self, scopes: frozenset[str]) -> frozenset[str]:
        """Those of a token's scopes that the caller itself may have."""
        return scopes if self.scopes is None else scopes & self.scopes

    @property
    def signing_key(self) -> Key | None:
        """The first key that we could sign with ourselves: a shared secret."""
        return next((key for key in self.keys.values() if key.algorithm == HS256), None)


class Callers:
    """All that are registered, by issuer."""

    def __init__(self, callers: Sequence[RegisteredCaller]) -> None:
        """Raises ValueError where two have the same name or issuer."""
        self._by_issuer = {caller.issuer: caller for caller in callers}
        self._by_name = {caller.name: caller for caller in callers}
        if len(self._by_issuer) < len(callers) or len(self._by_name) < len(callers):
            raise ValueError("callers: names and issuers must differ")
        self.all: Final = tuple(callers)

    def of_issuer(self, issuer: str) -> RegisteredCaller:
        """The caller of an issuer. KeyError where there is none."""
        return self._by_issuer[issuer]

    def named(self, name: str) -> RegisteredCaller:
        """The caller of a name. KeyError where there is none."""
        return self._by_name[name]
