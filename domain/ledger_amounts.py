"""Exact prices: integer millionths of a minor unit, and what the ledger posts of them."""

import re
from decimal import Decimal
from fractions import Fraction
from typing import Final

from domain.money import exponent
from domain.wallets import MAX_AMOUNT

MILLION: Final = 1_000_000
"""How many parts a minor unit has in an `exact`."""

MAX_EXACT: Final = MAX_AMOUNT * MILLION

MAX_QUANTITY: Final = 1_000_000_000

PRICE_RULE: Final = "a decimal such as 0.0079, of at most 12 digits before and after the point"
_PRICE: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")


def is_price(text: str) -> bool:
    """Whether a text is a price: a decimal of zero or more, neither signed nor with an exponent."""
    return bool(_PRICE.fullmatch(text))


def exact_price(price: str, quantity: int, currency: str, multiplier: str = "1") -> int:
    """What `quantity` units cost, in millionths of a minor unit, rounded half to even once.

    `price` is that of a unit in major units of `currency`, `multiplier` what is paid of it.
    ValueError for what is no price, a quantity out of range, or more than MAX_EXACT.
    """
    if not is_price(price) or not is_price(multiplier):
        raise ValueError(f"price: {PRICE_RULE}")
    if not 1 <= quantity <= MAX_QUANTITY:
        raise ValueError(f"quantity: from 1 to {MAX_QUANTITY:,}")
    product = Fraction(Decimal(price)) * Fraction(Decimal(multiplier)) * quantity
    exact = round(product * int(10 ** exponent(currency)) * MILLION)
    if exact > MAX_EXACT:
        raise ValueError(f"price: in all at most {MAX_AMOUNT:,} minor units")
    return exact


def share(whole: int, part: int, of: int) -> int:
    """`whole` · `part` / `of`, rounded half to even: of the running sum of parts, `whole` in all.

    The difference of two shares is what lies between them: such differences never add up to more or
    less than `whole`.
    """
    return round(Fraction(whole * part, of))


def posted(carry: int, exact: int) -> tuple[int, int]:
    """The whole minor units that a price comes to behind a carry, and the new carry.

    The floor, for a negative price (a refund) too: so the carry stays at 0 or more and below one.
    """
    return divmod(carry + exact, MILLION)
