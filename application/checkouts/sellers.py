"""Whether who sells can sell: he is connected, and can pay what the sale costs him."""

import asyncio
from enum import StrEnum
from typing import Final

from application.background.clock import Clock
from application.checkouts.lately import FindBuyer, FindHead
from application.checkouts.paying import MethodReads
from application.connections.platform import Platform
from application.connections.use_cases import Connections
from application.jobs.outbox import Outbox
from application.requests.callers import Caller
from application.wallet.ports import Journal
from domain.accounts import Account
from domain.errors import FailedPrecondition, NotFound, Reason
from domain.jobs import Job, job_id
from domain.money import Money
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
    """The seller cannot sell (SELLER_UNAVAILABLE). What it lacks is for it and operators alone."""

    def __init__(self, seller: str, lacking: Lacking, *, to_seller: bool = False) -> None:
        """`to_seller`: metadata tells what is lacking."""
        metadata = {"lacking": lacking.value} if to_seller else {}
        super().__init__(Reason.SELLER_UNAVAILABLE, _WORDS, subject="seller", metadata=metadata)
        self.seller = seller
        self.lacking = lacking

    def told(self, *, to_seller: bool) -> "SellerUnavailable":
        """The same as it is told to a caller."""
        return SellerUnavailable(self.seller, self.lacking, to_seller=to_seller)


class Sellers:
    """Finds where a buyer pays, and whether its seller can pay the platform."""

    def __init__(
        self, connections: Connections, platform: Platform, find_head: FindHead,
        find_buyer: FindBuyer, journal: Journal, methods: MethodReads, outbox: Outbox,
        clock: Clock, queued: asyncio.Event,
    ) -> None:  # fmt: skip
        """`queued` is set when there is a job to publish."""
        self._connections = connections
        self._platform = platform
        self._find_head = find_head
        self._find_buyer = find_buyer
        self._journal = journal
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
            raise SellerUnavailable(buyer.parent, Lacking.CONNECTION) from None
        return connection.stripe_account

    async def check(self, quote: Quote) -> str:
        """The customer that pays the cost of a sale on the platform's Stripe account, if one does.

        Empty where the seller's wallet pays, or nobody. Raises SellerUnavailable where the wallet
        has less than the cost, or the seller no payment method for a subscription of its own; and
        what reading that at Stripe raises.
        """
        if quote.seller is None:
            return ""
        held = quote.held
        if held and not await self._has_funds(quote.seller, held):
            raise SellerUnavailable(quote.seller, Lacking.FUNDS)
        if quote.leg is not CostLeg.SUBSCRIPTION:
            return ""
        place = await self._platform.stripe_account()
        buyer = await self._find_buyer(quote.seller, place)
        if buyer is None or not await self._methods.default_of(place, buyer.customer):
            raise SellerUnavailable(quote.seller, Lacking.CARD)
        return buyer.customer

    async def tell(self, buyer: Account, price: str, error: SellerUnavailable) -> None:
        """Tell a seller that it could not sell: a job, one a day and for each thing that it lacks.

        It names the first buyer and price. Raises Unavailable (STORE_UNAVAILABLE).
        """
        now = self._clock.now()
        id_ = job_id(SELLER_UNAVAILABLE, error.seller, error.lacking, now.date().isoformat())
        payload = {"lacking": error.lacking.value, "buyer": buyer.id, "price": price}
        await self._outbox.append([Job(id_, SELLER_UNAVAILABLE, error.seller, now, payload)])
        self._queued.set()

    async def _has_funds(self, seller: str, cost: Money) -> bool:
        wallet = Wallet(seller, None, cost.currency).name
        # What was there a moment ago decides only that there is enough.
        for find in (self._find_head, self._journal.head):
            head = await find(wallet)
            if head is not None and head.available_after + head.overdraft_after >= cost.amount:
                return True
        return False
