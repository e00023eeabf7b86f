"""Phone numbers: what the platform asks for them, by country and kind."""

import re
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from typing import Final

from domain.ledger_amounts import PRICE_RULE, is_price
from domain.money import CURRENCIES
from domain.rebilling import minor_units

COUNTRY: Final = re.compile(r"[A-Z]{2}")
COUNTRY_RULE: Final = "two upper-case letters (ISO 3166-1 alpha-2), such as DE"

MAX_TIERS: Final = 100


class NumberKind(StrEnum):
    """The kinds of numbers that are sold."""

    LOCAL = "local"
    MOBILE = "mobile"
    NATIONAL = "national"
    TOLL_FREE = "toll_free"


@dataclass(frozen=True, slots=True)
class NumberTier:
    """The price of each number up to and including the quantity `up_to`; None is without end.

    `price` is a decimal of major units, for one period.
    """

    up_to: int | None
    price: str

    def __post_init__(self) -> None:
        if self.up_to is not None and self.up_to < 1:
            raise ValueError("up_to: from 1")
        if not is_price(self.price):
            raise ValueError(f"price: {PRICE_RULE}")


@dataclass(frozen=True, slots=True)
class NumberPrice:
    """What numbers of a country and kind cost for a period, in `currency` (lower-case ISO 4217).

    Graduated: each number has the price of the tier that it falls into, so that more numbers never
    cost less. ValueError for a currency that Stripe does not know, or tiers that do not ascend to
    one without end.
    """

    country: str
    kind: NumberKind
    currency: str
    tiers: tuple[NumberTier, ...]

    def __post_init__(self) -> None:
        if not COUNTRY.fullmatch(self.country):
            raise ValueError(f"country: {COUNTRY_RULE}")
        if self.currency not in CURRENCIES:
            raise ValueError("currency: not one that Stripe knows")
        if not 1 <= len(self.tiers) <= MAX_TIERS:
            raise ValueError(f"tiers: 1 to {MAX_TIERS}")
        *bounds, last = [tier.up_to for tier in self.tiers]
        known = [bound for bound in bounds if bound is not None]
        ascend = all(low < high for low, high in pairwise(known))
        if last is not None or len(known) != len(bounds) or not ascend:
            raise ValueError("tiers: must ascend, and only the last has no end")

    def price_of(self, quantity: int) -> Fraction:
        """What so many numbers cost together, in minor units, exactly. ValueError below 1."""
        if quantity < 1:
            raise ValueError("quantity: from 1")
        total, below = Fraction(0), 0
        for tier in self.tiers:
            until = quantity if tier.up_to is None else min(quantity, tier.up_to)
            total += minor_units(tier.price, self.currency) * max(0, until - below)
            below = max(below, until)
        return total
