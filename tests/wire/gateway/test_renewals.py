"""Renewals at Stripe, through the real SDK."""

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import stripe

from application.checkouts.renewals_at_stripe import NewRenewal
from domain.billing_cycles import Cycle, Interval
from domain.errors import InvalidArgument, NotFound, NotUnderstood
from domain.lapses import unpaid_since
from domain.mirror import Snapshot
from domain.money import Money
from domain.subscriptions import Subscription
from infrastructure.stripe.checkouts.renewals import StripeRenewals
from infrastructure.stripe.core.client import StripeApi
from sandbox.emulator.running import RunningEmulator
from tests.wire.gateway.conftest import MakeCall

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def shown(snapshot: Snapshot[Subscription] | None) -> Subscription:
    assert snapshot is not None
    assert snapshot.object is not None
    return snapshot.object


@pytest.fixture
def renewals(api: StripeApi) -> StripeRenewals:
    return StripeRenewals(api)


class Seller:
    """The seller's Stripe account as the SDK shows it."""

    def __init__(self, emulator: RunningEmulator, sdk: stripe.StripeClient, account: str) -> None:
        self.emulator, self.sdk = emulator, sdk.v1
        self.options: Any = {"stripe_account": account}
        self.start = dt.datetime(2026, 1, 31, 12, 0, 5, tzinfo=dt.UTC)

    async def order(self, card: str = "pm_card_visa", **other: Any) -> NewRenewal:
        """A renewal of what was bought just now, and its buyer with a card."""
        now = self.start + dt.timedelta(minutes=3)
        await self.emulator.control.set_clock(int(now.timestamp()))
        customer = (await self.sdk.customers.create_async({}, self.options)).id
        method = await self.sdk.payment_methods.attach_async(
            card, {"customer": customer}, self.options
        )
        product = await self.sdk.products.create_async({"name": "Number"}, self.options)
        made = NewRenewal(
            customer, product.id, Money(1_250, "usd"), Interval.MONTH, 1, method.id,
            Cycle(self.start, Interval.MONTH).renewal(now), "Number", {"billing_checkout": "co_1"},
        )  # fmt: skip
        return replace(made, **other)

    async def at(self, when: dt.datetime) -> None:
        await self.emulator.control.set_clock(int(when.timestamp()))


@pytest.fixture
async def seller(emulator: RunningEmulator, account: str) -> AsyncIterator[Seller]:
    async with emulator.sdk() as sdk:
        yield Seller(emulator, sdk, account)


async def test_nothing_is_charged_before_the_anchor(
    renewals: StripeRenewals, seller: Seller, call: MakeCall
) -> None:
    order = await seller.order()
    made = shown(await renewals.create(call(), order))
    assert (made.status, made.customer) == ("active", order.customer)
    assert made.metadata == {"billing_checkout": "co_1", "billing_request": "tag-one"}
    assert made.default_payment_method == order.payment_method
    (item,) = made.items
    assert (item.unit_amount, item.quantity, item.product) == (1_250, 1, order.product)
    end = Cycle(seller.start, Interval.MONTH).boundary(1)
    assert item.current_period_end == end == dt.datetime(2026, 2, 28, 12, 0, 5, tzinfo=dt.UTC)
    account = call().stripe_account
    for invoice in await renewals.invoices(account, made.id):
        assert (invoice.billing_reason, invoice.total.amount) == ("subscription_create", 0)
    await seller.at(end + 2 * HOUR)
    latest = (await renewals.invoices(account, made.id))[0]
    assert (latest.billing_reason, latest.status) == ("subscription_cycle", "paid")
    assert latest.amount_paid == Money(1_250, "usd")
    assert unpaid_since([latest], end + 2 * DAY) is None
    # The day comes back after the short month.
    renewed = await seller.sdk.subscriptions.retrieve_async(made.id, None, seller.options)
    next_end = renewed["items"].data[0].current_period_end
    assert next_end == Cycle(seller.start, Interval.MONTH).boundary(2).timestamp()


async def test_a_card_that_fails_leaves_an_unpaid_invoice(
    renewals: StripeRenewals, seller: Seller, call: MakeCall
) -> None:
    order = await seller.order("pm_card_chargeCustomerFail")
    made = shown(await renewals.create(call(), order))
    end = Cycle(seller.start, Interval.MONTH).boundary(1)
    await seller.at(end + 2 * HOUR)
    found = await renewals.invoices(call().stripe_account, made.id)
    since = unpaid_since(found, end + 2 * DAY)
    assert since is not None
    assert end <= since <= end + 2 * HOUR


async def test_other_intervals_are_anchored_by_an_instant(
    renewals: StripeRenewals, seller: Seller, call: MakeCall
) -> None:
    anchor = Cycle(seller.start, Interval.WEEK, 2).renewal(seller.start + HOUR)
    order = await seller.order(interval=Interval.WEEK, interval_count=2, anchor=anchor)
    (item,) = shown(await renewals.create(call(), order)).items
    assert item.current_period_end == seller.start + 14 * DAY


async def test_a_lost_answer_is_found_by_its_tag(
    renewals: StripeRenewals, seller: Seller, call: MakeCall
) -> None:
    order = await seller.order()
    before = seller.start
    assert await renewals.find_created(call(), order, before) is None
    made = shown(await renewals.create(call(), order))
    again = shown(await renewals.create(call(), order))
    assert again.id == made.id
    assert shown(await renewals.find_created(call(), order, before)).id == made.id
    assert await renewals.find_created(call("two"), order, before) is None


async def test_what_stripe_refuses_is_named(
    renewals: StripeRenewals, seller: Seller, call: MakeCall
) -> None:
    order = await seller.order()
    with pytest.raises(NotFound):
        await renewals.create(call("a"), replace(order, customer="cus_none"))
    past = replace(order.anchor, at=seller.start, day_of_month=None)
    with pytest.raises(InvalidArgument) as caught:
        await renewals.create(call("b"), replace(order, anchor=past))
    assert [violation.field for violation in caught.value.violations] == ["billing_cycle_anchor"]
    with pytest.raises(InvalidArgument):
        await renewals.create(call("c"), replace(order, product="prod_none"))


async def test_a_legacy_source_is_the_source(
    renewals: StripeRenewals, seller: Seller, call: MakeCall
) -> None:
    order = await seller.order()
    params: Any = {"source": "tok_visa"}
    card = await seller.sdk.customers.payment_sources.create_async(
        order.customer, params, seller.options
    )
    made = shown(await renewals.create(call(), replace(order, payment_method=card.id)))
    assert (made.default_source, made.default_payment_method) == (card.id, None)


async def test_an_odd_invoice_says_nothing_of_who_has_paid(
    renewals: StripeRenewals,
    seller: Seller,
    call: MakeCall,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = shown(await renewals.create(call(), await seller.order()))
    assert await renewals.invoices(call().stripe_account, made.id)

    def odd(*_: object) -> None:
        raise ValueError("it is odd")

    monkeypatch.setattr("infrastructure.stripe.checkouts.renewals._invoice", odd)
    with pytest.raises(NotUnderstood, match="it is odd"):
        await renewals.invoices(call().stripe_account, made.id)
