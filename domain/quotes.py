"""Quotes: what a purchase comes to, for its buyer and for its seller, frozen.

A quote is made by `quote`, pure. The buyer sees `Quote.buyers_view`, in which neither cost nor
multiplier nor margin stands. What is signed for the caller is a `Seal`: who, what, and a hash of
what the buyer would pay, which a later quote of the same purchase must have too.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Final

from domain.accounts import Account
from domain.billing_cycles import Interval
from domain.carts import CartItem, digest_of
from domain.errors import Reason
from domain.money import Money
from domain.phone_numbers import NumberPrice
from domain.rebilling import cost, rebilled
from domain.store_products import Offer, ProductKind

QUOTE_LIFETIME: Final = dt.timedelta(minutes=15)
_VERSION: Final = 1


class LinePart(StrEnum):
    """What a line is for: the item (its first period, where it recurs), or the set-up fee."""

    ITEM = "item"
    SETUP = "setup"


class CostLeg(StrEnum):
    """How the platform is paid for a sale: one way, never two.

    NONE: it sells by itself. WALLET: from the seller's wallet. SUBSCRIPTION: by the seller's own
    subscription on the platform's Stripe account.
    """

    NONE = "none"
    WALLET = "wallet"
    SUBSCRIPTION = "subscription"


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """A line: `amount` is what the buyer pays, `cost` what the seller does (zero without a leg)."""

    part: LinePart
    description: str
    quantity: int
    amount: Money
    cost: Money


@dataclass(frozen=True, slots=True)
class BuyersLine:
    """A line as the buyer sees it."""

    part: LinePart
    description: str
    quantity: int
    amount: Money


@dataclass(frozen=True, slots=True)
class BuyersQuote:
    """What the buyer may know: nothing of cost, multiplier or margin."""

    item: CartItem
    kind: ProductKind
    lines: tuple[BuyersLine, ...]
    total: Money
    renewal: Money
    interval: Interval | None
    interval_count: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What a purchase is priced by. All of it is frozen when the sale begins.

    - `stripe_account`: the seller's, on which the buyer pays.
    - `multiplier`: the seller's for this buyer; "1" where the platform sells.
    - `wallet_currency`, `rate`: of the seller's wallet, and what a major unit of the price's
      currency is worth in it (empty within one currency). Empty both where no wallet pays.
    - `number_price`: of phone numbers, in the price's currency. `setup_fee`: the platform's, in the
      price's currency; None where the product has none.
    """

    buyer: Account
    stripe_account: str
    offer: Offer
    item: CartItem
    multiplier: str = "1"
    wallet_currency: str = ""
    rate: str = ""
    number_price: NumberPrice | None = None
    setup_fee: Money | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """A priced purchase. `seller` None is the platform. `rate` is that of the cost.

    Amounts of lines are in `currency`; costs in the wallet's currency where the wallet pays them,
    else in `currency` too.
    """

    buyer: str
    seller: str | None
    stripe_account: str
    item: CartItem
    kind: ProductKind
    product: str
    currency: str
    lines: tuple[QuoteLine, ...]
    leg: CostLeg
    multiplier: str
    rate: str
    interval: Interval | None
    interval_count: int
    stripe_price: str = ""

    @property
    def total(self) -> Money:
        """What the buyer pays now."""
        return sum((line.amount for line in self.lines), Money.zero(self.currency))

    @property
    def cost(self) -> Money:
        """What the seller pays now, by the quote's leg."""
        zero = Money.zero(self.lines[0].cost.currency)
        return sum((line.cost for line in self.lines), zero)

    @property
    def held(self) -> Money:
        """What is held in the seller's wallet: all of the cost, or nothing."""
        return self.cost if self.leg is CostLeg.WALLET else Money.zero(self.cost.currency)

    @property
    def renewal(self) -> Money:
        """What the buyer pays each period from the second on; zero where it does not recur."""
        return self._recurring(self.lines[0].amount)

    @property
    def renewal_cost(self) -> Money:
        """What each such period costs the seller; of the wallet's leg by our calendar."""
        return self._recurring(self.lines[0].cost)

    @property
    def content_hash(self) -> str:
        """The same for all quotes that ask the same of the buyer, whatever the seller pays."""
        lines = [[line.part, line.quantity, line.amount.amount] for line in self.lines]
        parts = (
            _VERSION, self.buyer, self.seller, self.stripe_account, self.item.digest, self.kind,
            self.product, self.currency, lines, self.interval, self.interval_count,
        )  # fmt: skip
        return digest_of(*parts)

    def buyers_view(self) -> BuyersQuote:
        """What the buyer may see of it."""
        lines = tuple(
            BuyersLine(line.part, line.description, line.quantity, line.amount)
            for line in self.lines
        )
        return BuyersQuote(
            self.item, self.kind, lines, self.total, self.renewal, self.interval,
            self.interval_count,
        )  # fmt: skip

    def sealed(self, quote_id: str, now: dt.datetime) -> "Seal":
        """What is signed of it, good for QUOTE_LIFETIME from now, of whole seconds."""
        expires = (now + QUOTE_LIFETIME).replace(microsecond=0)
        return Seal(quote_id, digest_of(self.buyer), self.item.digest, self.content_hash, expires)

    def _recurring(self, amount: Money) -> Money:
        return amount if self.kind.recurs else Money.zero(amount.currency)


