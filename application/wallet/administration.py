"""Wallets for operators: proving them, and bringing their balance from elsewhere."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from application.accounts.ports import Accounts
from application.background.clock import Clock
from application.requests.violations import refuse
from application.wallet.ports import Journal
from application.wallet.posting import payload_hash, refusal_of
from application.wallet.proof import MAX_DIFFERENCES, Proof, prove
from application.wallet.ties import ReloadTies
from application.wallet.whose import Wallets
from domain.errors import AlreadyExists, FieldViolation, Reason
from domain.ledger_commands import PostOpening, opening_key
from domain.ledger_entries import Entry, LedgerAccount
from domain.ledger_outcomes import Refused
from domain.wallets import MAX_AMOUNT, Wallet

OPENING: Final = "onebalance"
"""The name of the opening that stands for the old module's balance."""

_PAGE: Final = 100


class WalletAdministration:
    """Works on the store itself, beside the service or without it."""

    def __init__(
        self, accounts: Accounts, wallets: Wallets, journal: Journal, ties: ReloadTies,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._accounts = accounts
        self._wallets = wallets
        self._journal = journal
        self._ties = ties
        self._clock = clock

    @property
    def currency(self) -> str:
        """The currency of every wallet. Raises FailedPrecondition (WRONG_CURRENCY)."""
        return self._wallets.currency

    async def open(self, account: str, amount: int) -> Entry:
        """Post the balance that an account had elsewhere, once; minor units, negative for a debt.

        The entry, also where it stands already. Raises InvalidArgument, NotFound, AlreadyExists
        where another balance was brought before.
        """
        if abs(amount) > MAX_AMOUNT:
            refuse([FieldViolation("amount", f"at most {MAX_AMOUNT:,} minor units")])
        wallet = await self._wallets.of(account)
        command = PostOpening(
            key=opening_key(OPENING),
            payload_hash=payload_hash(amount),
            actor="operator",
            at=self._clock.now(),
            amount=amount,
        )
        (outcome,) = await self._journal.append(wallet, [command])
        if isinstance(outcome, Refused):
            raise refusal_of(outcome, tells_available=True)
        entry = outcome.entry
        if entry.posted(LedgerAccount.AVAILABLE) != amount:
            words = "the wallet was opened with another balance; adjust it instead"
            raise AlreadyExists(Reason.ALREADY_EXISTS, words)
        return entry

    async def prove(self, account: str, *, offline: bool = False) -> AsyncIterator[Proof]:
        """Walk the wallet of an account, or those of all accounts (empty); each with its proof.

        Reloads are compared with Stripe, unless `offline`. Raises NotFound, Unavailable
        (STORE_UNAVAILABLE).
        """
        if account:
            yield await self._proof(await self._wallets.of(account), offline=offline)
            return
        after = ""
        while True:
            accounts = await self._accounts.list_all(after=after, limit=_PAGE)
            for one in accounts:
                yield await self._proof(self._wallets.wallet_of(one), offline=offline)
            if len(accounts) < _PAGE:
                return
            after = accounts[-1].id

    async def _proof(self, wallet: Wallet, *, offline: bool) -> Proof:
        proof = await prove(self._journal, wallet.name)
        if offline:
            return proof
        untied = [one async for one in self._ties.differences(wallet)]
        told = [*proof.differences, *untied][:MAX_DIFFERENCES]
        return replace(proof, differences=told, count=proof.count + len(untied))
