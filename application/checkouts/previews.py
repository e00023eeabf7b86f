"""Previews: an item goes into the account's cart, and its price is told. Nothing is charged."""

import secrets
from dataclasses import dataclass
from typing import Final

from application.background.clock import Clock
from application.checkouts.ports import Carts
from application.checkouts.pricing import Priced, Pricing, Purchase
from application.checkouts.quotes import Quotes, SignedQuote
from application.checkouts.sellers import SellerUnavailable
from application.requests.callers import OPERATOR, Caller
from domain.carts import Cart, CartItem
from domain.quotes import Quote

_ID_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Preview:
    """What a purchase comes to. `shows_cost`: the caller may see the seller's side."""

    quote: Quote
    signed: SignedQuote
    cart: str
    charged_first: bool
    shows_cost: bool


class Previews:
    """Prices what an account is about to buy."""

    def __init__(self, pricing: Pricing, carts: Carts, quotes: Quotes, clock: Clock) -> None:
        self._pricing = pricing
        self._carts = carts
        self._quotes = quotes
        self._clock = clock

    async def preview(self, caller: Caller, purchase: Purchase) -> Preview:
        """Price an item and put it into the account's cart, in the place of the one before.

        Raises what `Pricing.price` does; then the cart stays as it was. Only the seller and
        operators learn what a seller lacks.
        """
        try:
            priced = await self._pricing.price(purchase)
        except SellerUnavailable as error:
            raise error.told(to_seller=sees_cost(caller, error.seller)) from None
        cart = await self._put(priced, purchase.item)
        method = priced.method
        return Preview(
            priced.quote,
            self._quotes.sign(priced.quote),
            cart.id,
            charged_first=method is not None and method.charged_first,
            shows_cost=sees_cost(caller, priced.quote.seller),
        )

    async def _put(self, priced: Priced, item: CartItem) -> Cart:
        """The cart with the item; one that holds it already stays."""
        if priced.cart is not None and priced.cart.item == item:
            return priced.cart
        new_id = f"cart_{secrets.token_hex(_ID_BYTES)}"
        return await self._carts.put(priced.quote.buyer, item, new_id=new_id, at=self._clock.now())


def sees_cost(caller: Caller, seller: str | None) -> bool:
    """Whether a caller may see cost, multiplier and margin: he is the seller, or an operator.

    Where the platform sells (None) only operators may.
    """
    return caller.home in (OPERATOR, seller or OPERATOR)
