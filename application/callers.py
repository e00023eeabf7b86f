"""Who calls, and for which account."""

from dataclasses import dataclass
from typing import Final

from application.ports.accounts import Accounts
from domain.errors import FieldViolation, InvalidArgument, NotFound

OPERATOR: Final = "-"
"""The account of an operator's token: all accounts (AIP-159). No account can bear this id."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller acting for one account, or an operator acting for all.

    `account` is the one acted for, already checked; OPERATOR where it is all of them.
    `request_id` names the call in logs. `deadline` is when the caller stops waiting, in seconds of
    the event loop's clock (None: never).
    """

    subject: str
    account: str
    scopes: frozenset[str]
    request_id: str = ""
    deadline: float | None = None

    @property
    def is_operator(self) -> bool:
        """Whether the caller acts for all accounts and the platform, not for one account."""
        return self.account == OPERATOR


class Tenancy:
    """Says for which account a caller may act."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def act_for(
        self, own: str, requested: str, *, sub_accounts: bool, operators: bool
    ) -> str:
        """The account to act for: the token's own, or a sub-account of it where that is allowed.

        An operator (whose own is OPERATOR) acts for any account that he names, or for none where
        `operators` allows it, which gives OPERATOR; else InvalidArgument says that one is needed.
        Raises NotFound for every other account, so that nobody learns which accounts there are.
        """
        if own == OPERATOR:
            return await self._act_as_operator(requested, operators=operators)
        if requested in ("", own):
            return own
        if sub_accounts and requested != OPERATOR:
            account = await self._accounts.get(requested)
            if account is not None and account.parent == own:
                return account.id
        raise NotFound("account", requested)

    async def _act_as_operator(self, requested: str, *, operators: bool) -> str:
        if requested not in ("", OPERATOR):
            account = await self._accounts.get(requested)
            if account is None:
                raise NotFound("account", requested)
            return account.id
        if operators:
            return OPERATOR
        rule = "name the account to act for: an operator's token is of none, and this method of one"
        raise InvalidArgument([FieldViolation("account", rule)])
