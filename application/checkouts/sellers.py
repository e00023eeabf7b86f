"""Whether who sells can sell: he is connected, and can pay what the sale costs him."""

import asyncio
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Means:
    """What a seller can pay the cost of a sale with.

    `available` is what its wallet has to spend, the overdraft too; `customer` is the seller on the
    platform's Stripe account, and `has_card` whether it has a default payment method there.
    """

    available: int = 0
    customer: str = ""
    has_card: bool = False

    def check(self, quote: Quote) -> None:
        """Raises SellerUnavailable where it is less than a sale takes."""
        if quote.seller is None:
            return
        if quote.held and self.available < quote.held.amount:
            raise SellerUnavailable(quote.seller, Lacking.FUNDS)
        if quote.leg is CostLeg.SUBSCRIPTION and not self.has_card:
            raise SellerUnavailable(quote.seller, Lacking.CARD)


class Sellers:
    """Finds where a buyer pays, and what its seller can pay the platform with."""

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
            raise SellerUnavailable(buyer.parent, Lacking.CONNECTION) from None
        return connection.stripe_account

    async def means(self, seller: str, leg: CostLeg) -> Means:
        """What a seller can pay the cost of a sale with, by the leg that pays it.

        Raises what reading its payment methods at Stripe raises.
        """
        if leg is CostLeg.WALLET:
            wallet = Wallet(seller, None, self._wallets.currency)
            head = await self._journal.head(wallet.name)
            return Means(available=head.available_after + head.overdraft_after if head else 0)
        place = await self._platform.stripe_account()
        buyer = await self._buyers.get(seller, place)
        if buyer is None:
            return Means()
        card = await self._methods.default_of(place, buyer.customer)
        return Means(customer=buyer.customer, has_card=bool(card))

    async def tell(self, buyer: Account, price: str, error: SellerUnavailable) -> None:
        """Tell a seller that it could not sell: a job, one a day and for each thing that it lacks.

        It names the first buyer and price. Raises Unavailable (STORE_UNAVAILABLE).
        """
        now = self._clock.now()
        id_ = job_id(SELLER_UNAVAILABLE, error.seller, error.lacking, now.date().isoformat())
        payload = {"lacking": error.lacking.value, "buyer": buyer.id, "price": price}
        await self._outbox.append([Job(id_, SELLER_UNAVAILABLE, error.seller, now, payload)])
        self._queued.set()
