"""Whose wallet it is: its owner, its creditor, and what a caller is to it."""

from typing import Final

from application.accounts.ports import Accounts
from application.requests.callers import OPERATOR, Caller
from domain.accounts import Account
from domain.errors import FailedPrecondition, NotFound, PermissionDenied, Reason
from domain.wallets import Wallet

_NO_CURRENCY: Final = "this deployment has no base currency; BASE_CURRENCY sets it"


class Wallets:
    """Finds the wallet of an account, and settles who may do what to it.

    What a caller is, the account of his token tells: it is the owner's, or the creditor's. An
    operator is the creditor of main accounts.
    """

    def __init__(self, accounts: Accounts, base_currency: str) -> None:
        """`base_currency` is the deployment's; empty where none is set, and then all is refused."""
        self._accounts = accounts
        self._currency = base_currency

    @property
    def currency(self) -> str:
        """The currency of every wallet. Raises FailedPrecondition (WRONG_CURRENCY)."""
        if not self._currency:
            raise FailedPrecondition(Reason.WRONG_CURRENCY, _NO_CURRENCY, subject="BASE_CURRENCY")
        return self._currency

    @property
    def known(self) -> bool:
        """Whether there are wallets: the deployment has a base currency."""
        return bool(self._currency)

    async def of(self, account: str) -> Wallet:
        """The wallet of an account with its present creditor. NotFound where there is none."""
        return self.wallet_of(await self.account(account))

    async def account(self, account: str) -> Account:
        """An account. NotFound where there is none."""
        found = await self._accounts.get(account)
        if found is None:
            raise NotFound("account", account)
        return found

    def wallet_of(self, account: Account) -> Wallet:
        """The wallet of an account with its present creditor."""
        return Wallet(account.id, account.parent, self.currency)

    def creditors(self, wallet: Wallet) -> Wallet | None:
        """The creditor's own wallet; None where the creditor is the platform."""
        return None if wallet.parent is None else Wallet(wallet.parent, None, wallet.currency)

    async def owned(self, caller: Caller) -> Wallet:
        """The wallet, for its owner. Raises PermissionDenied (NOT_OWNER) for anybody else."""
        wallet = await self.of(caller.account)
        if not is_owner(caller, wallet):
            raise PermissionDenied(Reason.NOT_OWNER, "only the wallet's owner may do this")
        return wallet

    async def credited(self, caller: Caller) -> Wallet:
        """The wallet, for its creditor. Raises PermissionDenied (NOT_CREDITOR) for anybody else."""
        wallet = await self.of(caller.account)
        if not is_creditor(caller, wallet):
            raise not_creditor()
        return wallet


def is_owner(caller: Caller, wallet: Wallet) -> bool:
    """Whether the caller's token is the owner's."""
    return caller.home == wallet.account


def is_creditor(caller: Caller, wallet: Wallet) -> bool:
    """Whether the caller's token is the creditor's."""
    return caller.home == (wallet.parent or OPERATOR)


def not_creditor() -> PermissionDenied:
    """The refusal of what only the creditor may do."""
    return PermissionDenied(Reason.NOT_CREDITOR, "only the wallet's creditor may do this")
