"""Payment methods, legacy sources and setup intents at Stripe, through the real SDK."""

import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import pytest
import stripe

from application.mutations.stripe import Call
from application.payment_methods.ports import CustomersMethod, MethodPlace, NewSetupIntent
from domain.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PaymentDeclined,
    Reason,
    Unavailable,
    WrongState,
)
from infrastructure.stripe.core import client
from infrastructure.stripe.core.client import StripeApi
from infrastructure.stripe.payment_methods.gateway import StripePaymentMethods
from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import RunningEmulator
from tests.wire.gateway.conftest import MakeCall, Served


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@pytest.fixture
def gateway(api: StripeApi) -> StripePaymentMethods:
    return StripePaymentMethods(api)


class Shop:
    """The account's Stripe, seen with the SDK."""

    def __init__(self, sdk: stripe.StripeClient, account: str) -> None:
        self.sdk = sdk.v1
        self.account = account
        self.options: Any = {"stripe_account": account}

    async def customer(self) -> str:
        return (await self.sdk.customers.create_async({}, self.options)).id

    async def method(self, customer: str, id_: str = "pm_card_visa") -> str:
        params: Any = {"customer": customer}
        return (await self.sdk.payment_methods.attach_async(id_, params, self.options)).id

    async def source(self, customer: str, kind: str = "tok_visa") -> str:
        sources = self.sdk.customers.payment_sources
        return (await sources.create_async(customer, {"source": kind}, self.options)).id


@pytest.fixture
async def shop(emulator: RunningEmulator, account: str) -> AsyncIterator[Shop]:
    async with emulator.sdk() as sdk:
        yield Shop(sdk, account)


async def listed(
    gateway: StripePaymentMethods, shop: Shop, customer: str, limit: int
) -> list[list[str]]:
    """The ids of every page."""
    pages: list[list[str]] = []
    place: MethodPlace | None = MethodPlace()
    while place is not None:
        page = await gateway.page(shop.account, customer, place, limit)
        pages.append([method.id for method in page.items])
        assert len(page.items) <= limit
        assert len(pages) < 20
        place = page.next
    return pages


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6, 100])
async def test_each_is_listed_once_whatever_the_pages(
    gateway: StripePaymentMethods, shop: Shop, limit: int
) -> None:
    customer = await shop.customer()
    cards = [await shop.source(customer), await shop.source(customer, "btok_us_verified")]
    methods = [await shop.method(customer)]
    cards.append(await shop.source(customer))
    methods.append(await shop.method(customer))
    pages = await listed(gateway, shop, customer, limit)
    assert [id_ for page in pages for id_ in page] == [*methods[::-1], *cards[::-1]]


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_one_that_is_not_understood_hides_no_other(
    gateway: StripePaymentMethods, shop: Shop, emulator: RunningEmulator, limit: int
) -> None:
    customer = await shop.customer()
    ids = [await shop.method(customer) for _ in range(3)]
    odd = f'{{"id": "{ids[1]}", "object": "payment_method", "type": 5}}'
    await emulator.control.disguise(shop.account, ids[1], odd)
    pages = await listed(gateway, shop, customer, limit)
    assert [id_ for page in pages for id_ in page] == [ids[2], ids[0]]


async def test_a_page_takes_at_most_two_requests(
    gateway: StripePaymentMethods, shop: Shop, served: Served
) -> None:
    customer = await shop.customer()
    await shop.method(customer)
    await shop.source(customer)
    await gateway.page(shop.account, customer, MethodPlace(), 50)
    assert await served("GET /v1/customers/{id}/payment_methods") == 1
    assert await served("GET /v1/customers/{id}/sources") == 1


async def test_who_has_nothing_has_an_empty_page(gateway: StripePaymentMethods, shop: Shop) -> None:
    assert await listed(gateway, shop, await shop.customer(), 10) == [[]]


async def test_a_place_that_is_gone_and_a_customer_that_never_was(
    gateway: StripePaymentMethods, shop: Shop
) -> None:
    customer = await shop.customer()
    for place in (MethodPlace(after="pm_never"), MethodPlace(sources=True, after="card_never")):
        with pytest.raises(InvalidArgument) as refused:
            await gateway.page(shop.account, customer, place, 10)
        assert refused.value.reason is Reason.INVALID_PAGE_TOKEN
    for place in (MethodPlace(), MethodPlace(sources=True)):
        with pytest.raises(NotFound):
            await gateway.page(shop.account, "cus_never", place, 10)


