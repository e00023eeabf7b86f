"""Single objects, read through the real SDK, and what is told of those that are not there."""

from typing import Any

import pytest

from application.customers.ports import CustomerDeletion, CustomerFields
from application.mirror.nouns import CUSTOMERS, NOUNS, PRODUCTS, STRIPE_ACCOUNTS
from application.mirror.ports import Noun
from application.mirror.stripe import ObjectReader, Priority
from domain.errors import FailedPrecondition, NotFound
from infrastructure.stripe.connections.gateway import StripeConnectedAccounts, account_request
from infrastructure.stripe.core.client import PLATFORM, StripeApi
from infrastructure.stripe.customers.gateway import StripeCustomers
from infrastructure.stripe.readers.objects import StripeObjectReader
from sandbox.emulator.running import RunningEmulator
from tests.wire.gateway.conftest import MakeCall


@pytest.fixture
def reader(api: StripeApi) -> ObjectReader:
    return StripeObjectReader(api)


async def read(reader: ObjectReader, noun: Noun[Any], account: str, object_id: str) -> Any:
    return await reader.read(noun, account, object_id, not_before_ms=None, priority=Priority.REREAD)


async def test_not_before_raises_the_lower_end(
    reader: ObjectReader, customers: StripeCustomers, call: MakeCall, account: str
) -> None:
    made = await customers.create(call(), CustomerFields(name="Ada"))
    known = made.version.low + 1_500
    found = await reader.read(
        CUSTOMERS, account, made.id, not_before_ms=known, priority=Priority.REREAD
    )
    assert found.version.low == known
    assert (await read(reader, CUSTOMERS, account, made.id)).version.low < known


@pytest.mark.parametrize(
    "noun", [noun for noun in NOUNS if noun is not STRIPE_ACCOUNTS], ids=lambda noun: noun.name
)
async def test_what_is_not_there_is_a_tombstone(
    reader: ObjectReader, account: str, noun: Noun[Any]
) -> None:
    snapshot = await read(reader, noun, account, "none_1")
    assert snapshot.deleted
    assert (snapshot.id, snapshot.stripe_account) == ("none_1", account)
    assert snapshot.version.high - snapshot.version.low >= 4_000


async def test_a_deleted_customer_is_a_tombstone(
    reader: ObjectReader, customers: StripeCustomers, call: MakeCall, account: str
) -> None:
    made = await customers.create(call(), CustomerFields(name="Ada"))
    await customers.delete(call("two"), CustomerDeletion(made.id))
    assert (await read(reader, CUSTOMERS, account, made.id)).deleted


async def test_an_account_that_is_closed_to_us_makes_no_tombstone(
    reader: ObjectReader, emulator: RunningEmulator, account: str
) -> None:
    await emulator.control.deauthorize(account)
    with pytest.raises(FailedPrecondition):
        await read(reader, CUSTOMERS, account, "cus_1")


async def test_an_account_is_read_with_the_platforms_key_and_is_its_own(
    reader: ObjectReader, api: StripeApi, emulator: RunningEmulator, account: str
) -> None:
    found = await read(reader, STRIPE_ACCOUNTS, account, account)
    assert (found.stripe_account, found.id, found.object.id) == (account, account, account)
    assert found.object == await StripeConnectedAccounts(api).get(account)
    ours = (await StripeConnectedAccounts(api).platform()).id
    assert (await read(reader, STRIPE_ACCOUNTS, ours, ours)).object.id == ours
    assert account_request(api, account).stripe_account == PLATFORM, "it is not shown to itself"
    routes = (await emulator.control.stats()).routes
    assert (routes["GET /v1/accounts/{id}"], routes["GET /v1/account"]) == (2, 2)
    with pytest.raises(NotFound):
        await read(reader, STRIPE_ACCOUNTS, account, ours)


async def test_an_account_that_is_closed_to_us_is_no_deleted_one(
    reader: ObjectReader, emulator: RunningEmulator, account: str
) -> None:
    await emulator.control.deauthorize(account)
    with pytest.raises(FailedPrecondition):
        await read(reader, STRIPE_ACCOUNTS, account, account)


async def test_what_no_path_can_hold_makes_no_tombstone(reader: ObjectReader, account: str) -> None:
    with pytest.raises(NotFound):
        await read(reader, CUSTOMERS, account, "..")


@pytest.mark.parametrize(
    "chosen",
    ["user-7", "desk@example.com", "tier/2", "größe-m", "Gold plan 12 monthly", "a+b %2F", "-",
     "../account", "\U0001f600" * 255, "'\"<>#?&=:;$"],
)  # fmt: skip
async def test_an_object_is_read_whatever_id_a_merchant_chose(
    reader: ObjectReader, emulator: RunningEmulator, account: str, chosen: str
) -> None:
    params: Any = {"id": chosen, "name": "Chosen"}
    async with emulator.sdk() as sdk:
        await sdk.v1.products.create_async(params, {"stripe_account": account})
    found = await read(reader, PRODUCTS, account, chosen)
    assert (found.id, found.object and found.object.name) == (chosen, "Chosen")
