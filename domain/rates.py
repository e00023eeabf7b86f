"""Exchange rates: what one unit of a currency was worth in the base currency, on a UTC day.

Rates are decimals as text. All arithmetic is in integers and fractions: products are summed exactly
and rounded once.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from domain.money import CURRENCIES, exponent

RATE_RULE: Final = "a decimal above zero such as 1.0842, of at most 12 digits before and after"
DATE_RULE: Final = "a day such as 2026-01-31, of the years 1970 to 2200"

_RATE: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_YEARS: Final = range(1970, 2201)

Place = tuple[dt.date, str]
"""A UTC day and a currency: what has one rate."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How many units of the base currency one unit of `currency` was worth on the UTC day `date`.

    Major units, as rates are published: 1 EUR = 1.0842 USD. ValueError for a currency that Stripe
    does not know, a year out of range, or a `rate` that is no decimal above zero.
    """

    date: dt.date
    currency: str
    rate: str

    def __post_init__(self) -> None:
        if self.currency not in CURRENCIES:
            raise ValueError("currency: not one that Stripe knows")
        if self.date.year not in _YEARS:
            raise ValueError(f"date: {DATE_RULE}")
        if not is_rate(self.rate):
            raise ValueError(f"rate: {RATE_RULE}")

    @property
    def place(self) -> Place:
        """What it is the rate of."""
        return self.date, self.currency

    @property
    def value(self) -> Fraction:
        """The rate as it is meant: 1.10 and 1.1 are the same."""
        return Fraction(Decimal(self.rate))


@dataclass(frozen=True, slots=True)
class Conversion:
    """Amounts in minor units of the base currency, or None; then `missing` names the currencies.

    The amounts sum to the exact sum, rounded once, half to even.
    """

    amounts: tuple[int, ...] | None
    missing: tuple[str, ...] = ()

    @property
    def total(self) -> int | None:
        """The sum of the amounts."""
        return None if self.amounts is None else sum(self.amounts)


def is_rate(text: str) -> bool:
    """Whether a text is a decimal above zero, neither signed nor with an exponent."""
    return bool(_RATE.fullmatch(text)) and Decimal(text) > 0


def read_date(text: str) -> dt.date:
    """The day that a text names. ValueError where it names none, or none of the years allowed."""
    if not _DATE.fullmatch(text):
        raise ValueError(DATE_RULE)
    try:
        date = dt.date.fromisoformat(text)
    except ValueError:
        raise ValueError(DATE_RULE) from None
    if date.year not in _YEARS:
        raise ValueError(DATE_RULE)
    return date


def converted(
    parts: Sequence[Mapping[Place, int]], rates: Mapping[Place, Fraction], base: str
) -> Conversion:
    """Each part, a sum of minor units by day and currency, in minor units of the base currency.

    A part is rounded down, and what the sum of all then lacks goes to those with the largest
    remainders, the earlier part first. Zero needs no rate, and the base currency none.
    """
    needed = {place for part in parts for place, amount in part.items() if amount}
    missing = {
        currency for date, currency in needed if currency != base and (date, currency) not in rates
    }
    if missing:
        return Conversion(None, tuple(sorted(missing)))
    exact = [
        sum(
            (
                amount * (_in_minor_units(rates, place, base) if place[1] != base else 1)
                for place, amount in part.items()
                if amount
            ),
            Fraction(0),
        )
        for part in parts
    ]
    amounts = [amount.numerator // amount.denominator for amount in exact]
    lacking = round(sum(exact, Fraction(0))) - sum(amounts)
    by_remainder = sorted(range(len(exact)), key=lambda n: (amounts[n] - exact[n], n))
    for number in by_remainder[:lacking]:
        amounts[number] += 1
    return Conversion(tuple(amounts))


def _in_minor_units(rates: Mapping[Place, Fraction], place: Place, base: str) -> Fraction:
    """How many minor units of the base currency a minor unit of the place's is worth."""
    return rates[place] * Fraction(10) ** (exponent(base) - exponent(place[1]))
