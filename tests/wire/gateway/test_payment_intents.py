"""Payment intents at Stripe, through the real SDK."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
import stripe

from application.mutations.stripe import REQUEST_TAG, Call, Unanswered
from application.payment_intents.ports import Confirmation, NewPayment, Payment
from domain.errors import InvalidArgument, NotFound, Unavailable
from domain.money import Money
from infrastructure.stripe.core.client import StripeApi
from infrastructure.stripe.payment_intents.gateway import StripePaymentIntents
from sandbox.emulator.core.grants import CLIENT_ID
from sandbox.emulator.core.messages import AccountSpec, FaultSpec
from sandbox.emulator.running import RunningEmulator
from tests.wire.gateway.conftest import MakeCall

CREATE = "POST /v1/payment_intents"
USD = Money(2_000, "usd")
LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def payments(api: StripeApi) -> StripePaymentIntents:
    return StripePaymentIntents(api, CLIENT_ID)


async def payer(emulator: RunningEmulator, account: str, card: str = "visa") -> tuple[str, str]:
    """A customer, and its payment method."""
    async with emulator.sdk() as sdk:
        options: stripe.RequestOptions = {"stripe_account": account}
        customer = await sdk.v1.customers.create_async({"name": "Ada"}, options)
        method = await sdk.v1.payment_methods.attach_async(
            f"pm_card_{card}", {"customer": customer.id}, options
        )
    return customer.id, method.id


@pytest.fixture
async def order(emulator: RunningEmulator, account: str) -> NewPayment:
    customer, method = await payer(emulator, account)
    return NewPayment(customer, method, USD, "Credit", {"reload": "r"})


async def made(payments: StripePaymentIntents, call: Call, order: NewPayment) -> Payment:
    payment = await payments.create(call, order)
    assert (payment.status, payment.received) == ("requires_confirmation", Money(0, "usd"))
    return payment


async def test_it_is_made_first_and_paid_when_it_is_confirmed(
    payments: StripePaymentIntents, call: MakeCall, order: NewPayment, account: str,
    emulator: RunningEmulator,
) -> None:  # fmt: skip
    payment = await made(payments, call(), order)
    assert (payment.application, payment.livemode) == (CLIENT_ID, False)
    paid = await payments.confirm(call("confirm"), Confirmation(payment.id, order.payment_method))
    assert (paid.status, paid.received, paid.customer) == ("succeeded", USD, order.customer)
    assert paid.charge.startswith("ch_")
    standing, secret = await payments.read(account, payment.id)
    assert (standing, secret.startswith(payment.id)) == (paid, True)
    assert secret not in repr(standing)
    async with emulator.sdk() as sdk:
        shown = await sdk.v1.payment_intents.retrieve_async(
            payment.id, None, {"stripe_account": account}
        )
    assert shown.metadata.to_dict() == {"reload": "r", REQUEST_TAG: "tag-one"}


async def test_the_same_key_is_one_payment(
    payments: StripePaymentIntents, call: MakeCall, order: NewPayment
) -> None:
    first, again = await payments.create(call(), order), await payments.create(call(), order)
    assert first == again
    confirmation = Confirmation(first.id, order.payment_method)
    paid = await payments.confirm(call("confirm"), confirmation)
    assert await payments.confirm(call("confirm"), confirmation) == paid
    # Under another key too: it is paid, and that is how it stands.
    assert await payments.confirm(call("other"), confirmation) == paid


@pytest.mark.parametrize(
    ("card", "off_session", "status", "code"),
    [
        ("chargeCustomerFail", False, "requires_payment_method", "generic_decline"),
        ("chargeDeclinedInsufficientFunds", False, "requires_payment_method", "insufficient_funds"),
        ("authenticationRequired", False, "requires_action", ""),
        ("authenticationRequired", True, "requires_payment_method", "authentication_required"),
    ],
)
async def test_a_decline_is_how_it_stands_and_no_error(
    payments: StripePaymentIntents, call: MakeCall, account: str, emulator: RunningEmulator,
    card: str, off_session: bool, status: str, code: str,
) -> None:  # fmt: skip
    customer, _ = await payer(emulator, account)
    payment = await made(payments, call(), NewPayment(customer, f"pm_card_{card}", USD))
    confirmation = Confirmation(payment.id, f"pm_card_{card}", off_session=off_session)
    declined = await payments.confirm(call("confirm"), confirmation)
    assert (declined.status, declined.decline_code) == (status, code)
    again = Confirmation(payment.id, "pm_card_visa", keeps_method=True)
    paid = await payments.confirm(call("again"), again)
    assert paid.status == "succeeded"
    kept = await payments.method(account, paid.payment_method)
    assert kept.customer == customer


async def test_it_is_authorised_first_and_paid_when_it_is_captured(
    payments: StripePaymentIntents, call: MakeCall, order: NewPayment
) -> None:
    payment = await made(payments, call(), replace(order, manual=True))
    confirmation = Confirmation(payment.id, order.payment_method, keeps_method=True)
    held = await payments.confirm(call("confirm"), confirmation)
    assert (held.status, held.received) == ("requires_capture", Money(0, "usd"))
    assert held.capture_before is not None
    assert held.captured_at is None
    assert await payments.find_captured(call("capture"), payment.id, LONG_AGO) is None
    paid = await payments.capture(call("capture"), payment.id)
    assert (paid.status, paid.received, paid.charge) == ("succeeded", USD, held.charge)
    assert paid.captured_at is not None
    assert paid.captured_at < held.capture_before
    assert await payments.capture(call("again"), payment.id) == paid
    assert await payments.find_captured(call("capture"), payment.id, LONG_AGO) == paid
    assert (await payments.cancel(call("late"), payment.id)).status == "succeeded"


@pytest.mark.parametrize(
    ("card", "status", "code"),
    [
        ("visa", "requires_capture", ""),
        ("chargeCustomerFail", "requires_payment_method", "generic_decline"),
        ("authenticationRequired", "requires_action", ""),
    ],
)
async def test_what_moves_no_money_may_be_attempted_as_it_is_made(
    payments: StripePaymentIntents, call: MakeCall, account: str, emulator: RunningEmulator,
    card: str, status: str, code: str,
) -> None:  # fmt: skip
    customer, method = await payer(emulator, account, card)
    order = NewPayment(customer, method, USD, manual=True, attempted=True, keeps_method=True)
    payment = await payments.create(call(), order)
    assert (payment.status, payment.decline_code) == (status, code)
    assert payment.received == Money(0, "usd")
    assert (payment.capture_before is not None) == (status == "requires_capture")
    assert await payments.create(call(), order) == payment
    found = await payments.find_created(call(), order, LONG_AGO)
    assert found is not None
    assert (found.id, found.status) == (payment.id, status)
    with pytest.raises(ValueError, match="captured later"):
        replace(order, manual=False)


async def test_what_is_canceled_or_expired_is_not_captured(
    payments: StripePaymentIntents, call: MakeCall, order: NewPayment, account: str,
    emulator: RunningEmulator,
) -> None:  # fmt: skip
    for name, happens in (("one", ""), ("two", "expire")):
        payment = await made(payments, call(name), replace(order, manual=True))
        confirmation = Confirmation(payment.id, order.payment_method)
        await payments.confirm(call(f"{name}-confirm"), confirmation)
        if happens:
            await emulator.control.happen(
                "payment_intents", payment.id, happens, {}, account=account
            )
        else:
            await payments.cancel(call(f"{name}-cancel"), payment.id)
        assert (await payments.capture(call(f"{name}-capture"), payment.id)).status == "canceled"


async def test_canceling_tells_how_it_stands(
    payments: StripePaymentIntents, call: MakeCall, order: NewPayment
) -> None:
    payment = await made(payments, call(), order)
    assert await payments.find_canceled(call("cancel"), payment.id, LONG_AGO) is None
    assert (await payments.cancel(call("cancel"), payment.id)).status == "canceled"
    assert (await payments.cancel(call("again"), payment.id)).status == "canceled"
    found = await payments.find_canceled(call("cancel"), payment.id, LONG_AGO)
    assert found is not None
    other = await made(payments, call("two"), order)
    await payments.confirm(call("confirm"), Confirmation(other.id, order.payment_method))
    assert (await payments.cancel(call("late"), other.id)).status == "succeeded"


async def test_what_an_attempt_left_is_found(
    payments: StripePaymentIntents, call: MakeCall, order: NewPayment
) -> None:
    payment = await made(payments, call(), order)
    confirmation = Confirmation(payment.id, order.payment_method)
    assert await payments.find_confirmed(call(), confirmation, LONG_AGO) is None
    paid = await payments.confirm(call("confirm"), confirmation)
    assert await payments.find_confirmed(call(), confirmation, LONG_AGO) == paid


async def test_a_lost_creation_is_found_by_tag_and_application(
    payments: StripePaymentIntents, call: MakeCall, order: NewPayment, emulator: RunningEmulator,
) -> None:  # fmt: skip
    assert await payments.find_created(call(), order, LONG_AGO) is None
    fault = FaultSpec(kind="drop_after", route="/v1/payment_intents", count=3, method="POST")
    await emulator.control.add_fault(fault)
    with pytest.raises(Unanswered):
        await payments.create(call(), order)
    await emulator.control.clear_faults()
    found = await payments.find_created(call(), order, dt.datetime.now(dt.UTC))
    assert found is not None
    assert (found.customer, found.amount) == (order.customer, USD)
    assert await payments.find_created(call("other"), order, LONG_AGO) is None


async def test_what_the_accounts_owner_has_forged_is_not_found(
    api: StripeApi, emulator: RunningEmulator
) -> None:
    """He knows the tag, since metadata of what we made show it; our application he cannot be."""
    await emulator.control.create_account(AccountSpec(id="acct_Forger", secret="forger"))
    customer, method = await payer(emulator, "acct_Forger")
    call = Call("acct_Forger", "key", "tag-one")
    params: Any = {
        "amount": 2_000, "currency": "usd", "customer": customer, "payment_method": method,
        "metadata": {REQUEST_TAG: "tag-one"}, "confirm": True, "off_session": True,
    }  # fmt: skip
    async with emulator.sdk("sk_test_forger") as sdk:
        forged = await sdk.v1.payment_intents.create_async(params)
    assert (forged.status, forged.application) == ("succeeded", None)
    order = NewPayment(customer, method, USD)
    assert await StripePaymentIntents(api, CLIENT_ID).find_created(call, order, LONG_AGO) is None
    with pytest.raises(Unavailable, match="BILLING_CONNECT_CLIENT_ID"):
        await StripePaymentIntents(api, "").find_created(call, order, LONG_AGO)


async def test_on_the_platforms_own_account_nobody_else_writes(
    api: StripeApi, emulator: RunningEmulator
) -> None:
    async with emulator.sdk() as sdk:
        platform = (await sdk.v1.accounts.retrieve_current_async()).id
    api.know_platform_account(platform)
    customer, method = await payer(emulator, platform)
    payments, call = StripePaymentIntents(api, ""), Call(platform, "key", "tag-one")
    order = NewPayment(customer, method, USD)
    payment = await payments.create(call, order)
    assert payment.application == ""
    found = await payments.find_created(call, order, dt.datetime.now(dt.UTC))
    assert found == payment


async def test_all_that_was_given_back_is_read(
    payments: StripePaymentIntents, call: MakeCall, order: NewPayment, account: str,
    emulator: RunningEmulator,
) -> None:  # fmt: skip
    payment = await made(payments, call(), order)
    paid = await payments.confirm(call("confirm"), Confirmation(payment.id, order.payment_method))
    nothing = await payments.given_back(account, payment.id)
    assert (nothing.refunds, nothing.disputes) == ([], [])
    async with emulator.sdk() as sdk:
        for amount in (100, 200):
            await sdk.v1.refunds.create_async(
                {"charge": paid.charge, "amount": amount}, {"stripe_account": account}
            )
    await emulator.control.open_dispute(paid.charge, account=account)
    given = await payments.given_back(account, payment.id)
    assert sorted(one.amount.amount for one in given.refunds) == [100, 200]
    assert [one.status for one in given.disputes] == ["needs_response"]
    assert len(given.disputes[0].balance_transactions) == 1


async def test_refusals_name_what_is_refused(
    payments: StripePaymentIntents, call: MakeCall, order: NewPayment, account: str
) -> None:
    with pytest.raises(InvalidArgument, match="payment_method"):
        await payments.create(call("x"), NewPayment(order.customer, "pm_none", USD))
    with pytest.raises(InvalidArgument, match="amount"):
        await payments.create(
            call("y"), NewPayment(order.customer, "pm_card_visa", Money(1, "usd"))
        )
    with pytest.raises(NotFound):
        await payments.read(account, "pi_none")
    with pytest.raises(NotFound):
        await payments.method(account, "pm_none")
    payment = await made(payments, call(), order)
    with pytest.raises(InvalidArgument, match="payment_method"):
        await payments.confirm(call("z"), Confirmation(payment.id, "pm_none"))
    with pytest.raises(ValueError, match="keeps_method"):
        Confirmation(payment.id, "pm_1", off_session=True, keeps_method=True)
