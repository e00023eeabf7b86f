"""Which account a call works on: the token's own, or one that it may act for."""

from application.accounts.ports import Accounts
from application.requests.callers import OPERATOR
from domain.errors import FieldViolation, InvalidArgument, NotFound


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
        rule = "name the account to act for: an operator's token belongs to no account"
        raise InvalidArgument([FieldViolation("account", rule)])
