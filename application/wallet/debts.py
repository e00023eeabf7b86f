"""The wallets in debt that a connection is needed for."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from typing_extensions import override

from application.accounts.ports import Accounts
from application.connections.open_work import OpenItem, OpenWork
from application.wallet.ports import Journal
from application.wallet.whose import Wallets
from domain.connections import Connection
from domain.wallets import Wallet

DEBT: Final = "wallet in debt"

_PAGE: Final = 100


class WalletDebts(OpenWork):
    """Finds wallets below zero: the account's own, and those that are paid on its Stripe account.

    The latter are its sub-accounts'. All accounts are gone through for them, a hundred at a time:
    it is asked when somebody disconnects, and no store knows sub-accounts by their parent.
    """

    def __init__(self, accounts: Accounts, wallets: Wallets, journal: Journal) -> None:
        self._accounts = accounts
        self._wallets = wallets
        self._journal = journal

    @override
    async def needing(self, connection: Connection, *, limit: int) -> Sequence[OpenItem]:
        debts: list[OpenItem] = []
        if not self._wallets.known:
            return debts
        async for page in self._wallets_of(connection.account):
            heads = await asyncio.gather(*(self._journal.head(wallet.name) for wallet in page))
            debts += [
                OpenItem(DEBT, head.wallet, f"{head.available_after} {head.currency}")
                for head in heads
                if head is not None and head.available_after < 0
            ]
            if len(debts) >= limit:
                break
        return debts[:limit]

    async def _wallets_of(self, account: str) -> AsyncIterator[list[Wallet]]:
        """The wallets that the account owns, or is the creditor of."""
        after = ""
        while True:
            accounts = await self._accounts.list_all(after=after, limit=_PAGE)
            yield [
                self._wallets.wallet_of(one)
                for one in accounts
                if account in (one.id, one.parent)
            ]  # fmt: skip
            if len(accounts) < _PAGE:
                return
            after = accounts[-1].id
