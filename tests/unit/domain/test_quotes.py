"""Quotes: what buyers pay, what it costs sellers, and what is signed of it."""

import datetime as dt
from dataclasses import fields, replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.carts import CartItem
from domain.errors import Reason
from domain.money import Money
from domain.quotes import (
    QUOTE_LIFETIME,
    BuyersLine,
    BuyersQuote,
    CostLeg,
    LinePart,
    Quote,
    quote,
    seal_refusal,
)
from domain.rebilling import cost, minor_units, of_lines, rebilled
from domain.store_products import Offer, StorePrice
from tests.support.rooms.store import (
    ADD_ON,
    LILY,
    LISTING,
    MAIN,
    NOON,
    NUMBER,
    OFFERS,
    PLAN,
    SETUP,
    item,
    terms,
)


def dollars(amount: int) -> Money:
    """So many cents."""
    return Money(amount, "usd")


def euros(amount: int) -> Money:
    """So many cents."""
    return Money(amount, "eur")


def told(made: Quote) -> tuple[Money, Money, Money, Money]:
    """What it comes to now and each period, for the buyer and for the seller."""
    return made.total, made.cost, made.renewal, made.renewal_cost


def test_a_one_off_is_rebilled_and_its_cost_is_held() -> None:
    made = quote(terms(ADD_ON, 3))
    # 3 x 10.50 = 31.50; x 1.25 = 39.375; x 0.92 = 28.98
    assert told(made) == (dollars(3_938), euros(2_898), dollars(0), euros(0))
    assert (made.leg, made.held, made.seller) == (CostLeg.WALLET, euros(2_898), "acme")


def test_numbers_cost_by_tiers_and_the_set_up_fee_once() -> None:
    made = quote(terms(NUMBER, 3))
    # 2 x 1.15 + 0.995 = 3.295; x 1.25 = 4.11875; x 0.92 = 3.0314
    assert [(line.part, line.amount, line.cost) for line in made.lines] == [
        (LinePart.ITEM, dollars(412), euros(303)),
        (LinePart.SETUP, dollars(625), euros(460)),
    ]
    assert told(made) == (dollars(1_037), euros(763), dollars(412), euros(303))


def test_a_listing_recurs_without_its_set_up_fee() -> None:
    made = quote(terms(LISTING))
    assert told(made) == (dollars(3_000), euros(2_208), dollars(2_375), euros(1_748))


def test_a_subscription_is_paid_by_the_parents_own() -> None:
    made = quote(terms(PLAN, 2))
    assert made.leg is CostLeg.SUBSCRIPTION
    assert told(made) == (dollars(12_250), dollars(9_800), dollars(12_250), dollars(9_800))
    assert (made.held, made.rate, made.stripe_price) == (dollars(0), "", "price_1")


@pytest.mark.parametrize("offer", OFFERS)
def test_a_main_account_buys_at_the_platforms_price_and_costs_nobody(offer: Offer) -> None:
    made = quote(terms(offer, buyer=MAIN))
    assert (made.leg, made.cost, made.held) == (CostLeg.NONE, dollars(0), dollars(0))
    assert made.seller is None
    assert made.total < quote(terms(offer)).total
    with pytest.raises(ValueError, match="multiplier"):
        quote(terms(offer, buyer=MAIN, multiplier="1.5"))


def test_an_amount_ends_as_stripe_charges_it() -> None:
    krona = Offer(ADD_ON.product, StorePrice("price_add_on", "prod_add_on", "isk", 100))
    made = quote(terms(krona, 1, rate="0.007"))
    assert made.total == Money(100, "isk"), "125 is nearer to 100 than to 200"
    assert rebilled(Fraction(150), "1", "isk") == Money(200, "isk")
    assert rebilled(Fraction(250), "1", "isk") == Money(200, "isk"), "half to even"


