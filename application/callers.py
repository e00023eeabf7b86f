"""Who calls, and for which account."""

from dataclasses import dataclass

from application.ports.accounts import Accounts
from domain.errors import NotFound


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller acting for one account.

    `account` is the one acted for, already checked. `request_id` names the call in logs.
    `deadline` is when the caller stops waiting, in seconds of the event loop's clock (None: never).
    """

    subject: str
    account: str
    scopes: frozenset[str]
    request_id: str = ""
    deadline: float | None = None


class Tenancy:
    """Says for which account a caller may act."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def act_for(self, own: str, requested: str, *, sub_accounts: bool) -> str:
        """The account to act for: the token's own, or a sub-account of it where that is allowed.

        Raises NotFound for every other one, so that nobody learns which accounts there are.
        """
        if requested in ("", own):
            return own
        if sub_accounts:
            account = await self._accounts.get(requested)
            if account is not None and account.parent == own:
                return account.id
        raise NotFound("account", requested)
