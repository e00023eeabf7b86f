"""The platform's set-up fee: the default price of the product that SETUP_PRODUCT names."""

from application.catalogue.hydration import Hydration
from application.connections.platform import Platform
from domain.errors import Reason, Unavailable
from domain.money import Money
from domain.prices import Price

_ONE_TIME = "one_time"


class SetupFees:
    """Tells the set-up fee, from the mirror of the platform's own Stripe account."""

    def __init__(self, platform: Platform, hydration: Hydration, product: str) -> None:
        """`product` is SETUP_PRODUCT; empty where the deployment has none."""
        self._platform = platform
        self._hydration = hydration
        self._product = product

    async def fee(self, currency: str) -> Money:
        """The fee in a currency: the default price's own, or that of its currency options.

        Raises Unavailable (PRICE_UNAVAILABLE) where there is none, or none that is paid once and is
        a whole amount; and what reading the product or the price at Stripe raises, where the mirror
        lacks it.
        """
        amount = await self._amount(currency) if self._product else None
        if amount is None or amount < 0:
            words = (
                f"there is no set-up fee in {currency}: SETUP_PRODUCT needs a default price in it"
            )
            raise Unavailable(Reason.PRICE_UNAVAILABLE, words)
        return Money(amount, currency)

    async def _amount(self, currency: str) -> int | None:
        place = await self._platform.stripe_account()
        product = (await self._hydration.products(place, [self._product])).get(self._product)
        known = product.snapshot.object if product and product.snapshot else None
        if known is None or not known.default_price:
            return None
        row = await self._hydration.price(place, known.default_price)
        price = row.snapshot.object if row and row.snapshot else None
        return None if price is None else _told(price, currency)


def _told(price: Price, currency: str) -> int | None:
    """What a price is in a currency, in minor units; None where it is not paid once, or is not."""
    if price.type != _ONE_TIME or not price.active or price.tiered:
        return None
    if price.currency == currency:
        return price.unit_amount
    option = price.currency_options.get(currency)
    return None if option is None else option.unit_amount
