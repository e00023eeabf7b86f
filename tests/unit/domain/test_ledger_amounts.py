"""Exact prices: rounded once, and carried."""

import pytest

from domain.ledger_amounts import MAX_EXACT, MILLION, exact_price, is_price, posted, share


@pytest.mark.parametrize(
    ("price", "quantity", "currency", "multiplier", "exact"),
    [
        ("0.0079", 1, "usd", "1", 790_000),
        ("0.0079", 3, "usd", "1.25", 2_962_500),
        ("1", 1, "jpy", "1", MILLION),
        ("1.5", 2, "kwd", "1", 3_000 * MILLION),
        ("0", 5, "usd", "10", 0),
        ("0.000000005", 1, "usd", "1", 0),
        ("0.000000015", 1, "usd", "1", 2),
        ("0.000000005", 3, "usd", "1", 2),
    ],
)
def test_a_price_is_rounded_once_half_to_even(
    price: str, quantity: int, currency: str, multiplier: str, exact: int
) -> None:
    assert exact_price(price, quantity, currency, multiplier) == exact


@pytest.mark.parametrize("price", ["", "-1", "1e3", "1.", ".5", "1,5", "0x1", "nan", "1" * 13])
def test_what_is_no_price(price: str) -> None:
    assert not is_price(price)
    with pytest.raises(ValueError, match="price"):
        exact_price(price, 1, "usd")


@pytest.mark.parametrize(
    ("price", "quantity", "currency"), [("1", 0, "usd"), ("1", -1, "usd"), ("1", 1, "xxx"),
                                        ("999999999999", 2, "usd")]
)  # fmt: skip
def test_what_is_out_of_range(price: str, quantity: int, currency: str) -> None:
    with pytest.raises(ValueError, match=r"quantity|currency|price"):
        exact_price(price, quantity, currency)


def test_the_largest_price_fits() -> None:
    assert exact_price("999999999", 10, "usd") < MAX_EXACT < 2**63


@pytest.mark.parametrize(
    ("carry", "exact", "amount", "left"),
    [
        (0, 0, 0, 0), (0, 999_999, 0, 999_999), (999_999, 1, 1, 0), (0, -1, -1, 999_999),
        (500_000, -500_000, 0, 0), (1, -MILLION, -1, 1), (999_999, 1_999_999, 2, 999_998),
    ],
)  # fmt: skip
def test_what_is_posted_is_the_floor(carry: int, exact: int, amount: int, left: int) -> None:
    assert posted(carry, exact) == (amount, left)


def test_shares_are_rounded_half_to_even() -> None:
    assert [share(5, part, 10) for part in range(11)] == [0, 0, 1, 2, 2, 2, 3, 4, 4, 4, 5]
