"""What checkouts need of a store: what is sold, carts, and what was bought and recurs."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from domain.carts import Cart, CartItem
from domain.store_products import Offer, StorePrice, StoreProduct
from domain.store_subscriptions import StoreSubscription

MAX_OFFERS: Final = 100
MAX_SUBSCRIPTIONS: Final = 1_000
"""How many one call reads at most."""


@dataclass(frozen=True, slots=True)
class OfferPage:
    """Offers in order of the price's id; `after` continues, and is empty where nothing follows."""

    offers: Sequence[Offer]
    after: str


class StoreCatalogue(Protocol):
    """The platform's store: `_store.products` and `_store.prices`.

    They belong to the platform; Billing reads them, and the embedded setting keeps them as well. A
    document that is no product or price, or a price without its product, is sold to nobody and
    stops nothing else: it is as if it were not there, and the log names its id.

    Every method raises Unavailable (STORE_UNAVAILABLE) when the store does not answer. ValueError
    for more than a call may ask for.
    """

    async def get(self, price: str) -> Offer | None:
        """A price with its product, whether they are sold still or not; None where it is not."""
        ...

    async def list(self, *, after: str, limit: int) -> OfferPage:
        """Offers from behind the price `after`, of 1 to MAX_OFFERS prices.

        A page may hold fewer, or none, and still be followed by others.
        """
        ...

    async def put_product(self, product: StoreProduct) -> None:
        """Keep a product, durably, in the place of the one with its id."""
        ...

    async def put_price(self, price: StorePrice) -> None:
        """Keep a price, durably, in the place of the one with its id."""
        ...


class Carts(Protocol):
    """What accounts are about to buy: `_store.cart`, one cart an account, one item a cart.

    Every method raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def put(self, account: str, item: CartItem, *, new_id: str, at: dt.datetime) -> Cart:
        """Put an item into the account's cart, in the place of the one before, and durably.

        Atomic: of many at once each has its own revision. A cart that is there keeps its id; else
        it is made with `new_id` and revision 1.
        """
        ...

    async def get(self, account: str) -> Cart | None:
        """The account's cart, or None."""
        ...

    async def remove(self, cart: Cart) -> bool:
        """Remove a cart, unless its item was put again since; whether it was removed."""
        ...


class StoreSubscriptions(Protocol):
    """What was bought and recurs: `_store.subscriptions`, one for each checkout.

    Unique is a checkout's id, and the listing of an account among those that stand. Nothing is ever
    removed.

    Every method raises Unavailable (STORE_UNAVAILABLE) when the store does not answer. ValueError
    for more than a call may ask for.
    """

    async def add(self, subscription: StoreSubscription) -> StoreSubscription:
        """Keep a subscription durably, once: gives the one that stands under its id.

        Raises AlreadyExists (LISTING_EXISTS) for a second listing of an account.
        """
        ...

    async def put(self, subscription: StoreSubscription) -> bool:
        """Put a subscription in the place of its revision before, atomically and durably.

        False, and nothing written, where another revision stands. Raises AlreadyExists
        (LISTING_EXISTS) as `add` does.
        """
        ...

    async def get(self, account: str, subscription: str) -> StoreSubscription | None:
        """An account's subscription, or None; another account's is not found."""
        ...

    async def list(self, account: str, *, after: str, limit: int) -> Sequence[StoreSubscription]:
        """An account's subscriptions with an id above `after`, in order of id, ended ones too."""
        ...

    async def has_listing(self, account: str) -> bool:
        """Whether the account has a listing that stands."""
        ...

    async def list_sold(
        self, account: str, *, after: str, limit: int
    ) -> Sequence[StoreSubscription]:
        """What the account sold and stands, with an id above `after`, in order of id."""
        ...

    async def find(self, stripe_account: str, subscription: str) -> StoreSubscription | None:
        """The one of which a subscription at Stripe is the buyer's or the seller's, or None.

        For who comes from Stripe's side. It reads across tenants.
        """
        ...

    async def list_due(
        self, *, now: dt.datetime, after: tuple[dt.datetime, str] | None = None, limit: int
    ) -> Sequence[StoreSubscription]:
        """Those whose next period's cost has fallen due, the longest due first.

        They are in order of `cost_due_at` and id, from behind these two of `after`. 1 to
        MAX_SUBSCRIPTIONS. For the loop that posts them: it reads across tenants.
        """
        ...