@dataclass(frozen=True, slots=True)
class Seal:
    """What a caller is handed of a quote, signed. `id` is the quote's own, and is used once.

    It travels in an error's metadata, too, so it is short: all but the time are 32 hexadecimal
    digits. `buyer` is a digest of the account's id, `item` the cart item's, `content` the quote's.
    """

    id: str
    buyer: str
    item: str
    content: str
    expires_at: dt.datetime


def seal_refusal(seal: Seal, buyer: str, item: CartItem, now: dt.datetime) -> Sequence[Reason]:
    """Every reason for which a quote is not this buyer's, of this cart item, now."""
    own = seal.buyer == digest_of(buyer)
    wrong = (
        (not own, Reason.QUOTE_FOREIGN),
        (seal.expires_at <= now, Reason.QUOTE_EXPIRED),
        (own and seal.item != item.digest, Reason.WRONG_CART),
    )
    return [reason for is_wrong, reason in wrong if is_wrong]


def quote(terms: Terms) -> Quote:
    """Price a purchase whose item has no violations.

    A line is the platform's price times the multiplier, rounded once; the cost is the platform's
    price itself, in the wallet's currency. ValueError for terms that do not fit together, such as
    phone numbers without a price of theirs: then there is no sale.
    """
    product, price = terms.offer.product, terms.offer.price
    leg = cost_leg(terms.buyer, product.kind)
    if leg is CostLeg.NONE and terms.multiplier != "1":
        raise ValueError("multiplier: the platform sells at its own price")
    lines = [_line(terms, leg, LinePart.ITEM, _item_price(terms), terms.item.quantity)]
    if product.setup and terms.setup_fee is None:
        raise ValueError("setup_fee: the product has one")
    if product.setup and terms.setup_fee is not None:
        if terms.setup_fee.currency != price.currency:
            raise ValueError("setup_fee: must be in the price's currency")
        lines.append(_line(terms, leg, LinePart.SETUP, Fraction(terms.setup_fee.amount), 1))
    return Quote(
        buyer=terms.buyer.id,
        seller=terms.buyer.parent,
        stripe_account=terms.stripe_account,
        item=terms.item,
        kind=product.kind,
        product=product.id,
        currency=price.currency,
        lines=tuple(lines),
        leg=leg,
        multiplier=terms.multiplier,
        rate=terms.rate if leg is CostLeg.WALLET else "",
        interval=price.interval,
        interval_count=price.interval_count,
        stripe_price=price.stripe_price,
    )


def cost_leg(buyer: Account, kind: ProductKind) -> CostLeg:
    """How the platform is paid for what this account buys."""
    if buyer.parent is None:
        return CostLeg.NONE
    return CostLeg.SUBSCRIPTION if kind is ProductKind.SUBSCRIPTION else CostLeg.WALLET


def _item_price(terms: Terms) -> Fraction:
    """The platform's price of the item, in minor units of the price's currency."""
    price, item = terms.offer.price, terms.item
    if price.unit_amount is not None:
        return Fraction(price.unit_amount) * item.quantity
    numbers = terms.number_price
    wanted = (item.country, item.number_kind, price.currency)
    if numbers is None or (numbers.country, numbers.kind, numbers.currency) != wanted:
        raise ValueError("number_price: that of the item is needed")
    return numbers.price_of(item.quantity)


def _line(terms: Terms, leg: CostLeg, part: LinePart, price: Fraction, quantity: int) -> QuoteLine:
    currency = terms.offer.price.currency
    costs = Money.zero(currency)
    if leg is CostLeg.WALLET:
        costs = cost(price, currency, terms.rate, terms.wallet_currency)
    elif leg is CostLeg.SUBSCRIPTION:
        costs = rebilled(price, "1", currency)
    description = terms.offer.product.name
    if part is LinePart.SETUP:
        description = f"{description}: set-up"
    amount = rebilled(price, terms.multiplier, currency)
    return QuoteLine(part, description, quantity, amount, costs)
