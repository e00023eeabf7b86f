"""Money: Stripe's exponents, arithmetic within a currency, rounding and splitting."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.money import CURRENCIES, Money, charge_step, exponent, smallest_charge
from sandbox.emulator.core import currencies
from sandbox.emulator.core.errors import ApiError

AMOUNTS = st.integers(-(10**15), 10**15)


@pytest.mark.parametrize(
    ("currency", "decimals"),
    [
        ("usd", 2), ("eur", 2), ("huf", 2), ("twd", 2),
        ("isk", 2), ("ugx", 2),  # without decimals in ISO 4217, with two in Stripe's API
        *((code, 0) for code in "bif clp djf gnf jpy kmf krw mga pyg rwf".split()),
        *((code, 0) for code in "vnd vuv xaf xof xpf".split()),
        *((code, 3) for code in "bhd jod kwd omr tnd".split()),
    ],
)  # fmt: skip
def test_exponents_are_stripes(currency: str, decimals: int) -> None:
    assert exponent(currency) == decimals


@pytest.mark.parametrize(
    ("currency", "step"),
    [("usd", 1), ("jpy", 1), ("isk", 100), ("ugx", 100), ("kwd", 10), ("tnd", 10)],
)
def test_charge_steps(currency: str, step: int) -> None:
    assert charge_step(currency) == step


def test_every_currency_has_an_exponent_and_a_step_that_fits_it() -> None:
    for currency in CURRENCIES:
        assert exponent(currency) in (0, 2, 3)
        assert 10 ** exponent(currency) % charge_step(currency) == 0


@pytest.mark.parametrize("currency", ["USD", "xxx", "", "us"])
def test_unknown_currencies_have_no_exponent(currency: str) -> None:
    with pytest.raises(ValueError, match="unknown currency"):
        exponent(currency)
    with pytest.raises(ValueError, match="unknown currency"):
        charge_step(currency)


@pytest.mark.parametrize("currency", ["USD", "us", "usdx", "", "u1d", "ußd"])
def test_a_currency_is_three_lower_case_letters(currency: str) -> None:
    with pytest.raises(ValueError, match="currency"):
        Money(1, currency)


@pytest.mark.parametrize("amount", [1.0, True, "1", Decimal(1), None])
def test_an_amount_is_an_integer(amount: object) -> None:
    with pytest.raises(ValueError, match="amount"):
        Money(amount, "usd")  # type: ignore[arg-type]  # what callers may not do


def test_a_currency_that_nobody_knows_yet_is_kept() -> None:
    money = Money(5, "zzz")
    assert money + money == Money(10, "zzz")
    with pytest.raises(ValueError, match="unknown currency"):
        money.to_decimal()


def test_arithmetic() -> None:
    one, two = Money(100, "usd"), Money(250, "usd")
    assert one + two == Money(350, "usd")
    assert one - two == Money(-150, "usd")
    assert -one == Money(-100, "usd")
    assert one < two
    assert one <= two
    assert two > one
    assert two >= one
    assert one
    assert not Money.zero("usd")


@pytest.mark.parametrize(
    "mix",
    [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a < b,
        lambda a, b: a <= b,
        lambda a, b: a > b,
    ],
)
def test_currencies_do_not_mix(mix: object) -> None:
    with pytest.raises(ValueError, match="does not mix"):
        mix(Money(1, "usd"), Money(1, "eur"))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("amount", "rate", "rounded"),
    [
        (1, Fraction(1, 2), 0), (3, Fraction(1, 2), 2), (5, Fraction(1, 2), 2),
        (-1, Fraction(1, 2), 0), (-3, Fraction(1, 2), -2), (7, Fraction(1, 3), 2),
    ],
)  # fmt: skip
def test_a_rate_rounds_half_to_even(amount: int, rate: Fraction, rounded: int) -> None:
    assert Money(amount, "usd").times(rate) == Money(rounded, "usd")


def test_a_rate_may_convert() -> None:
    assert Money(1_000, "usd").times(Fraction(15, 100), "jpy") == Money(150, "jpy")


@given(AMOUNTS, st.fractions(0, 1_000))
def test_a_rate_is_never_off_by_more_than_a_half(amount: int, rate: Fraction) -> None:
    assert abs(Money(amount, "usd").times(rate).amount - amount * rate) <= Fraction(1, 2)


@given(AMOUNTS, st.lists(st.integers(0, 10**9), min_size=1, max_size=12).filter(any))
def test_a_split_loses_nothing(amount: int, weights: list[int]) -> None:
    parts = [part.amount for part in Money(amount, "usd").split(weights)]
    assert sum(parts) == amount
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(amount * weight, sum(weights))) < 1
        assert part * amount >= 0  # no part has the other sign
        if weight == 0:
            assert part == 0


def test_the_largest_remainder_goes_first_and_the_earlier_on_a_tie() -> None:
    assert [p.amount for p in Money(100, "usd").split([1, 1, 1])] == [34, 33, 33]
    assert [p.amount for p in Money(-100, "usd").split([1, 1, 1])] == [-34, -33, -33]
    assert [p.amount for p in Money(10, "usd").split([1, 5, 1])] == [2, 7, 1]


@pytest.mark.parametrize("weights", [[], [0], [0, 0], [-1, 2], [3, -1]])
def test_weights_that_split_nothing(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        Money(100, "usd").split(weights)


@pytest.mark.parametrize(
    ("major", "currency", "minor"),
    [
        ("12.34", "usd", 1234), ("0.005", "usd", 0), ("0.015", "usd", 2), ("1.2345", "kwd", 1234),
        ("1.5", "jpy", 2), ("2.5", "jpy", 2), ("7", "isk", 700), ("-0.015", "usd", -2),
    ],
)  # fmt: skip
def test_major_units_round_half_to_even(major: str, currency: str, minor: int) -> None:
    assert Money.from_decimal(Decimal(major), currency) == Money(minor, currency)


@given(AMOUNTS, st.sampled_from(sorted(CURRENCIES)))
def test_major_units_and_back(amount: int, currency: str) -> None:
    money = Money(amount, currency)
    assert Money.from_decimal(money.to_decimal(), currency) == money


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [
        (123_450, "usd", "1,234.50 USD"),
        (5, "eur", "0.05 EUR"),
        (-123_450, "usd", "-1,234.50 USD"),
        (1_234_567, "jpy", "1,234,567 JPY"),
        (1_234_560, "kwd", "1,234.560 KWD"),
        (123_400, "isk", "1,234 ISK"),
        (123_450, "ugx", "1,234.50 UGX"),
        (123_450, "zzz", "123,450 ZZZ (minor units)"),
        (10**20, "usd", "1,000,000,000,000,000,000.00 USD"),
    ],
)
def test_amounts_for_people(amount: int, currency: str, words: str) -> None:
    assert Money(amount, currency).formatted() == words


@pytest.mark.parametrize("currency", sorted(CURRENCIES))
def test_the_emulator_charges_from_the_same_amount_on(currency: str) -> None:
    least = smallest_charge(currency)
    currencies.check_amount(least, currency)
    with pytest.raises(ApiError):
        currencies.check_amount(least - charge_step(currency), currency)
