"""What follows from an entry once it stands: its cost to the parent, and whether the wallet is low.

It is done beside the call, a moment after it; and what a process that died left undone a sweep over
all accounts finds.
"""

import asyncio
import datetime as dt
from typing import Final

from application.accounts.ports import Accounts
from application.background.clock import Clock
from application.background.loops import Loop
from application.wallet.costs import Costs
from application.wallet.low import LowBalances
from application.wallet.ports import Journal
from application.wallet.whose import Wallets
from domain.accounts import Account
from domain.back_off import BackOff
from domain.errors import BillingError
from domain.ledger_entries import Entry
from domain.wallets import Wallet

SWEEP: Final = dt.timedelta(minutes=5)
"""How often all wallets are looked at, whoever has said what of them."""

REST_SECONDS: Final = 5.0
MAX_NOTED: Final = 20_000
"""How many wallets are waiting to be looked at, at most; the sweep finds the others."""

_PAGE: Final = 100
_AT_ONCE: Final = 16


class Aftermath:
    """Looks at each wallet soon after an entry of it, and at all of them now and then."""

    def __init__(
        self, accounts: Accounts, wallets: Wallets, journal: Journal, costs: Costs,
        low: LowBalances, clock: Clock,
    ) -> None:  # fmt: skip
        self._accounts = accounts
        self._wallets = wallets
        self._journal = journal
        self._costs = costs
        self._low = low
        self._clock = clock
        self._noted: dict[str, tuple[Wallet, Entry]] = {}
        self._seen: dict[str, int] = {}
        self._sweep_at = clock.now()
        self._wake = asyncio.Event()
        self.loop: Final = Loop(
            "wallets",
            self.run,
            REST_SECONDS,
            wake=self._wake,
            back_off=BackOff(1.0, 60.0),
        )

    def posted(self, wallet: Wallet, entry: Entry) -> None:
        """Note that an entry stands: its wallet is looked at in a moment."""
        known = self._noted.get(wallet.name)
        if known is None and len(self._noted) >= MAX_NOTED:
            return
        if known is None or known[1].sequence < entry.sequence:
            self._noted[wallet.name] = (wallet, entry)
        self._wake.set()

    async def run(self) -> None:
        """Look at what was noted, and if it is time at every account's wallet.

        Raises what looking raised last, once all others were looked at.
        """
        noted, self._noted = self._noted, {}
        failures = await self._look_at([*noted.values()])
        if self._wallets.known and self._clock.now() >= self._sweep_at:
            await self._sweep()
            self._sweep_at = self._clock.now() + SWEEP
        if failures:
            raise failures[-1]

    async def _sweep(self) -> None:
        after = ""
        while True:
            accounts = await self._accounts.list_all(after=after, limit=_PAGE)
            heads = await asyncio.gather(*map(self._head, accounts))
            failures = await self._look_at([one for one in heads if one is not None])
            if failures:
                raise failures[-1]
            if len(accounts) < _PAGE:
                return
            after = accounts[-1].id

    async def _head(self, account: Account) -> tuple[Wallet, Entry] | None:
        """The wallet and its last entry, unless this process has seen that already."""
        wallet = self._wallets.wallet_of(account)
        head = await self._journal.head(wallet.name)
        if head is None or self._seen.get(wallet.name, 0) >= head.sequence:
            return None
        return wallet, head

    async def _look_at(self, noted: list[tuple[Wallet, Entry]]) -> list[BillingError]:
        """Look at wallets, some at once. Those that fail are noted again; their failures."""
        free = asyncio.Semaphore(_AT_ONCE)

        async def look(wallet: Wallet, entry: Entry) -> BillingError | None:
            try:
                async with free:
                    await self._look(wallet, entry)
            except BillingError as error:
                self.posted(wallet, entry)
                return error
            return None

        results = await asyncio.gather(*(look(*one) for one in noted))
        return [error for error in results if error is not None]

    async def _look(self, wallet: Wallet, entry: Entry) -> None:
        seller = self._wallets.creditors(wallet)
        if seller is not None and await self._costs.follow(wallet, seller):
            head = await self._journal.head(seller.name)
            if head is not None:
                await self._low.look(seller, head)
        await self._low.look(wallet, entry)
        if len(self._seen) >= MAX_NOTED:
            self._seen.clear()
        self._seen[wallet.name] = max(entry.sequence, self._seen.get(wallet.name, 0))
