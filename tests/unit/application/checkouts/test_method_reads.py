"""Payment methods of a purchase: as Stripe shows them, or as they were a moment ago."""

from dataclasses import replace
from typing import Any
from unittest.mock import create_autospec

from application.checkouts.paying import AskedMethods, MethodReads
from application.checkouts.remembered_methods import RememberedMethods
from application.mirror.nouns import CUSTOMERS
from application.payment_intents.ports import PaymentIntentGateway
from application.payment_methods.ports import CustomersMethod, PaymentMethodGateway
from domain.customers import Customer
from domain.errors import NotFound
from domain.mirror import Snapshot, Version
from domain.payment_methods import PaymentMethod
from tests.support.fakes.stores import FakeClock, FakeMirror
from tests.support.rooms.store import NOON

PLACE = "acct_acme"
CARD = PaymentMethod("pm_1", "card", "cus_lily")


def gateways() -> tuple[Any, Any, AskedMethods]:
    payments = create_autospec(PaymentIntentGateway, instance=True)
    methods = create_autospec(PaymentMethodGateway, instance=True)
    return payments, methods, AskedMethods(payments, methods)


async def test_the_buyers_own_and_nobodys_are_read_and_no_others() -> None:
    payments, _, reads = gateways()
    for owner, customer, usable in (
        ("cus_lily", "cus_lily", True), (None, "cus_lily", True), (None, "", True),
        ("cus_rose", "cus_lily", False), ("cus_rose", "", False),
    ):  # fmt: skip
        method = replace(CARD, customer=owner)
        payments.method.return_value = method
        assert await reads.read(PLACE, customer, "pm_1") == (method if usable else None)
    payments.method.side_effect = NotFound("payment_method", "pm_1")
    assert await reads.read(PLACE, "cus_lily", "pm_1") is None


async def test_those_of_before_payment_methods_are_read_at_their_customer() -> None:
    _, methods, reads = gateways()
    card = PaymentMethod("card_1", "card", "cus_lily")
    methods.read.return_value = card
    assert await reads.read(PLACE, "cus_lily", "card_1") == card
    methods.read.assert_awaited_with(PLACE, CustomersMethod("cus_lily", "card_1"))
    assert await reads.read(PLACE, "", "card_1") is None
    methods.read.side_effect = NotFound("payment_method", "card_1")
    assert await reads.read(PLACE, "cus_lily", "card_1") is None


async def test_a_customer_that_is_gone_has_no_default() -> None:
    _, methods, reads = gateways()
    methods.default_of.return_value = "pm_1"
    assert await reads.default_of(PLACE, "cus_lily") == "pm_1"
    methods.default_of.side_effect = NotFound("customer", "cus_lily")
    assert await reads.default_of(PLACE, "cus_lily") == ""


async def remembered(default: str | None) -> tuple[Any, RememberedMethods, FakeClock]:
    reads, mirror, clock = create_autospec(MethodReads, instance=True), FakeMirror(), FakeClock()
    customer = Customer("cus_lily", NOON, default_payment_method=default)
    snapshot = Snapshot(PLACE, customer.id, Version.of_event(1), customer)
    await mirror.replace(CUSTOMERS, [(snapshot, 0)])
    reads.read.return_value = CARD
    reads.default_of.return_value = "pm_2"
    return reads, RememberedMethods(reads, mirror, clock), clock


async def test_the_mirrors_default_counts_while_it_is_there() -> None:
    reads, methods, _ = await remembered("pm_1")
    assert await methods.default_of(PLACE, "cus_lily") == "pm_1"
    reads.default_of.assert_not_awaited()
    reads, methods, _ = await remembered("pm_1")
    reads.read.return_value = None
    assert await methods.default_of(PLACE, "cus_lily") == "pm_2"


async def test_where_the_mirror_shows_none_stripe_is_asked() -> None:
    _, methods, _ = await remembered(None)
    assert await methods.default_of(PLACE, "cus_lily") == "pm_2"
    assert await methods.default_of(PLACE, "cus_unknown") == "pm_2"


async def test_a_method_is_remembered_for_a_minute_of_this_customer_and_place() -> None:
    reads, methods, clock = await remembered(None)
    for _ in range(3):
        assert await methods.read(PLACE, "cus_lily", "pm_1") == CARD
    assert reads.read.await_count == 1
    await methods.read(PLACE, "cus_rose", "pm_1")
    await methods.read("acct_globex", "cus_lily", "pm_1")
    assert reads.read.await_count == 3
    clock.advance(seconds=60)
    await methods.read(PLACE, "cus_lily", "pm_1")
    assert reads.read.await_count == 4


async def test_what_is_not_there_is_not_remembered() -> None:
    reads, methods, _ = await remembered(None)
    reads.read.return_value = None
    for _ in range(2):
        assert await methods.read(PLACE, "cus_lily", "pm_1") is None
    assert reads.read.await_count == 2
