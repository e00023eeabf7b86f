"""Pricing: all that a purchase is priced by is gathered and judged before anything is done.

Nothing is held, charged or kept here. PreviewCheckout and ExecuteCheckout both begin with it.
"""

import datetime as dt
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from application.analytics.ports import Rates
from application.background.clock import Clock
from application.checkouts.currencies import TakenCurrencies
from application.checkouts.lately import FindAccount, FindBuyer, FindOffer
from application.checkouts.multipliers import Multipliers
from application.checkouts.number_prices import NumberPrices
from application.checkouts.paying import ChosenMethod, MethodChoice
from application.checkouts.ports import Carts, StoreSubscriptions
from application.checkouts.sellers import NO_CONNECTION, Lacking, Sellers, SellerUnavailable
from application.checkouts.setup_fees import SetupFees
from application.requests.callers import OPERATOR
from application.requests.violations import METHOD_ID, optional_id_violations, refuse
from application.wallet.whose import Wallets
from domain.accounts import Account
from domain.carts import Cart, CartItem, Circumstances, item_violations, purchase_violations
from domain.errors import (
    BillingError,
    FailedPrecondition,
    FieldViolation,
    NotFound,
    Reason,
)
from domain.ids import is_object_id
from domain.money import Money
from domain.phone_numbers import NumberKind, NumberPrice
from domain.quotes import CostLeg, Quote, Terms, cost_leg, quote
from domain.reloads import usable_rate
from domain.store_products import Offer, ProductKind

T = TypeVar("T")

_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Purchase:
    """What is to be bought, as a caller says it; nothing of it is checked yet.

    `account` is the buyer. `cart` and `seller` are those that the caller expects, `payment_method`
    the one at the seller's Stripe account; empty: whatever is there.
    """

    account: str
    item: CartItem
    cart: str = ""
    seller: str = ""
    payment_method: str = ""


@dataclass(frozen=True, slots=True)
class Priced:
    """A purchase that may be made.

    - `cart`: the account's as it was found; None where it has none yet.
    - `customer`: that the buyer is on the quote's Stripe account; empty: none yet.
    - `method`: what pays; None where nothing is to pay.
    - `sellers_customer`: that the seller is on the platform's Stripe account, where its own
      subscription pays the cost; else empty.
    """

    quote: Quote
    cart: Cart | None
    customer: str
    method: ChosenMethod | None
    sellers_customer: str = ""


@dataclass(slots=True)
class _Gathered:
    """What is known of a purchase so far, and what kept us from knowing more."""

    offer: Offer | None
    cart: Cart | None = None
    stripe_account: str = ""
    customer: str = ""
    method: ChosenMethod | None = None
    has_method: bool = True
    takes_currency: bool = True
    has_listing: bool = False
    sells_number: bool = True
    quote: Quote | None = None
    total: Money | None = None
    failures: list[BillingError] = field(default_factory=list)
    no_method: BillingError | None = None

    async def attempt(self, work: Awaitable[T], otherwise: T) -> T:
        """What work gives; `otherwise` where it fails, which is told when nothing else is wrong."""
        try:
            return await work
        except BillingError as error:
            self.failures.append(error)
            return otherwise

    @property
    def failure(self) -> BillingError | None:
        """What is to be told where nothing is wrong with the purchase itself."""
        free = self.total is not None and not self.total
        return next(iter(self.failures), None if free else self.no_method)


