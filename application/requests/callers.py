"""Who calls, and for which account."""

from dataclasses import dataclass
from typing import Final

OPERATOR: Final = "-"
"""The account of an operator's token: all accounts (AIP-159). No account can bear this id."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller acting for one account, or an operator acting for all.

    `account` is the one acted for, already checked; OPERATOR where it is all of them.
    `request_id` names the call in logs. `deadline` is when the caller stops waiting, in seconds of
    the event loop's clock (None: never). `token_account` is the account that the token belongs to,
    OPERATOR for operators; empty: the one acted for.
    """

    subject: str
    account: str
    scopes: frozenset[str]
    request_id: str = ""
    deadline: float | None = None
    token_account: str = ""

    @property
    def home(self) -> str:
        """The account that the token belongs to; OPERATOR for operators."""
        return self.token_account or self.account

    @property
    def is_operator(self) -> bool:
        """Whether the caller acts for all accounts and the platform, not for one account."""
        return self.account == OPERATOR
