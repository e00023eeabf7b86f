"""Quotes in callers' hands: what is wrong with one is told at once, and a changed price anew."""

import datetime as dt

import pytest

from application.checkouts.quotes import Quotes
from domain.errors import FailedPrecondition, Reason
from domain.quotes import quote
from infrastructure.security.quotes import HmacQuotes
from tests.support.fakes.stores import FakeClock
from tests.support.rooms.store import ADD_ON, NOON, cart, terms


def quotes(clock: FakeClock | None = None, key: bytes = b"k" * 32) -> Quotes:
    return Quotes(HmacQuotes(key), clock or FakeClock(NOON))


LILYS = quote(terms(ADD_ON))


def test_a_quote_is_taken_for_15_minutes() -> None:
    clock = FakeClock(NOON)
    made = quotes(clock)
    signed = made.sign(LILYS)
    assert signed.expires_at == NOON + dt.timedelta(minutes=15)
    clock.advance(minutes=14, seconds=59)
    seal, violations = made.read(signed.text, "lily", cart())
    assert violations == []
    assert seal is not None
    made.check(seal, LILYS)
    clock.advance(seconds=1)
    _, violations = made.read(signed.text, "lily", cart())
    assert [violation.reason for violation in violations] == [Reason.QUOTE_EXPIRED]


def test_each_quote_has_an_id_of_its_own() -> None:
    made = quotes()
    assert made.sign(LILYS).text != made.sign(LILYS).text


def test_all_that_is_wrong_with_a_quote_is_told() -> None:
    clock = FakeClock(NOON)
    made = quotes(clock)
    text = made.sign(LILYS).text
    clock.advance(hours=1)
    for buyer, in_cart, told in (
        ("rose", cart("rose"), [Reason.QUOTE_FOREIGN, Reason.QUOTE_EXPIRED]),
        ("lily", None, [Reason.QUOTE_EXPIRED, Reason.WRONG_CART]),
    ):
        _, violations = made.read(text, buyer, in_cart)
        assert [violation.reason for violation in violations] == told
        assert {violation.field for violation in violations} == {"quote"}


@pytest.mark.parametrize("text", ["", "x", "A" * 112, "é" * 112, "A" * 10_000])
def test_what_nobody_signed_is_altered(text: str) -> None:
    seal, violations = quotes().read(text, "lily", cart())
    assert seal is None
    assert [violation.reason for violation in violations] == [Reason.QUOTE_ALTERED]


def test_another_deployments_quote_is_altered() -> None:
    text = quotes(key=b"o" * 32).sign(LILYS).text
    _, violations = quotes().read(text, "lily", cart())
    assert [violation.reason for violation in violations] == [Reason.QUOTE_ALTERED]


def test_a_changed_price_comes_with_a_new_quote() -> None:
    made = quotes()
    seal, _ = made.read(made.sign(LILYS).text, "lily", cart())
    assert seal is not None
    dearer = quote(terms(ADD_ON, multiplier="1.5"))
    with pytest.raises(FailedPrecondition) as caught:
        made.check(seal, dearer)
    assert caught.value.reason is Reason.PRICE_CHANGED
    metadata = caught.value.metadata
    assert (metadata["total"], metadata["currency"]) == ("1575", "usd")
    renewed, violations = made.read(metadata["quote"], "lily", cart())
    assert violations == []
    assert renewed is not None
    made.check(renewed, dearer)


def test_what_changed_for_the_seller_alone_changes_nothing() -> None:
    made = quotes()
    seal, _ = made.read(made.sign(LILYS).text, "lily", cart())
    assert seal is not None
    made.check(seal, quote(terms(ADD_ON, rate="0.5")))
