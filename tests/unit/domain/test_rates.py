"""Exchange rates: exact products, one rounding, and parts that sum."""

import datetime as dt
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.rates import Place, Rate, converted, is_rate, read_date

DAY = dt.date(2026, 1, 31)
NEXT = dt.date(2026, 2, 1)


@pytest.mark.parametrize("text", ["1", "0.000000000001", "999999999999.999999999999", "01.10"])
def test_a_rate(text: str) -> None:
    assert is_rate(text)
    assert Rate(DAY, "eur", text).value == Fraction(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "0", "0.0", "-1", "+1", "1e3", ".5", "1.", "1,5", " 1", "1\n", "NaN", "Infinity",
        "\u0661", "1_000", "1234567890123", "1.1234567890123",
    ],
)  # fmt: skip
def test_what_is_no_rate(text: str) -> None:
    assert not is_rate(text)
    with pytest.raises(ValueError, match="rate: "):
        Rate(DAY, "eur", text)


@pytest.mark.parametrize(
    "text",
    ["", "2026-1-31", "2026-02-30", "20260131", "1969-12-31", "2201-01-01", "2026-W01-1", "today"],
)
def test_what_is_no_day(text: str) -> None:
    with pytest.raises(ValueError, match="a day such as"):
        read_date(text)


def test_a_rate_is_of_a_currency_and_a_day_that_there_are() -> None:
    assert read_date("2024-02-29") == dt.date(2024, 2, 29)
    with pytest.raises(ValueError, match="currency"):
        Rate(DAY, "EUR", "1")
    with pytest.raises(ValueError, match="date"):
        Rate(dt.date(2201, 1, 1), "eur", "1")


@pytest.mark.parametrize(
    ("base", "amount", "currency", "rate", "total"),
    [
        ("usd", 1_000, "eur", "1.0842", 1_084),
        ("usd", 1_000, "jpy", "0.0067", 670),  # yen have no decimals, dollars two
        ("usd", 1_000, "kwd", "3.25", 325),  # dinars have three
        ("jpy", 1_000, "usd", "149.5", 1_495),
        ("usd", 5, "eur", "0.5", 2),  # 2.5, half to even
        ("usd", 7, "eur", "0.5", 4),
        ("usd", -5, "eur", "0.5", -2),
        ("usd", 3, "usd", "9", 3),  # the base currency needs no rate
    ],
)
def test_a_sum(base: str, amount: int, currency: str, rate: str, total: int) -> None:
    rates = {(DAY, currency): Fraction(rate)}
    assert converted([{(DAY, currency): amount}], rates, base).amounts == (total,)


def test_products_are_rounded_once() -> None:
    rates = {(DAY, "eur"): Fraction("0.4"), (NEXT, "eur"): Fraction("0.4")}
    # 0.4 + 0.4 + 0.4 are 1.2: three roundings would give nothing.
    days = {(DAY, "eur"): 1, (NEXT, "eur"): 2}
    assert converted([days], rates, "usd").amounts == (1,)
    assert converted([{(DAY, "eur"): 1}, {(NEXT, "eur"): 2}], rates, "usd").amounts == (0, 1)


def test_a_missing_rate_leaves_no_total_and_is_named() -> None:
    rates = {(DAY, "eur"): Fraction(1)}
    parts: list[dict[Place, int]] = [
        {(DAY, "eur"): 1, (NEXT, "eur"): 0},  # nothing needs no rate
        {(DAY, "jpy"): 1, (NEXT, "jpy"): 1, (NEXT, "gbp"): 1},
    ]
    found = converted(parts, rates, "usd")
    assert (found.amounts, found.missing) == (None, ("gbp", "jpy"))
    assert converted(parts[:1], rates, "usd").amounts == (1,)
    assert converted([], rates, "usd").amounts == ()


_PLACES = st.tuples(st.sampled_from([DAY, NEXT]), st.sampled_from(["eur", "jpy", "kwd", "usd"]))
_VALUES = st.fractions(Fraction(1, 10**6), 10**4, max_denominator=10**6)


@given(
    parts=st.lists(st.dictionaries(_PLACES, st.integers(-(10**15), 10**15)), max_size=8),
    rates=st.fixed_dictionaries(
        {(day, code): _VALUES for day in (DAY, NEXT) for code in ("eur", "jpy", "kwd")}
    ),
)
def test_parts_sum_to_the_rounded_sum_and_none_is_off_by_one(
    parts: list[dict[Place, int]], rates: dict[Place, Fraction]
) -> None:
    minor = {"eur": Fraction(1), "jpy": Fraction(100), "kwd": Fraction(1, 10), "usd": Fraction(1)}
    exact = [
        sum(
            (amount * rates.get(at, Fraction(1)) * minor[at[1]] for at, amount in part.items()),
            Fraction(0),
        )
        for part in parts
    ]
    amounts = converted(parts, rates, "usd").amounts
    assert amounts is not None
    assert sum(amounts) == round(sum(exact, Fraction(0)))
    assert all(abs(amount - each) < 1 for amount, each in zip(amounts, exact, strict=True))