@given(
    st.fractions(0, 10**9, max_denominator=10**6), st.integers(10_000, 100_000),
    st.sampled_from(["usd", "jpy", "kwd", "isk"]),
)  # fmt: skip
def test_a_line_is_rounded_once_by_less_than_a_step(
    price: Fraction, ten_thousandths: int, currency: str
) -> None:
    multiplier = f"{ten_thousandths // 10_000}.{ten_thousandths % 10_000:04d}"
    exact = price * Fraction(ten_thousandths, 10_000)
    step = {"kwd": 10, "isk": 100}.get(currency, 1)
    paid = rebilled(price, multiplier, currency)
    assert paid.amount % step == 0
    assert 2 * abs(paid.amount - exact) <= step


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=5), st.data())
def test_a_part_is_told_apart_exactly(amounts: list[int], data: st.DataObject) -> None:
    lines = [dollars(amount) for amount in amounts]
    part = data.draw(st.integers(0, sum(amounts)))
    shares = of_lines(dollars(part), lines)
    assert sum(share.amount for share in shares) == part
    assert all(share <= line for share, line in zip(shares, lines, strict=True))


def test_what_is_no_part_and_no_cost() -> None:
    with pytest.raises(ValueError, match="amount"):
        of_lines(dollars(3), [dollars(1), dollars(1)])
    for rate, into in (("", "eur"), ("1", "usd"), ("-1", "eur"), ("x", "eur")):
        with pytest.raises(ValueError, match="rate"):
            cost(Fraction(1), "usd", rate, into)
    assert cost(Fraction(150), "usd", "150", "jpy") == Money(225, "jpy")
    for text in ("-1", "1e3", ""):
        with pytest.raises(ValueError, match="price"):
            minor_units(text, "usd")
    with pytest.raises(ValueError, match="multiplier"):
        rebilled(Fraction(1), "0.5", "usd")
    with pytest.raises(ValueError, match="negative"):
        rebilled(Fraction(-1), "1", "usd")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"number_price": None}, "number_price"),
        ({"item": CartItem("price_number", 1, "FR", "local")}, "number_price"),
        ({"setup_fee": None}, "setup_fee"),
        ({"setup_fee": Money(1, "eur")}, "setup_fee"),
        ({"rate": ""}, "rate"),
    ],
)
def test_without_a_price_there_is_no_sale(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        quote(terms(NUMBER, **changes))


@pytest.mark.parametrize("offer", OFFERS)
def test_the_buyer_sees_nothing_of_what_it_costs_the_seller(offer: Offer) -> None:
    made = quote(terms(offer))
    seen = made.buyers_view()
    assert (seen.total, seen.renewal) == (made.total, made.renewal)
    names = {field.name for of in (BuyersQuote, BuyersLine) for field in fields(of)}
    assert not names & {"cost", "multiplier", "margin", "rate", "leg", "stripe_price"}
    assert "1.25" not in str(seen)
    assert "0.92" not in str(seen)


def test_the_same_purchase_has_the_same_content_whatever_it_costs_the_seller() -> None:
    made = quote(terms(ADD_ON, 2))
    same = quote(terms(ADD_ON, 2, rate="0.99"))
    assert made.content_hash == same.content_hash
    others = [
        quote(terms(ADD_ON, 1)), quote(terms(ADD_ON, 2, multiplier="1.26")),
        quote(terms(ADD_ON, 2, stripe_account="acct_other")),
        quote(terms(ADD_ON, 2, buyer=replace(LILY, id="rose"))), quote(terms(LISTING)),
    ]  # fmt: skip
    assert len({each.content_hash for each in [made, *others]}) == len(others) + 1


def test_a_seal_is_one_buyers_of_one_item_for_a_quarter_of_an_hour() -> None:
    seal = quote(terms(ADD_ON, 2)).sealed("0" * 32, NOON)
    late = NOON + QUOTE_LIFETIME
    two = item(ADD_ON, 2)
    assert seal_refusal(seal, "lily", two, late - dt.timedelta(seconds=1)) == []
    assert seal_refusal(seal, "lily", two, late) == [Reason.QUOTE_EXPIRED]
    assert seal_refusal(seal, "lily", item(ADD_ON), NOON) == [Reason.WRONG_CART]
    assert seal_refusal(seal, "rose", item(ADD_ON), late) == [
        Reason.QUOTE_FOREIGN, Reason.QUOTE_EXPIRED
    ]  # fmt: skip
    assert SETUP.amount == 500
