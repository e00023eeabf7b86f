"""Customers at Stripe, through the real SDK."""

import datetime as dt

import pytest

from application.customers.ports import CustomerChange, CustomerDeletion, CustomerFields
from application.mutations.stripe import Call, Unanswered
from domain.customers import Address, Customer
from domain.errors import BillingError, InvalidArgument, NotFound, Unavailable
from domain.mirror import Snapshot
from infrastructure.stripe.core import client
from infrastructure.stripe.core import send as mutations
from infrastructure.stripe.customers.gateway import StripeCustomers
from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import RunningEmulator
from tests.wire.gateway.conftest import MakeCall, Served

ADA = CustomerFields(
    email="ada@example.com",
    name="Ada",
    phone="+4912345",
    description="VIP",
    address=Address(line1="Gasse 1", city="Ulm", postal_code="89073", country="DE"),
    metadata={"tier": "gold"},
)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def shown(snapshot: Snapshot[Customer] | None) -> Customer:
    assert snapshot is not None
    assert snapshot.object is not None
    return snapshot.object


async def test_create_writes_every_field_and_the_tag(
    customers: StripeCustomers, call: MakeCall, account: str
) -> None:
    before = now()
    snapshot = await customers.create(call(), ADA)
    found = shown(snapshot)
    assert snapshot.stripe_account == account
    assert not snapshot.unknown
    assert (found.email, found.name, found.phone) == ("ada@example.com", "Ada", "+4912345")
    assert found.description == "VIP"
    assert found.address == ADA.address
    assert found.metadata == {"tier": "gold", "billing_request": "tag-one"}
    version = snapshot.version
    assert version.sent_at is not None
    assert before.timestamp() * 1000 - 1 <= version.sent_at <= now().timestamp() * 1000
    assert version.low <= found.created.timestamp() * 1000 <= version.high
    assert 4_000 <= version.high - version.low < 6_000


async def test_create_leaves_out_what_is_empty(customers: StripeCustomers, call: MakeCall) -> None:
    fields = CustomerFields(email="", name="Ada", address=Address(), metadata={"a": "", "b": "1"})
    found = shown(await customers.create(call(), fields))
    assert found.email is None
    assert found.address is None
    assert found.metadata == {"b": "1", "billing_request": "tag-one"}


async def test_the_tag_is_ours_whatever_the_metadata_says(
    customers: StripeCustomers, call: MakeCall
) -> None:
    fields = CustomerFields(metadata={"billing_request": "forged"})
    assert shown(await customers.create(call(), fields)).metadata == {"billing_request": "tag-one"}


async def test_update_changes_what_is_given_and_clears_what_is_empty(
    customers: StripeCustomers, call: MakeCall
) -> None:
    made = await customers.create(call(), ADA)
    change = CustomerFields(email="", name="Countess", metadata={"tier": "", "since": "1843"})
    found = shown(await customers.update(call("two"), CustomerChange(made.id, change)))
    assert (found.email, found.name, found.phone) == (None, "Countess", "+4912345")
    assert found.address == ADA.address
    assert found.metadata == {"since": "1843", "billing_request": "tag-one"}


@pytest.mark.parametrize(
    ("address", "kept"),
    [(Address(city="Bonn"), Address(city="Bonn")), (Address(), None)],
    ids=["replaced", "cleared"],
)
async def test_update_replaces_the_address_as_a_whole(
    customers: StripeCustomers, call: MakeCall, address: Address, kept: Address | None
) -> None:
    made = await customers.create(call(), ADA)
    change = CustomerChange(made.id, CustomerFields(address=address))
    assert shown(await customers.update(call("two"), change)).address == kept


async def test_delete_leaves_a_tombstone_and_again_is_success(
    customers: StripeCustomers, call: MakeCall, account: str
) -> None:
    made = await customers.create(call(), ADA)
    for name in ("two", "three"):
        gone = await customers.delete(call(name), CustomerDeletion(made.id))
        assert (gone.id, gone.stripe_account, gone.deleted) == (made.id, account, True)
    with pytest.raises(NotFound):
        await customers.update(call("four"), CustomerChange(made.id, ADA))


async def test_what_never_was_is_not_found(customers: StripeCustomers, call: MakeCall) -> None:
    with pytest.raises(NotFound) as caught:
        await customers.delete(call(), CustomerDeletion("cus_never"))
    assert caught.value.metadata["id"] == "cus_never"
    with pytest.raises(NotFound):
        await customers.update(call(), CustomerChange("cus_never", ADA))


@pytest.mark.parametrize(
    ("hostile", "refusal"),
    [
        ("..", NotFound), (".", NotFound), ("." * 255, NotFound),
        ("", InvalidArgument), ("x" * 256, InvalidArgument), ("a\n", InvalidArgument),
        ("\x85", InvalidArgument), ("\ud800", InvalidArgument),
    ],
)  # fmt: skip
async def test_what_can_be_no_id_is_never_sent(
    customers: StripeCustomers, call: MakeCall, emulator: RunningEmulator, hostile: str,
    refusal: type[BillingError],
) -> None:  # fmt: skip
    before = await emulator.control.stats()
    with pytest.raises(refusal):
        await customers.delete(call(), CustomerDeletion(hostile))
    assert await emulator.control.stats() == before


@pytest.mark.parametrize("hostile", ["cus_1?expand[]=x", "a#b", "%", "%2e%2e", "a b"])
async def test_an_id_stays_one_segment_of_the_path(
    customers: StripeCustomers, call: MakeCall, served: Served, hostile: str
) -> None:
    with pytest.raises(NotFound):
        await customers.delete(call(), CustomerDeletion(hostile))
    assert await served("DELETE /v1/customers/{id}") == 1


