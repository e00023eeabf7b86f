"""The store and quotes on the wire: every value has its name, and buyers see no cost."""

import pytest
from billing_client.v1 import checkout_service_pb2 as pb

from domain.billing_cycles import Interval
from domain.carts import CartItem
from domain.phone_numbers import NumberKind
from domain.quotes import quote
from domain.store_products import Offer, ProductKind
from interfaces.grpc.checkouts import mapping
from tests.support.rooms.store import ADD_ON, NUMBER, OFFERS, PLAN, item, terms


def test_every_value_has_its_name_in_the_contract() -> None:
    for names, values, enum in (
        (mapping.KINDS, ProductKind, pb.StoreProductKind),
        (mapping.NUMBER_KINDS, NumberKind, pb.NumberKind),
        (mapping.INTERVALS, Interval, pb.StoreInterval),
    ):
        assert {*names} == {*values}
        assert {*names.values()} == {*enum.values()} - {0}


@pytest.mark.parametrize("offer", OFFERS)
def test_an_item_comes_back_as_it_was_sent(offer: Offer) -> None:
    wanted = item(offer, 3)
    assert mapping.read_item(mapping.item_message(wanted)) == wanted


def test_what_is_no_kind_is_told_with_everything_else() -> None:
    read = mapping.read_item(pb.CartItem(price="p", quantity=-1, number_kind=77))  # type: ignore[arg-type]
    assert read == CartItem("p", -1, "", "unknown")


def test_a_buyers_quote() -> None:
    made = quote(terms(NUMBER, 3))
    message = mapping.quote_message(made.buyers_view())
    assert [(line.part, line.amount.amount) for line in message.lines] == [
        ("item", 412), ("setup", 625),
    ]  # fmt: skip
    assert (message.total.amount, message.renewal.amount) == (1_037, 412)
    assert (message.interval, message.interval_count) == (pb.STORE_INTERVAL_MONTH, 1)
    assert not message.HasField("sellers_view")
    once = mapping.quote_message(quote(terms(ADD_ON)).buyers_view())
    assert not once.HasField("renewal")
    assert once.interval == pb.STORE_INTERVAL_UNSPECIFIED


def test_a_sellers_view() -> None:
    view = mapping.sellers_view_message(quote(terms(NUMBER, 3)))
    assert (view.cost.amount, view.cost.currency, view.renewal_cost.amount) == (763, "eur", 303)
    assert (view.paid_by, view.multiplier, view.rate) == ("wallet", "1.25", "0.92")
    assert mapping.sellers_view_message(quote(terms(PLAN))).paid_by == "subscription"
