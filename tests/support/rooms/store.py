"""A small store: who buys, what is sold, and how tests price it."""

import datetime as dt
from dataclasses import replace
from typing import Final

from domain.accounts import Account
from domain.billing_cycles import Interval
from domain.carts import Cart, CartItem
from domain.money import Money
from domain.phone_numbers import NumberKind, NumberPrice, NumberTier
from domain.quotes import Terms
from domain.store_products import LISTINGS, Offer, ProductKind, StorePrice, StoreProduct
from domain.store_subscriptions import StoreSubscription, StripeSubscription

NOON: Final = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)
MAIN: Final = Account("acme", "Acme", "usd")
LILY: Final = Account("lily", "Lily", "usd", parent="acme", tier="pro", flags=(LISTINGS,))

ADD_ON: Final = Offer(
    StoreProduct("prod_add_on", ProductKind.ONE_OFF, "Migration", most=10),
    StorePrice("price_add_on", "prod_add_on", "usd", 1_050),
)
NUMBER: Final = Offer(
    StoreProduct("prod_number", ProductKind.PHONE_NUMBER, "Phone number", most=100, setup=True),
    StorePrice("price_number", "prod_number", "usd", interval=Interval.MONTH),
)
LISTING: Final = Offer(
    StoreProduct("prod_listing", ProductKind.LISTING, "Listing", setup=True),
    StorePrice("price_listing", "prod_listing", "usd", 1_900, interval=Interval.MONTH),
)
PLAN: Final = Offer(
    StoreProduct("prod_plan", ProductKind.SUBSCRIPTION, "Reputation", most=5),
    StorePrice(
        "price_plan", "prod_plan", "usd", 4_900, interval=Interval.YEAR, stripe_price="price_1"
    ),
)
OFFERS: Final = (ADD_ON, NUMBER, LISTING, PLAN)

GERMAN: Final = NumberPrice(
    "DE", NumberKind.LOCAL, "usd", (NumberTier(2, "1.15"), NumberTier(None, "0.995"))
)
SETUP: Final = Money(500, "usd")


def item(offer: Offer, quantity: int = 1) -> CartItem:
    """So many of an offer."""
    if offer.product.kind is ProductKind.PHONE_NUMBER:
        return CartItem(offer.price.id, quantity, "DE", "local")
    return CartItem(offer.price.id, quantity)


def terms(offer: Offer, quantity: int = 1, buyer: Account = LILY, **other: object) -> Terms:
    """A purchase at 1.25 times the platform's price, with a wallet in euros."""
    made = Terms(
        buyer=buyer,
        stripe_account="acct_acme" if buyer.parent else "acct_platform",
        offer=offer,
        item=item(offer, quantity),
        multiplier="1.25" if buyer.parent else "1",
        wallet_currency="eur" if buyer.parent else "",
        rate="0.92" if buyer.parent else "",
        number_price=GERMAN if offer is NUMBER else None,
        setup_fee=SETUP,
    )
    changes: dict[str, object] = other
    return replace(made, **changes)  # type: ignore[arg-type]  # each is a field's


def cart(account: str = "lily", offer: Offer = ADD_ON, revision: int = 1) -> Cart:
    """An account's cart."""
    return Cart(f"cart_{account}", account, item(offer), NOON, revision)


def subscription(
    id_: str = "co_1", account: str = "lily", kind: ProductKind = ProductKind.PHONE_NUMBER
) -> StoreSubscription:
    """What Lily bought at noon on the 31st of January, for a month."""
    return StoreSubscription(
        id=id_, account=account, seller="acme", kind=kind, product="prod_1", price="price_1",
        quantity=1, amount=Money(500, "usd"), cost=Money(368, "eur"), start=NOON,
        interval=Interval.MONTH, interval_count=1, updated_at=NOON,
        renewal=StripeSubscription("acct_acme", f"sub_{id_}"),
    )  # fmt: skip
