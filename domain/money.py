"""Money: integer minor units with a currency, and Stripe's table of exponents.

Exponents follow Stripe ("Supported currencies" in its documentation), not ISO 4217: they say how
many decimals an amount in Stripe's API has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Final, Self

_TWO_DECIMALS: Final = frozenset(
    """
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf
    chf cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl hrk htg
    huf idr ils inr isk jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr
    mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek
    sgd shp sle sll sos srd std szl thb tjs top try ttd twd tzs uah ugx usd uyu uzs wst xcd xcg yer
    zar zmw
    """.split()
)
_ZERO_DECIMALS: Final = frozenset(
    "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split()
)
_THREE_DECIMALS: Final = frozenset("bhd jod kwd omr tnd".split())

_EXPONENTS: Final[dict[str, int]] = (
    dict.fromkeys(_TWO_DECIMALS, 2)
    | dict.fromkeys(_ZERO_DECIMALS, 0)
    | dict.fromkeys(_THREE_DECIMALS, 3)
)

_STEPS: Final[dict[str, int]] = dict.fromkeys(_THREE_DECIMALS, 10) | {"isk": 100, "ugx": 100}
"""The multiple that a charged amount must have, where it is not 1.

ISK and UGX have no decimals any more but keep two in Stripe's API, always 00; three-decimal
currencies must end in 0.
"""

_DIGITS: Final = {"idr": 12, "cop": 10, "inr": 9}
_MOST_DIGITS: Final = 8
"""How many digits an amount has at most, whatever it is paid by ("Supported currencies", "Maximum
charge amounts", "Other payment methods"): 8, but for the currencies above. Card networks may take
more; a page where a payer chooses how to pay cannot count on that.
"""

_LEAST: Final = {
    "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
    "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200,
    "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
}  # fmt: skip
"""The least that is charged ("Supported currencies", "Minimum charge amounts"), in minor units.

The least of another currency follows from what the account settles in, so that Stripe alone knows.
"""

_WHOLE: Final = frozenset({"isk", "ugx"})
"""Shown to people without the two decimals that Stripe's API keeps for them."""

CURRENCIES: Final = frozenset(_EXPONENTS)
"""Every currency that Stripe presents charges in, lower-case ISO 4217."""


def exponent(currency: str) -> int:
    """How many decimals Stripe's amounts in `currency` have. ValueError for an unknown currency."""
    try:
        return _EXPONENTS[currency]
    except KeyError:
        raise ValueError(f"unknown currency: {currency[:8]!r}") from None


def charge_step(currency: str) -> int:
    """The multiple, in minor units, that Stripe accepts in a charge in `currency`."""
    exponent(currency)
    return _STEPS.get(currency, 1)


def smallest_charge(currency: str) -> int:
    """The least amount above zero, in minor units, that Stripe may charge in `currency`."""
    return _LEAST.get(currency, charge_step(currency))


def largest_charge(currency: str) -> int:
    """The largest amount, in minor units, that Stripe can charge in `currency`."""
    exponent(currency)
    return int(10 ** _DIGITS.get(currency, _MOST_DIGITS)) - 1


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in integer minor units of a currency (lower-case ISO 4217).

    Arithmetic stays within a currency and raises ValueError across two. A currency that the table
    does not know yet is kept, since a mirrored amount is a fact; only its exponent is unknown.
    """

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount) is not int:
            raise ValueError("amount: an integer of minor units is needed")
        code = self.currency
        if not (len(code) == 3 and code.isascii() and code.isalpha() and code.islower()):
            raise ValueError("currency: three lower-case letters are needed")

    @classmethod
    def zero(cls, currency: str) -> Self:
        """Nothing, in `currency`."""
        return cls(0, currency)

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount + self._same(other).amount, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.amount - self._same(other).amount, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount, self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.amount < self._same(other).amount

    def __le__(self, other: "Money") -> bool:
        return self.amount <= self._same(other).amount

    def __bool__(self) -> bool:
        return self.amount != 0

    def times(self, rate: Fraction, currency: str | None = None) -> "Money":
        """The amount at an exact `rate` of minor units, rounded half to even.

        `currency` names the result's currency where the rate converts.
        """
        exact = self.amount * rate
        return Money(round(exact), currency or self.currency)

    def split(self, weights: Sequence[int]) -> tuple["Money", ...]:
        """Parts in proportion to `weights` that sum to exactly this amount.

        Largest remainder first, the earlier part where remainders tie. ValueError where weights
        are empty, negative, or all zero.
        """
        total = sum(weights)
        if total <= 0 or min(weights) < 0:
            raise ValueError("weights: at least one must be positive and none negative")
        sign = -1 if self.amount < 0 else 1
        size = abs(self.amount)
        parts = [size * weight // total for weight in weights]
        by_remainder = sorted(range(len(weights)), key=lambda i: (-(size * weights[i] % total), i))
        for i in by_remainder[: size - sum(parts)]:
            parts[i] += 1
        return tuple(Money(sign * part, self.currency) for part in parts)

    def to_decimal(self) -> Decimal:
        """The amount in major units, exact. ValueError for an unknown currency."""
        return Decimal(self.amount).scaleb(-exponent(self.currency))

    @classmethod
    def from_decimal(cls, major: Decimal, currency: str) -> Self:
        """Major units into minor ones, rounded half to even. ValueError for an unknown currency."""
        minor = major.scaleb(exponent(currency)).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
        return cls(int(minor), currency)

    def formatted(self) -> str:
        """The amount for people, such as `1,234.50 USD`, with Stripe's decimals of the currency.

        ISK and UGX are shown without decimals: Stripe keeps two for them that are always 00. An
        amount in a currency that the table does not know is told in minor units, and says so.
        """
        code = self.currency.upper()
        if self.currency not in CURRENCIES:
            return f"{self.amount:,} {code} (minor units)"
        major = self.to_decimal()
        if self.currency in _WHOLE and major == major.to_integral_value():
            major = major.quantize(Decimal(1))
        return f"{major:,f} {code}"

    def _same(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            raise ValueError(f"currency: {other.currency} does not mix with {self.currency}")
        return other
