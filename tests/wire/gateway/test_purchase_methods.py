"""What a purchase is paid with, as Stripe shows it through the real SDK."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import stripe

from application.checkouts.paying import AskedMethods, ChosenMethod, MethodChoice
from domain.errors import FailedPrecondition, Reason
from infrastructure.stripe.core.client import StripeApi
from infrastructure.stripe.payment_intents.gateway import StripePaymentIntents
from infrastructure.stripe.payment_methods.gateway import StripePaymentMethods
from sandbox.emulator.running import RunningEmulator
from tests.wire.gateway.conftest import Served

BANK = {
    "type": "us_bank_account",
    "us_bank_account": {
        "account_holder_type": "individual", "account_number": "000123456789",
        "routing_number": "110000000",
    },
    "billing_details": {"name": "Lily"},
}  # fmt: skip


@pytest.fixture
def choice(api: StripeApi) -> MethodChoice:
    return MethodChoice(AskedMethods(StripePaymentIntents(api, ""), StripePaymentMethods(api)))


@pytest.fixture
async def sdk(emulator: RunningEmulator) -> AsyncIterator[stripe.StripeClient]:
    async with emulator.sdk() as made:
        yield made


class Payer:
    """A customer of the account's."""

    def __init__(self, sdk: stripe.StripeClient, options: Any, id_: str) -> None:
        self.sdk = sdk.v1
        self.options = options
        self.id = id_

    async def attach(self, method: str = "pm_card_visa") -> str:
        params: Any = {"customer": self.id}
        return (await self.sdk.payment_methods.attach_async(method, params, self.options)).id

    async def source(self) -> str:
        sources = self.sdk.customers.payment_sources
        params: Any = {"source": "tok_visa"}
        return (await sources.create_async(self.id, params, self.options)).id

    async def set_default(self, method: str) -> None:
        params: Any = {"invoice_settings": {"default_payment_method": method}}
        await self.sdk.customers.update_async(self.id, params, self.options)


async def payer(sdk: stripe.StripeClient, account: str) -> Payer:
    options: Any = {"stripe_account": account}
    return Payer(sdk, options, (await sdk.v1.customers.create_async({}, options)).id)


async def refused(choice: MethodChoice, account: str, customer: str, method: str) -> Reason:
    with pytest.raises(FailedPrecondition) as caught:
        await choice.choose(account, customer, method)
    return caught.value.reason


async def test_the_default_is_taken_where_none_is_asked_for(
    choice: MethodChoice, sdk: stripe.StripeClient, account: str, served: Served
) -> None:
    lily = await payer(sdk, account)
    assert await choice.choose(account, lily.id, "") is None
    card = await lily.attach()
    await lily.set_default(card)
    assert await choice.choose(account, lily.id, "") == ChosenMethod(card)
    assert await choice.choose(account, "", "") is None
    # One that is asked for is read alone.
    before = await served("GET /v1/customers/{id}")
    assert await choice.choose(account, lily.id, card) == ChosenMethod(card)
    assert await served("GET /v1/customers/{id}") == before


async def test_a_card_of_before_payment_methods_is_its_customers(
    choice: MethodChoice, sdk: stripe.StripeClient, account: str
) -> None:
    lily, rose = await payer(sdk, account), await payer(sdk, account)
    card = await lily.source()
    assert card.startswith("card_")
    assert await choice.choose(account, lily.id, card) == ChosenMethod(card)
    assert await choice.choose(account, lily.id, "") == ChosenMethod(card)
    for customer in (rose.id, ""):
        told = await refused(choice, account, customer, card)
        assert told is Reason.PAYMENT_METHOD_UNUSABLE


async def test_a_bank_debit_is_nobodys_yet_and_charged_first(
    choice: MethodChoice, sdk: stripe.StripeClient, account: str
) -> None:
    lily = await payer(sdk, account)
    params: Any = BANK
    made = await sdk.v1.payment_methods.create_async(params, lily.options)
    wanted = ChosenMethod(made.id, charged_first=True)
    assert await choice.choose(account, lily.id, made.id) == wanted
    assert await choice.choose(account, "", made.id) == wanted


async def test_anothers_method_an_unknown_one_and_a_bank_account_are_unusable(
    choice: MethodChoice, sdk: stripe.StripeClient, emulator: RunningEmulator, account: str
) -> None:
    lily, rose = await payer(sdk, account), await payer(sdk, account)
    elsewhere = await payer(sdk, await emulator.control.create_account())
    methods = (
        await rose.attach(), await elsewhere.attach(), "pm_nowhere", "card_nowhere", "ba_nowhere",
    )  # fmt: skip
    for method in methods:
        assert await refused(choice, account, lily.id, method) is Reason.PAYMENT_METHOD_UNUSABLE