async def test_the_default_is_a_payment_method_before_a_source(
    gateway: StripePaymentMethods, shop: Shop, call: MakeCall
) -> None:
    customer = await shop.customer()
    assert await gateway.default_of(shop.account, customer) == ""
    source, method = await shop.source(customer), await shop.method(customer)
    assert await gateway.default_of(shop.account, customer) == source
    for number, chosen in enumerate((method, source, method)):
        wanted = CustomersMethod(customer, chosen)
        assert await gateway.find_default(call(), wanted, now()) is None
        changed = await gateway.set_default(call(f"d{number}"), wanted)
        assert changed.object is not None
        assert await gateway.default_of(shop.account, customer) == chosen
        found = await gateway.find_default(call(), wanted, now())
        assert found is not None
        assert found.object == changed.object
    with pytest.raises(NotFound):
        await gateway.default_of(shop.account, "cus_never")
    await shop.sdk.customers.delete_async(customer, options=shop.options)
    with pytest.raises(NotFound):
        await gateway.default_of(shop.account, customer)
    assert await gateway.find_default(call(), CustomersMethod(customer, method), now()) is None
    assert await gateway.find_default(call(), CustomersMethod("cus_never", "pm_1"), now()) is None


async def test_what_is_not_there_is_not_made_the_default(
    gateway: StripePaymentMethods, shop: Shop, call: MakeCall
) -> None:
    customer = await shop.customer()
    with pytest.raises(NotFound):
        await gateway.set_default(call("one"), CustomersMethod(customer, "pm_never"))
    with pytest.raises(NotFound):
        await gateway.set_default(call("two"), CustomersMethod("cus_never", "pm_never"))


async def test_read_gives_only_what_is_the_customers(
    gateway: StripePaymentMethods, shop: Shop, emulator: RunningEmulator
) -> None:
    customer, other = await shop.customer(), await shop.customer()
    stranger = await emulator.control.create_account()
    for id_ in (await shop.method(customer), await shop.source(customer)):
        found = await gateway.read(shop.account, CustomersMethod(customer, id_))
        assert (found.id, found.customer, found.last4) == (id_, customer, "4242")
        for account, whose in ((shop.account, other), (shop.account, "cus_never"),
                               (stranger, customer)):  # fmt: skip
            with pytest.raises(NotFound):
                await gateway.read(account, CustomersMethod(whose, id_))
    for missing in ("pm_never", "card_never", "ba_never"):
        with pytest.raises(NotFound) as refused:
            await gateway.read(shop.account, CustomersMethod(customer, missing))
        assert refused.value.metadata["id"] == missing


async def test_attach_once_again_and_to_another(
    gateway: StripePaymentMethods, shop: Shop, call: MakeCall
) -> None:
    customer, other = await shop.customer(), await shop.customer()
    made = await gateway.attach(call("one"), CustomersMethod(customer, "pm_card_visa"))
    assert (made.customer, made.type, made.brand) == (customer, "card", "visa")
    assert await gateway.attach(call("one"), CustomersMethod(customer, "pm_card_visa")) == made
    mine, taken = CustomersMethod(customer, made.id), CustomersMethod(other, made.id)
    assert await gateway.attach(call("two"), mine) == made
    with pytest.raises(WrongState) as refused:
        await gateway.attach(call("three"), taken)
    assert refused.value.state == "attached"
    assert await gateway.find_attached(call(), mine, now()) == made
    assert await gateway.find_attached(call(), taken, now()) is None
    assert await gateway.find_attached(call(), CustomersMethod(customer, "pm_no"), now()) is None