async def test_the_same_key_makes_one_customer_and_shows_it_as_it_is_now(
    customers: StripeCustomers, call: MakeCall, served: Served
) -> None:
    first = await customers.create(call(), ADA)
    await customers.update(call("two"), CustomerChange(first.id, CustomerFields(name="Countess")))
    again = await customers.create(call(), ADA)
    assert again.id == first.id
    assert shown(again).name == "Countess"
    assert await served("GET /v1/customers/{id}") == 1


async def test_a_replay_that_cannot_be_read_anew_has_no_answer(
    customers: StripeCustomers, call: MakeCall, emulator: RunningEmulator
) -> None:
    await customers.create(call(), ADA)
    await emulator.control.add_fault(FaultSpec(kind="fail", status=500, method="GET", count=None))
    with pytest.raises(Unanswered):
        await customers.create(call(), ADA)


async def test_another_payload_under_the_same_key_leaves_the_first_open(
    customers: StripeCustomers, call: MakeCall
) -> None:
    await customers.create(call(), ADA)
    with pytest.raises(Unanswered) as caught:
        await customers.create(call(), CustomerFields(name="Another"))
    assert caught.value.replayed


async def test_find_created_finds_by_tag_over_pages(
    customers: StripeCustomers, call: MakeCall, monkeypatch: pytest.MonkeyPatch, served: Served
) -> None:
    monkeypatch.setattr(client, "PAGE_SIZE", 2)
    sent_at = now()
    made = await customers.create(call("mine"), ADA)
    for number in range(5):
        await customers.create(call(str(number)), ADA)
    found = await customers.find_created(call("mine"), ADA, sent_at)
    assert found is not None
    assert found.id == made.id
    assert found.object == made.object
    assert await served("GET /v1/customers") == 3


async def test_find_created_finds_nothing_where_nothing_was_made(
    customers: StripeCustomers, call: MakeCall, served: Served
) -> None:
    await customers.create(call("other"), ADA)
    assert await customers.find_created(call("mine"), ADA, now()) is None
    assert await served("GET /v1/customers") == 1


async def test_find_created_allows_for_a_clock_of_ours_that_is_ahead(
    customers: StripeCustomers, call: MakeCall
) -> None:
    await customers.create(call(), ADA)
    ahead = now() + mutations.CLOCK_SLACK - dt.timedelta(minutes=1)
    assert await customers.find_created(call(), ADA, ahead) is not None


async def test_find_created_looks_at_the_calls_account_only(
    customers: StripeCustomers, call: MakeCall, emulator: RunningEmulator
) -> None:
    await customers.create(call(), ADA)
    other = await emulator.control.create_account()
    assert await customers.find_created(Call(other, "k", "tag-one"), ADA, now()) is None


async def test_find_created_does_not_look_before_the_send(
    customers: StripeCustomers, call: MakeCall
) -> None:
    await customers.create(call(), ADA)
    later = now() + mutations.CLOCK_SLACK + dt.timedelta(seconds=2)
    assert await customers.find_created(call(), ADA, later) is None


async def test_find_created_never_says_no_without_having_looked_at_all(
    customers: StripeCustomers, call: MakeCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE_SIZE", 1)
    monkeypatch.setattr(client, "MAX_PAGES", 2)
    for number in range(3):
        await customers.create(call(str(number)), ADA)
    with pytest.raises(Unavailable):
        await customers.find_created(call("mine"), ADA, now())


@pytest.mark.parametrize(
    "change",
    [
        CustomerFields(name="Countess", email="", metadata={"tier": "", "a": "b"}),
        CustomerFields(address=Address(city="Bonn")),
        CustomerFields(address=Address()),
        CustomerFields(),
    ],
)
async def test_find_updated_finds_what_shows_every_field(
    customers: StripeCustomers, call: MakeCall, change: CustomerFields
) -> None:
    made = await customers.create(call(), ADA)
    wanted = CustomerChange(made.id, change)
    await customers.update(call("two"), wanted)
    found = await customers.find_updated(call("two"), wanted, now())
    assert found is not None
    assert found.id == made.id


@pytest.mark.parametrize(
    "change",
    [
        CustomerFields(name="Countess"),
        CustomerFields(email=""),
        CustomerFields(name="Ada", phone="+1"),
        CustomerFields(address=Address(city="Ulm")),
        CustomerFields(address=Address()),
        CustomerFields(metadata={"tier": ""}),
        CustomerFields(metadata={"tier": "gold", "a": "b"}),
    ],
)
async def test_find_updated_finds_nothing_while_a_field_differs(
    customers: StripeCustomers, call: MakeCall, change: CustomerFields
) -> None:
    made = await customers.create(call(), ADA)
    assert await customers.find_updated(call(), CustomerChange(made.id, change), now()) is None


async def test_find_updated_and_find_deleted_of_one_that_is_gone_or_never_was(
    customers: StripeCustomers, call: MakeCall
) -> None:
    made = await customers.create(call(), ADA)
    deletion = CustomerDeletion(made.id)
    assert await customers.find_deleted(call(), deletion, now()) is None
    await customers.delete(call(), deletion)
    found = await customers.find_deleted(call(), deletion, now())
    assert found is not None
    assert found.deleted
    assert await customers.find_updated(call(), CustomerChange(made.id, ADA), now()) is None
    assert await customers.find_deleted(call(), CustomerDeletion("cus_never"), now()) is None
    assert await customers.find_updated(call(), CustomerChange("cus_never", ADA), now()) is None
