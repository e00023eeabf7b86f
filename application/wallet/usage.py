"""Usage: what an account pays for services out of its wallet, and what of it is given back."""

import asyncio
from typing import Final

from application.background.clock import Clock
from application.requests.callers import Caller
from application.requests.violations import refuse
from application.wallet.commands import Debit, UsageRefund
from application.wallet.costs import PRICE, SERVICE
from application.wallet.ports import Journal, WalletSettingsStore
from application.wallet.posting import Posting, key_of, payload_hash
from application.wallet.prices import PriceList
from application.wallet.violations import debit_violations, refund_violations
from application.wallet.whose import Wallets, is_owner
from domain.errors import (
    BillingError,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    Reason,
)
from domain.ledger_amounts import exact_price, posted
from domain.ledger_commands import PostRefund, PostUsage
from domain.ledger_entries import Entry, EntryKind
from domain.wallets import Wallet

DEBIT: Final = "WalletService.DebitUsage"
REFUND: Final = "WalletService.RefundUsage"
DESCRIPTION: Final = "description"
"""The detail of an entry that holds the caller's words: what for, or why."""

MULTIPLIER: Final = "multiplier"

_SELLER: Final = "the account's parent cannot sell this at the moment"


class Usage:
    """Debits usage at the price list's prices, and gives it back."""

    def __init__(
        self, wallets: Wallets, journal: Journal, settings: WalletSettingsStore, prices: PriceList,
        posting: Posting, clock: Clock,
    ) -> None:  # fmt: skip
        self._wallets = wallets
        self._journal = journal
        self._settings = settings
        self._prices = prices
        self._posting = posting
        self._clock = clock

    async def debit(self, caller: Caller, request_id: str, debit: Debit) -> Entry:
        """Spend credit on units of a service: the entry, the same for each repeat.

        Raises InvalidArgument (also for a service that the price list does not have), Unavailable
        (PRICE_UNAVAILABLE), FailedPrecondition (BALANCE_TOO_LOW, SELLER_UNAVAILABLE).
        """
        refuse(debit_violations(request_id, debit))
        wallet = await self._wallets.of(caller.account)
        try:
            command = await self._priced(caller, wallet, request_id, debit)
        except BillingError:
            # What has become of the price and the parent since is nothing to a repeat.
            standing = await self._posting.standing(wallet, self._free(caller, request_id, debit))
            if standing is None:
                raise
            return standing
        tells = is_owner(caller, wallet)
        return await self._posting.post(caller, wallet, command, tells_available=tells)

    async def refund(self, caller: Caller, request_id: str, refund: UsageRefund) -> Entry:
        """Give units of an entry of usage (or cost) back: the entry, the same for each repeat.

        Raises InvalidArgument, PermissionDenied (NOT_CREDITOR), NotFound, FailedPrecondition
        (REFUND_TOO_LARGE).
        """
        refuse(refund_violations(request_id, refund))
        wallet = await self._wallets.credited(caller)
        entries = await self._journal.list(wallet.name, after=refund.sequence - 1, limit=1)
        whole = next((one for one in entries if one.sequence == refund.sequence), None)
        if whole is None or whole.kind not in (EntryKind.USAGE, EntryKind.COST):
            raise NotFound("entry", str(refund.sequence))
        command = PostRefund(
            key=key_of(REFUND, request_id),
            payload_hash=payload_hash(refund),
            actor=caller.subject,
            at=self._clock.now(),
            refunded=whole.key,
            of=whole.kind,
            quantity=refund.quantity,
            details={SERVICE: whole.details.get(SERVICE, ""), DESCRIPTION: refund.reason},
        )
        return await self._posting.post(caller, wallet, command)

    async def _priced(
        self, caller: Caller, wallet: Wallet, request_id: str, debit: Debit
    ) -> PostUsage:
        """The debit at its price, once the parent has been found able to pay its own part."""
        price, multiplier = await asyncio.gather(
            self._price(debit.service), self._multiplier(wallet, debit.service)
        )
        exact = _exact(price, debit.quantity, wallet.currency, multiplier)
        seller = self._wallets.creditors(wallet)
        if seller is not None:
            await self._check_seller(seller, _exact(price, debit.quantity, wallet.currency))
        return self._free(caller, request_id, debit, exact, {PRICE: price, MULTIPLIER: multiplier})

    def _free(
        self, caller: Caller, request_id: str, debit: Debit, exact: int = 0,
        details: dict[str, str] | None = None,
    ) -> PostUsage:  # fmt: skip
        words = {DESCRIPTION: debit.description} if debit.description else {}
        return PostUsage(
            key=key_of(DEBIT, request_id),
            payload_hash=payload_hash(debit),
            actor=caller.subject,
            at=self._clock.now(),
            exact=exact,
            quantity=debit.quantity,
            details={SERVICE: debit.service, **words, **(details or {})},
        )

    async def _price(self, service: str) -> str:
        price = await self._prices.price(service)
        if price is None:
            raise InvalidArgument([FieldViolation("service", "one of the price list's services")])
        return price

    async def _multiplier(self, wallet: Wallet, service: str) -> str:
        if wallet.parent is None:
            return "1"
        kept = await self._settings.get(wallet.name)
        return "1" if kept is None else kept.settings.multiplier(service)

    async def _check_seller(self, seller: Wallet, exact: int) -> None:
        """Look at the parent's balance; what is under way to it meanwhile may still pass it."""
        head = await self._journal.head(seller.name)
        available = head.available_after + head.overdraft_after if head else 0
        amount, _ = posted(head.carry_after if head else 0, exact)
        if available < amount or available < 0:
            raise FailedPrecondition(Reason.SELLER_UNAVAILABLE, _SELLER, subject="seller")


def _exact(price: str, quantity: int, currency: str, multiplier: str = "1") -> int:
    try:
        return exact_price(price, quantity, currency, multiplier)
    except ValueError:
        rule = "so many units cost more than a wallet can hold"
        raise InvalidArgument([FieldViolation("quantity", rule)]) from None