async def test_attach_is_refused(gateway: StripePaymentMethods, shop: Shop, call: MakeCall) -> None:
    customer = await shop.customer()
    with pytest.raises(NotFound) as nobody:
        await gateway.attach(call("one"), CustomersMethod("cus_never", "pm_card_visa"))
    assert nobody.value.metadata["resource"] == "customer"
    with pytest.raises(NotFound) as nothing:
        await gateway.attach(call("two"), CustomersMethod(customer, "pm_never"))
    assert nothing.value.metadata["resource"] == "payment_method"
    expired = CustomersMethod(customer, "pm_card_chargeDeclinedExpiredCard")
    with pytest.raises(PaymentDeclined) as declined:
        await gateway.attach(call("three"), expired)
    assert declined.value.decline_code == "expired_card"
    assert "use another one" in declined.value.message
    used = await shop.method(customer)
    await shop.sdk.payment_methods.detach_async(used, options=shop.options)
    with pytest.raises(FailedPrecondition) as refused:
        await gateway.attach(call("four"), CustomersMethod(customer, used))
    assert refused.value.reason is Reason.STRIPE_REFUSED


async def test_a_refusal_stands_where_its_cause_cannot_be_learnt(
    gateway: StripePaymentMethods, shop: Shop, call: MakeCall, emulator: RunningEmulator
) -> None:
    method = await shop.method(await shop.customer())
    other = await shop.customer()
    fault = FaultSpec(kind="fail", status=500, method="GET", count=None)
    await emulator.control.add_fault(fault)
    with pytest.raises(FailedPrecondition) as refused:
        await gateway.attach(call(), CustomersMethod(other, method))
    assert refused.value.reason is Reason.STRIPE_REFUSED


@pytest.mark.parametrize("kind", ["pm", "tok_visa", "btok_us_verified"])
async def test_detach_and_again_is_success(
    gateway: StripePaymentMethods, shop: Shop, call: MakeCall, kind: str
) -> None:
    customer = await shop.customer()
    made = shop.method(customer) if kind == "pm" else shop.source(customer, kind)
    wanted = CustomersMethod(customer, await made)
    assert await gateway.find_detached(call(), wanted, now()) is None
    for name in ("one", "one", "two"):
        assert await gateway.detach(call(name), wanted) == wanted
    assert await gateway.find_detached(call(), wanted, now()) == wanted
    assert await listed(gateway, shop, customer, 10) == [[]]


async def test_a_setup_intent_is_made_and_found_by_its_tag(
    gateway: StripePaymentMethods,
    shop: Shop,
    call: MakeCall,
    emulator: RunningEmulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "PAGE_SIZE", 1)
    customer = await shop.customer()
    wanted = NewSetupIntent(customer, ("card", "us_bank_account"), "on_session")
    assert await gateway.find_setup(call("mine"), wanted, now()) is None
    made = await gateway.create_setup(call("mine"), wanted)
    await gateway.create_setup(call("other"), wanted)
    assert await gateway.find_setup(call("mine"), wanted, now()) == made
    assert await gateway.find_setup(call("third"), wanted, now()) is None
    at_stripe = await shop.sdk.setup_intents.retrieve_async(made.id, options=shop.options)
    assert (at_stripe.usage, at_stripe.customer) == ("on_session", customer)
    assert await gateway.read_setup(shop.account, made.id) == (made, at_stripe.client_secret)
    assert str(at_stripe.client_secret) not in repr(made)
    with pytest.raises(NotFound):
        await gateway.read_setup(await emulator.control.create_account(), made.id)
    stranger = Call(await emulator.control.create_account(), "k", "tag-mine")
    assert await gateway.find_setup(stranger, wanted, now()) is None
    monkeypatch.setattr(client, "MAX_PAGES", 1)
    with pytest.raises(Unavailable):
        await gateway.find_setup(call("third"), wanted, now())


async def test_a_setup_intent_without_types_leaves_them_to_the_account(
    gateway: StripePaymentMethods, shop: Shop, call: MakeCall
) -> None:
    made = await gateway.create_setup(call(), NewSetupIntent(await shop.customer()))
    assert made.status == "requires_payment_method"
    with pytest.raises(NotFound):
        await gateway.create_setup(call("two"), NewSetupIntent("cus_never"))
    shells = NewSetupIntent(await shop.customer(), ("seashells",))
    with pytest.raises(InvalidArgument) as refused:
        await gateway.create_setup(call("three"), shells)
    assert [one.field for one in refused.value.violations] == ["payment_method_types[0]"]
