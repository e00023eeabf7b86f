"""Whether who sells can sell: he is connected, and can pay what the sale costs him."""

import asyncio
from enum import StrEnum
from typing import Final

from application.background.clock import Clock
from application.checkouts.paying import MethodReads
from application.connections.platform import Platform
from application.connections.use_cases import Connections
from application.jobs.outbox import Outbox
from application.requests.callers import Caller
from application.wallet.ports import Buyers, Journal
from application.wallet.whose import Wallets
from domain.accounts import Account
from domain.errors import FailedPrecondition, NotFound, Reason
from domain.jobs import Job, job_id
from domain.quotes import CostLeg, Quote
from domain.wallets import Wallet

SELLER_UNAVAILABLE: Final = "store.seller_unavailable"
"""The kind of the job that tells a seller that somebody could not buy from it, and why."""

NO_CONNECTION: Final = frozenset(
    {Reason.STRIPE_NOT_CONNECTED, Reason.STRIPE_CONNECTION_REVOKED}
)  # fmt: skip
_WORDS: Final = "the seller cannot sell this at the moment"


class Lacking(StrEnum):
    """What a seller lacks."""

    CONNECTION = "connection"
    FUNDS = "funds"
    CARD = "card"


class SellerUnavailable(FailedPrecondition):
    """The seller cannot sell (SELLER_UNAVAILABLE). `lacking` is for the seller alone."""

    def __init__(self, lacking: Lacking) -> None:
        super().__init__(Reason.SELLER_UNAVAILABLE, _WORDS, subject="seller")
        self.lacking = lacking


class Sellers:
    """Finds where a buyer pays, and whether its seller can bear the sale."""

    def __init__(
        self, connections: Connections, platform: Platform, wallets: Wallets, journal: Journal,
        buyers: Buyers, methods: MethodReads, outbox: Outbox, clock: Clock, queued: asyncio.Event,
    ) -> None:  # fmt: skip
        """`queued` is set when there is a job to publish."""
        self._connections = connections
        self._platform = platform
        self._wallets = wallets
        self._journal = journal
        self._buyers = buyers
        self._methods = methods
        self._outbox = outbox
        self._clock = clock
        self._queued = queued

    async def stripe_account(self, buyer: Account) -> str:
        """Where the buyer pays: the platform's own Stripe account, or the parent's connected one.

        Raises SellerUnavailable where the parent has none that is usable, and what asking Stripe
        for the platform's account raises.
        """
        if buyer.parent is None:
            return await self._platform.stripe_account()
        try:
            connection = await self._connections.of(Caller("billing", buyer.parent, frozenset()))
        except (FailedPrecondition, NotFound):
            raise SellerUnavailable(Lacking.CONNECTION) from None
        return connection.stripe_account

    async def check(self, quote: Quote) -> None:
        """Whether the seller can pay what a sale costs it now.

        Raises SellerUnavailable where its wallet has less than the cost, or where it has no payment
        method on the platform's Stripe account for a subscription of its own; and what reading that
        at Stripe raises.
        """
        if quote.leg is CostLeg.WALLET and not await self._has_funds(quote):
            raise SellerUnavailable(Lacking.FUNDS)
        if quote.leg is CostLeg.SUBSCRIPTION and not await self._has_card(quote):
            raise SellerUnavailable(Lacking.CARD)

    async def sellers_customer(self, quote: Quote) -> str:
        """The customer that the seller is on the platform's Stripe account; empty: none."""
        if quote.seller is None:
            return ""
        place = await self._platform.stripe_account()
        known = await self._buyers.get(quote.seller, place)
        return "" if known is None else known.customer

    async def tell(self, buyer: Account, price: str, error: SellerUnavailable) -> None:
        """Tell a seller that it could not sell: a job, one a day and for each thing that it lacks.

        Raises Unavailable (STORE_UNAVAILABLE).
        """
        if buyer.parent is None:
            return
        now = self._clock.now()
        id_ = job_id(SELLER_UNAVAILABLE, buyer.parent, error.lacking, now.date().isoformat())
        payload = {"lacking": error.lacking.value, "buyer": buyer.id, "price": price}
        await self._outbox.append([Job(id_, SELLER_UNAVAILABLE, buyer.parent, now, payload)])
        self._queued.set()

    async def _has_funds(self, quote: Quote) -> bool:
        if not quote.held or quote.seller is None:
            return True
        wallet = Wallet(quote.seller, None, self._wallets.currency)
        head = await self._journal.head(wallet.name)
        available = head.available_after + head.overdraft_after if head else 0
        return available >= quote.held.amount

    async def _has_card(self, quote: Quote) -> bool:
        customer = await self.sellers_customer(quote)
        place = await self._platform.stripe_account()
        return bool(customer and await self._methods.default_of(place, customer))
