"""Customers looked up at Stripe, through the real SDK."""

import pytest

from application.customers.ports import CustomerDeletion, CustomerFields
from domain.errors import Unavailable
from infrastructure.stripe.core.client import StripeApi
from infrastructure.stripe.customers.gateway import StripeCustomers
from infrastructure.stripe.customers.lookup import StripeCustomerLookup
from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import RunningEmulator
from tests.wire.gateway.conftest import MakeCall, Served

ADA = CustomerFields(email="ada@example.com", name="Ada")


@pytest.fixture
def lookup(api: StripeApi) -> StripeCustomerLookup:
    return StripeCustomerLookup(api)


async def test_customers_are_listed_by_their_exact_address_newest_first(
    lookup: StripeCustomerLookup,
    customers: StripeCustomers,
    call: MakeCall,
    account: str,
    emulator: RunningEmulator,
    served: Served,
) -> None:
    ids = [(await customers.create(call(str(number)), ADA)).id for number in range(3)]
    gone = await customers.create(call("gone"), ADA)
    await customers.delete(call("delete"), CustomerDeletion(gone.id))
    await customers.create(call("other"), CustomerFields(email="Ada@example.com"))
    found = await lookup.by_email(account, "ada@example.com")
    assert [one.id for one in found] == ids[::-1]
    assert {one.name for one in found} == {"Ada"}
    assert await lookup.by_email(account, "nobody@example.com") == []
    assert await lookup.by_email(await emulator.control.create_account(), "ada@example.com") == []
    assert await served("GET /v1/customers") == 3
    assert await served("GET /v1/customers/search") == 0


async def test_no_answer_is_not_nobody(
    lookup: StripeCustomerLookup, account: str, emulator: RunningEmulator
) -> None:
    await emulator.control.add_fault(FaultSpec(kind="fail", status=500, count=None))
    with pytest.raises(Unavailable):
        await lookup.by_email(account, "ada@example.com")


async def test_whoever_is_not_understood_hides_nobody_of_the_same_address(
    lookup: StripeCustomerLookup,
    customers: StripeCustomers,
    call: MakeCall,
    account: str,
    emulator: RunningEmulator,
) -> None:
    ids = [(await customers.create(call(str(number)), ADA)).id for number in range(3)]
    await emulator.control.disguise(account, ids[1], f'{{"id": "{ids[1]}", "created": "soon"}}')
    found = await lookup.by_email(account, "ada@example.com")
    assert [one.id for one in found] == [ids[2], ids[0]]
