"""Rebilling: what a buyer pays of the platform's price, and what that price costs the seller.

All of it is exact until the one rounding of a line, half to even, to the step that Stripe charges
in. Prices are fractions of minor units.
"""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from domain.ledger_amounts import PRICE_RULE, is_price
from domain.money import Money, charge_step, exponent
from domain.rates import RATE_RULE, is_rate
from domain.wallets import MULTIPLIER_RULE, is_multiplier


def minor_units(price: str, currency: str) -> Fraction:
    """A decimal price in major units, in minor units. ValueError for what is no price."""
    if not is_price(price):
        raise ValueError(f"price: {PRICE_RULE}")
    return Fraction(Decimal(price)) * int(10 ** exponent(currency))


def rebilled(price: Fraction, multiplier: str, currency: str) -> Money:
    """What a line costs its buyer: the platform's price of it times the multiplier.

    Rounded once, half to even, to a multiple of what Stripe charges in steps of. ValueError for
    what is no multiplier, or a price below zero.
    """
    if not is_multiplier(multiplier):
        raise ValueError(f"multiplier: {MULTIPLIER_RULE}")
    if price < 0:
        raise ValueError("price: must not be negative")
    step = charge_step(currency)
    return Money(round(price * Fraction(Decimal(multiplier)) / step) * step, currency)


def cost(price: Fraction, currency: str, rate: str, into: str) -> Money:
    """What a line costs its seller in `into`, the wallet's currency: rounded once, half to even.

    `rate` is worth of a major unit of `currency` in `into`, a decimal; empty within one currency.
    ValueError for what is no rate, or one too many or too few.
    """
    if bool(rate) == (currency == into) or (rate and not is_rate(rate)):
        raise ValueError(f"rate: {RATE_RULE}, where the currencies differ")
    if not rate:
        return Money(round(price), into)
    scale = Fraction(10) ** (exponent(into) - exponent(currency))
    return Money(round(price * Fraction(Decimal(rate)) * scale), into)


def of_lines(amount: Money, lines: Sequence[Money]) -> Sequence[Money]:
    """A part of a whole, such as a refund, told apart by lines in proportion to what each costs.

    The largest remainder first: the parts sum to the amount, and none is more than its line.
    ValueError for more than the lines come to, or another currency.
    """
    whole = sum(lines, Money.zero(amount.currency))
    if not 0 <= amount.amount <= whole.amount:
        raise ValueError("amount: from nothing to the sum of the lines")
    if not whole:
        return tuple(lines)
    return amount.split([line.amount for line in lines])
