"""What came of a request that was sent is learnt, or it is unknown: never "nothing was sent"."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import stripe

from application.customers.ports import CustomerDeletion, CustomerFields
from application.invoices.ports import (
    InvoiceAction,
    InvoiceChange,
    InvoiceFields,
    InvoiceItemFields,
)
from application.mutations.stripe import Unanswered
from application.payment_methods.ports import CustomersMethod
from application.subscriptions.ports import Cancellation, NewItem, NewSubscription
from domain.errors import FailedPrecondition, Reason
from domain.invoices import Invoice
from infrastructure.stripe.core import send as mutations
from infrastructure.stripe.core.client import StripeApi
from infrastructure.stripe.customers.gateway import StripeCustomers
from infrastructure.stripe.payment_methods.gateway import StripePaymentMethods
from infrastructure.stripe.subscriptions.gateway import StripeSubscriptions
from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import RunningEmulator
from tests.support.rooms.invoices_at_stripe import Drawer, Merchant, lines, now, shown
from tests.wire.gateway.conftest import MakeCall

Removal = Callable[[], Awaitable[object]]


async def removal(
    noun: str, api: StripeApi, drawer: Drawer, merchant: Merchant, call: MakeCall
) -> Removal:
    """A request that Stripe gives no idempotency key for, on something that is there."""
    match noun:
        case "invoice":
            draft = InvoiceAction((await drawer.draft()).id)
            return lambda: drawer.invoices.delete(call("remove"), draft)
        case "subscription":
            price = await merchant.price(recurring={"interval": "month"})
            subscriptions = StripeSubscriptions(api)
            wanted = NewSubscription(drawer.customer, (NewItem(price.id),))
            made = await subscriptions.create(call(), wanted)
            return lambda: subscriptions.cancel(call("remove"), Cancellation(made.id))
        case "customer":
            customers = StripeCustomers(api)
            gone = CustomerDeletion((await customers.create(call(), CustomerFields())).id)
            return lambda: customers.delete(call("remove"), gone)
        case _:
            source = await merchant.v1.customers.payment_sources.create_async(
                drawer.customer, {"source": "tok_visa"}, merchant.options
            )
            card = CustomersMethod(drawer.customer, source.id)
            return lambda: StripePaymentMethods(api).detach(call("remove"), card)


@pytest.mark.parametrize("status", [429, 500])
@pytest.mark.parametrize("noun", ["invoice", "subscription", "customer", "source"])
async def test_a_removal_whose_answer_is_lost_is_never_forgotten(
    api: StripeApi, emulator: RunningEmulator, drawer: Drawer, merchant: Merchant,
    call: MakeCall, noun: str, status: int,
) -> None:  # fmt: skip
    remove = await removal(noun, api, drawer, merchant, call)
    await emulator.control.add_fault(FaultSpec(kind="drop_after", method="DELETE"))
    # The second try is a 404, and what that means cannot be asked just then.
    await emulator.control.add_fault(FaultSpec(kind="fail", status=status, method="GET", count=3))
    with pytest.raises(Unanswered):
        await remove()
    await remove()  # as recovery would: it is found done


async def test_a_cancellation_finds_its_end_in_whatever_ended_it(
    api: StripeApi, call: MakeCall, merchant: Merchant, emulator: RunningEmulator
) -> None:
    """One whose first invoice was never paid does not become `canceled`."""
    price = await merchant.price(recurring={"interval": "month"})
    poor = await merchant.customer("pm_card_chargeCustomerFail")
    gateway = StripeSubscriptions(api)
    order = NewSubscription(poor, (NewItem(price.id),), payment_behavior="allow_incomplete")
    wanted = Cancellation((await gateway.create(call(), order)).id)
    assert await gateway.find_canceled(call("two"), wanted, now()) is None
    await emulator.control.advance_clock(2 * 86_400)
    for found in (
        await gateway.cancel(call("two"), wanted),
        await gateway.find_canceled(call("two"), wanted, now()),
    ):
        assert found is not None
        assert found.object is not None
        assert found.object.status == "incomplete_expired"


async def test_what_was_done_is_told_though_the_rest_of_it_cannot_be_read(
    drawer: Drawer, call: MakeCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is revoked between a request and the reading of its long list of lines."""
    draft = await drawer.empty()
    items = tuple(InvoiceItemFields(description=f"{n}", unit_amount=1) for n in range(30))

    async def revoked(*_: Any) -> None:
        raise FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "no access any more")

    monkeypatch.setattr(mutations, "read", revoked)
    told = await drawer.invoices.add_lines(call("lines"), lines(draft.id, *items))
    assert told.object is not None
    assert (told.object.total.amount, told.unknown) == (30, frozenset({"lines"}))
    with pytest.raises(Unanswered):
        await drawer.invoices.add_lines(call("lines"), lines(draft.id, *items))


async def methods(drawer: Drawer, merchant: Merchant) -> tuple[str, str]:
    """The ids of a payment method and of a legacy source of the customer's."""
    listed: stripe.ListObject[Any] = await merchant.v1.customers.payment_methods.list_async(
        drawer.customer, options=merchant.options
    )
    source = await merchant.v1.customers.payment_sources.create_async(
        drawer.customer, {"source": "tok_mastercard"}, merchant.options
    )
    return listed.data[0].id, source.id


def charged(invoice: Invoice) -> tuple[str | None, str | None]:
    return invoice.default_payment_method, invoice.default_source


async def test_what_a_draft_is_charged_to_is_replaced_whatever_its_kind(
    drawer: Drawer, merchant: Merchant, call: MakeCall
) -> None:
    method, source = await methods(drawer, merchant)
    draft = await drawer.empty()
    for name, wanted, shows in (
        ("one", method, (method, None)),
        ("two", source, (None, source)),
        ("three", method, (method, None)),
        ("four", source, (None, source)),
        ("five", "", (None, None)),
    ):
        change = InvoiceChange(draft.id, InvoiceFields(default_payment_method=wanted))
        assert charged(shown(await drawer.invoices.update(call(name), change))) == shows