class Pricing:
    """Prices purchases."""

    def __init__(
        self, find_account: FindAccount, find_offer: FindOffer, find_buyer: FindBuyer,
        carts: Carts, subscriptions: StoreSubscriptions, multipliers: Multipliers,
        number_prices: NumberPrices, setup_fees: SetupFees, wallets: Wallets, rates: Rates,
        sellers: Sellers, methods: MethodChoice, currencies: TakenCurrencies, clock: Clock,
    ) -> None:  # fmt: skip
        self._find_account = find_account
        self._find_offer = find_offer
        self._find_buyer = find_buyer
        self._carts = carts
        self._subscriptions = subscriptions
        self._multipliers = multipliers
        self._number_prices = number_prices
        self._setup_fees = setup_fees
        self._wallets = wallets
        self._rates = rates
        self._sellers = sellers
        self._methods = methods
        self._currencies = currencies
        self._clock = clock

    async def price(self, purchase: Purchase, violations: Sequence[FieldViolation] = ()) -> Priced:
        """Price a purchase, or refuse it.

        Raises InvalidArgument with `violations` and all others at once, each with its own reason.
        Else NotFound for an unknown account, FailedPrecondition (PAYMENT_METHOD_UNUSABLE,
        RATE_UNAVAILABLE, WRONG_CURRENCY), Unavailable (PRICE_UNAVAILABLE, STORE_UNAVAILABLE), what
        reading at Stripe raises, and SellerUnavailable, of which the seller has been told.
        """
        item = purchase.item
        account = await self._find_account(purchase.account)
        if account is None:
            raise NotFound("account", purchase.account)
        offer = await self._find_offer(item.price) if is_object_id(item.price) else None
        known = _Gathered(offer)
        try:
            await self._gather(account, purchase, known)
            refuse([*violations, *_violations(account, purchase, known)])
            if (failure := known.failure) is not None:
                raise _sellers_own(account, failure)
            return await self._checked(known)
        except SellerUnavailable as error:
            await self._sellers.tell(account, item.price, error)
            raise

    async def _gather(self, buyer: Account, purchase: Purchase, known: _Gathered) -> None:
        """Look at everything. Raises Unavailable (STORE_UNAVAILABLE)."""
        known.stripe_account = await known.attempt(self._sellers.stripe_account(buyer), "")
        known.cart = await self._carts.get(buyer.id)
        terms = await known.attempt(self._terms(buyer, purchase.item, known), None)
        await self._gather_method(buyer, purchase.payment_method, known)
        if terms is not None:
            known.quote = quote(terms)
            known.total = known.quote.total
        if known.offer is None:
            return
        currency, place = known.offer.price.currency, known.stripe_account
        known.takes_currency = not place or await self._currencies.takes(place, currency)
        if known.offer.product.kind is ProductKind.LISTING:
            known.has_listing = await self._subscriptions.has_listing(buyer.id)

    async def _gather_method(self, buyer: Account, asked_for: str, known: _Gathered) -> None:
        place = known.stripe_account
        if not place:
            return
        there = await self._find_buyer(buyer.id, place)
        known.customer = "" if there is None else there.customer
        if asked_for and not is_object_id(asked_for):
            return
        try:
            known.method = await self._methods.choose(place, known.customer, asked_for)
            known.has_method = known.method is not None
        except BillingError as error:
            known.no_method = error

    async def _terms(self, buyer: Account, item: CartItem, known: _Gathered) -> Terms | None:
        """What it is priced by; None where the item says too little, or what is not sold.

        Raises Unavailable (PRICE_UNAVAILABLE), FailedPrecondition (RATE_UNAVAILABLE,
        WRONG_CURRENCY).
        """
        offer = known.offer
        if offer is None or any(item_violations(item)):
            return None
        product, currency = offer.product, offer.price.currency
        number_price: NumberPrice | None = None
        if product.kind is ProductKind.PHONE_NUMBER:
            if not item.country or not item.number_kind:
                return None
            kind = NumberKind(item.number_kind)
            number_price = await self._number_prices.price(item.country, kind, currency)
            known.sells_number = number_price is not None
            if number_price is None:
                return None
        fee = await self._setup_fees.fee(currency) if product.setup else None
        wallet_currency, rate = "", ""
        if cost_leg(buyer, product.kind) is CostLeg.WALLET:
            wallet_currency = self._wallets.currency
            rate = await self._rate(wallet_currency, currency)
        multipliers = await self._multipliers.of(buyer)
        return Terms(
            buyer=buyer,
            stripe_account=known.stripe_account,
            offer=offer,
            item=item,
            multiplier=multipliers(product.rebilled_as),
            wallet_currency=wallet_currency,
            rate=rate,
            number_price=number_price,
            setup_fee=fee,
        )

    async def _rate(self, base: str, currency: str) -> str:
        """The platform's rate: it says what the cost of a sale comes to. Empty in one currency.

        Raises FailedPrecondition (RATE_UNAVAILABLE).
        """
        if currency == base:
            return ""
        now = self._clock.now()
        today = now.astimezone(dt.UTC).date()
        rates = await self._rates.find(OPERATOR, base, [currency], today - _DAY, today)
        rate = usable_rate(rates, now)
        if rate is None:
            raise FailedPrecondition(
                Reason.RATE_UNAVAILABLE,
                f"no rate of {currency} is known that is at most 24 hours old",
                subject="rate",
                metadata={"currency": currency, "base": base},
            )
        return rate.rate

    async def _checked(self, known: _Gathered) -> Priced:
        """What was gathered, where nothing is wrong with it. Raises SellerUnavailable."""
        priced = known.quote
        if priced is None:
            raise ValueError("quote: a purchase without violations and failures has one")
        customer = await self._sellers.check(priced)
        method = known.method if known.total else None
        return Priced(priced, known.cart, known.customer, method, customer)


def _violations(buyer: Account, purchase: Purchase, known: _Gathered) -> Iterator[FieldViolation]:
    yield from optional_id_violations(purchase.payment_method, "payment_method", METHOD_ID)
    if purchase.cart and (known.cart is None or known.cart.id != purchase.cart):
        yield FieldViolation("cart", "must be the account's cart", Reason.WRONG_CART)
    circumstances = Circumstances(
        buyer=buyer,
        seller=purchase.seller or buyer.parent,
        offer=known.offer,
        total=known.total,
        takes_currency=known.takes_currency,
        has_method=known.has_method,
        has_listing=known.has_listing,
    )
    yield from purchase_violations(purchase.item, circumstances)
    if not known.sells_number:
        rule = "must be those of phone numbers that are sold"
        yield FieldViolation("item.number_kind", rule, Reason.ITEM_UNKNOWN)


def _sellers_own(buyer: Account, failure: BillingError) -> BillingError:
    """What the buyer is told of a failure: a seller's lost connection is the seller's affair."""
    if buyer.parent is not None and failure.reason in NO_CONNECTION:
        return SellerUnavailable(buyer.parent, Lacking.CONNECTION)
    return failure
