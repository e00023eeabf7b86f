"""What the sandbox's store sells, and the sub-account that may buy it."""

from typing import Final

from application.checkouts.ports import StoreCatalogue
from domain.billing_cycles import Interval
from domain.store_products import Offer, ProductKind, StorePrice, StoreProduct
from sandbox.demo import Branch

BRANCH: Final = Branch("Hudson Print Shop", "hudson-print", "")
"""A sub-account of the first of the businesses."""

PLAN_NAME: Final = "Reputation"
PLAN_AMOUNT: Final = 4_900


def offers(stripe_price: str) -> tuple[Offer, ...]:
    """All that is sold. `stripe_price` is the plan's on the platform's own Stripe account."""
    return (
        Offer(
            StoreProduct("prod_number", ProductKind.PHONE_NUMBER, "Phone number", most=100),
            StorePrice("price_number", "prod_number", "usd", interval=Interval.MONTH),
        ),
        Offer(
            StoreProduct("prod_plan", ProductKind.SUBSCRIPTION, PLAN_NAME, most=5),
            StorePrice(
                "price_plan", "prod_plan", "usd", PLAN_AMOUNT,
                interval=Interval.MONTH, stripe_price=stripe_price,
            ),
        ),
        Offer(
            StoreProduct("prod_migration", ProductKind.ONE_OFF, "Migration", most=10),
            StorePrice("price_migration", "prod_migration", "usd", 9_900),
        ),
    )  # fmt: skip


async def fill(catalogue: StoreCatalogue, stripe_price: str) -> None:
    """Put all that is sold into the store."""
    for offer in offers(stripe_price):
        await catalogue.put_product(offer.product)
        await catalogue.put_price(offer.price)
