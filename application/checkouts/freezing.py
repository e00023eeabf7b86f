"""Freezing: what a sale comes to is fixed before anything is held or charged."""

from typing import Final

from application.checkouts.checkout_terms import CheckoutTerms, claims
from application.checkouts.commands import CheckoutOrder
from application.checkouts.ports import Carts
from application.checkouts.pricing import Priced, Pricing, Purchase
from application.checkouts.quotes import Quotes
from application.connections.platform import Platform
from application.mutations.steps import Steps
from application.processes.starting import Frozen
from application.wallet.whose import Wallets
from domain.connections import Mode
from domain.errors import FieldViolation, InvalidArgument, Reason
from domain.quotes import CostLeg, Seal

_NO_CART: Final = FieldViolation(
    "quote", "must be of the item that the account's cart holds now", Reason.WRONG_CART
)


class CheckoutFreezing:
    """Fixes the terms of what is bought by a quote."""

    def __init__(
        self, pricing: Pricing, quotes: Quotes, carts: Carts, wallets: Wallets, platform: Platform,
        mode: Mode, setup_product: str,
    ) -> None:  # fmt: skip
        """`setup_product` is SETUP_PRODUCT; empty where the deployment has none."""
        self._pricing = pricing
        self._quotes = quotes
        self._carts = carts
        self._wallets = wallets
        self._platform = platform
        self._livemode = mode is Mode.LIVE
        self._setup_product = setup_product

    async def freeze(self, steps: Steps, order: CheckoutOrder) -> Frozen[CheckoutTerms]:
        """The terms of a purchase that may be made at what was quoted.

        Raises InvalidArgument with everything that is wrong with the quote and the purchase, what
        `Pricing.price` raises, and FailedPrecondition (PRICE_CHANGED).
        """
        cart = await self._carts.get(steps.account)
        seal, violations = self._quotes.read(order.quote, steps.account, cart)
        if cart is None or seal is None:
            raise InvalidArgument(violations or [_NO_CART])
        purchase = Purchase(steps.account, cart.item, payment_method=order.payment_method)
        priced = await self._pricing.price(purchase, violations)
        self._quotes.check(seal, priced.quote)
        terms = await self._terms(steps, order, seal, cart.id, priced)
        return Frozen(terms, terms.stripe_account, claims(terms))

    async def _terms(
        self, steps: Steps, order: CheckoutOrder, seal: Seal, cart: str, priced: Priced
    ) -> CheckoutTerms:
        subscribes = priced.quote.leg is CostLeg.SUBSCRIPTION
        method = priced.method
        return CheckoutTerms(
            quote=priced.quote,
            quote_id=seal.id,
            request_id=steps.request_id,
            actor=order.actor,
            home=order.home,
            livemode=self._livemode,
            platform_account=await self._platform.stripe_account() if subscribes else "",
            wallet_currency=self._wallets.currency if self._wallets.known else "",
            cart=cart,
            customer=priced.customer,
            payment_method="" if method is None else method.id,
            charged_first=method is not None and method.charged_first,
            sellers_customer=priced.sellers_customer,
            setup_product=self._setup_product,
        )
