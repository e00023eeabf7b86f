"""Stripe's currencies: minor units, least amounts, conversion (docs, "Supported currencies")."""

from collections.abc import Mapping
from typing import Final

from sandbox.emulator.core.errors import invalid

PRESENTMENT: Final = frozenset(
    """
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd
    cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq
    gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd
    lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk
    php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs tnd top
    try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw
    """.split()
)

_ZERO_DECIMALS: Final = frozenset(
    "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split()
)
_THREE_DECIMALS: Final = frozenset("bhd jod kwd omr tnd".split())

_STEPS: Final = {**dict.fromkeys(_THREE_DECIMALS, 10), "isk": 100, "ugx": 100}
"""Amounts must be a multiple: three-decimal ones are rounded to the ten, and the two currencies
without minor units that Stripe still writes with two decimals must end in 00."""

_LEAST: Final = {
    "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
    "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200,
    "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
}  # fmt: skip

_MOST: Final = 99_999_999
_MOST_OF: Final = {"idr": 999_999_999_999, "cop": 9_999_999_999, "inr": 999_999_999}
"""The largest amounts of a payment: eight digits, but for these."""

_RATE_SCALE: Final = 1_000_000
_PER_USD: Final = {
    "usd": 1_000_000, "eur": 920_000, "gbp": 790_000, "cad": 1_370_000, "aud": 1_520_000,
    "chf": 880_000, "jpy": 150_000_000, "inr": 84_000_000, "mxn": 18_000_000, "sek": 10_500_000,
}  # fmt: skip
"""Rates at first, in millionths of a major unit for one dollar; any other currency counts as 1."""


def exponent(currency: str) -> int:
    """Digits of the minor unit as Stripe writes amounts: ISK and UGX have two there, MGA none."""
    if currency in _ZERO_DECIMALS:
        return 0
    return 3 if currency in _THREE_DECIMALS else 2


def least(currency: str) -> int:
    """The least amount of a payment, in minor units."""
    return _LEAST.get(currency, 1)


def check_amount(amount: int, currency: str, param: str = "amount") -> None:
    """ApiError 400 unless `amount` minor units can be charged in `currency`."""
    step = _STEPS.get(currency, 1)
    if amount % step:
        raise invalid(
            f"Invalid amount: amounts in {currency} must be a multiple of {step}.",
            param,
            "parameter_invalid_integer",
        )
    if amount < least(currency):
        raise invalid(
            f"Amount must be at least {least(currency)} {currency} in minor units",
            param,
            "amount_too_small",
        )
    most = _MOST_OF.get(currency, _MOST)
    if amount > most:
        raise invalid(f"Amount must be no more than {most} minor units", param, "amount_too_large")


def check_price(amount: int, currency: str, param: str) -> None:
    """ApiError 400 unless a price can be `amount` minor units, which may be less than a payment."""
    step = _STEPS.get(currency, 1)
    if amount % step:
        message = f"Invalid amount: amounts in {currency} must be a multiple of {step}."
        raise invalid(message, param, "parameter_invalid_integer")
    most = _MOST_OF.get(currency, _MOST)
    if amount > most:
        message = f"This value must be less than or equal to {most}."
        raise invalid(message, param, "parameter_invalid_integer")


def converted(
    amount: int, currency: str, into: str, rates: Mapping[str, int]
) -> tuple[int, str | None]:
    """`amount` in minor units of `into`, rounded half to even, and the rate as decimal text.

    rates: of currencies that cost another price by now, in millionths for one dollar. The rate is
    None within a currency.
    """
    if currency == into:
        return amount, None
    numerator = _per_usd(into, rates) * 10 ** exponent(into)
    denominator = _per_usd(currency, rates) * 10 ** exponent(currency)
    millionths = numerator * _RATE_SCALE // denominator
    rate = f"{millionths // _RATE_SCALE}.{millionths % _RATE_SCALE:06d}"
    return divided_half_even(amount * numerator, denominator), rate


def millionths(rate: str) -> int:
    """A rate as it is kept; ValueError for what is no positive decimal of six places."""
    whole, _, fraction = rate.partition(".")
    if not (whole + fraction).isdecimal() or len(fraction) > 6:
        raise ValueError(f"{rate} is no rate")
    kept = int(whole or "0") * _RATE_SCALE + int(fraction.ljust(6, "0"))
    if kept == 0:
        raise ValueError("a rate is above zero")
    return kept


def _per_usd(currency: str, rates: Mapping[str, int]) -> int:
    return rates.get(currency) or _PER_USD.get(currency, _RATE_SCALE)


def divided_half_even(numerator: int, denominator: int) -> int:
    """The quotient, rounded half to even; the denominator is positive."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and quotient % 2):
        return quotient + 1
    return quotient
