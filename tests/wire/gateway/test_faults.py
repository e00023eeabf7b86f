"""A network at its worst: cut, late and lost answers, and what is known after them."""

import datetime as dt
import logging
from dataclasses import replace

import pytest

from application.customers.ports import CustomerChange, CustomerDeletion, CustomerFields
from application.mutations.stripe import Unanswered
from domain.errors import NotFound, Unavailable
from infrastructure.stripe.core import client, transport
from infrastructure.stripe.core.client import Request, StripeApi
from infrastructure.stripe.core.errors import Subject, connection_error
from infrastructure.stripe.customers.gateway import StripeCustomers
from sandbox.emulator.core.messages import FaultKind, FaultSpec
from sandbox.emulator.running import RunningEmulator
from tests.wire.gateway.conftest import MakeApi, MakeCall, Served, until

ADA = CustomerFields(name="Ada")
CREATE = "POST /v1/customers"


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


async def customers_at(emulator: RunningEmulator, account: str) -> int:
    rows = await emulator.control.snapshot()
    return sum(row.count for row in rows if (row.account, row.object) == (account, "customer"))


async def is_made(emulator: RunningEmulator, account: str) -> bool:
    return await customers_at(emulator, account) > 0


async def test_an_outage_is_a_warning_of_one_line_with_its_cause_and_one_when_it_is_over(
    make_api: MakeApi,
    emulator: RunningEmulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(client, "QUIET_SECONDS", 0.0)
    caplog.set_level(logging.INFO)
    api, request = make_api(tries=2), Request("get", "/v1/customers", Subject("customer"), "")
    await emulator.control.add_fault(FaultSpec("fail", status=503, count=None))
    for _ in range(5):
        with pytest.raises(Unavailable):
            await api.request(request)
    await emulator.control.clear_faults()
    for _ in range(2):
        await api.request(request)
        with pytest.raises(NotFound):
            await api.request(replace(request, path="/v1/customers/cus_none"))
    unknown = make_api(secret_key="sk_test_wrong", tries=1)
    unreachable = make_api(api_base="http://127.0.0.1:9", tries=1)
    for broken in (unknown, unreachable, unknown, unreachable):
        with pytest.raises(Unavailable):
            await broken.request(request)
    lines = [(one.levelname, one.getMessage(), one.__dict__.get("error")) for one in caplog.records]
    assert lines == [
        ("WARNING", "Stripe does not answer", "Stripe does not answer"),
        ("INFO", "Stripe answers again", None),
        (
            "WARNING",
            "Stripe does not answer",
            "Stripe refuses the platform's key; the operator must set a valid STRIPE_SECRET_KEY",
        ),
        ("WARNING", "Stripe does not answer", "Stripe could not be reached; nothing was sent"),
    ]


LOST = [
    FaultSpec(kind="cut", method="POST", count=None),
    FaultSpec(kind="drop_after", method="POST", count=None),
    FaultSpec(kind="stall", seconds=0.6, method="POST", count=None),
]


@pytest.mark.parametrize("fault", LOST, ids=lambda fault: fault.kind)
async def test_a_lost_answer_is_found_again(
    make_api: MakeApi,
    customers: StripeCustomers,
    call: MakeCall,
    emulator: RunningEmulator,
    account: str,
    fault: FaultSpec,
) -> None:
    hasty = StripeCustomers(make_api(tries=1, timeout_seconds=0.3))
    await emulator.control.add_fault(fault)
    sent_at = now()
    with pytest.raises(Unanswered) as caught:
        await hasty.create(call(), ADA)
    assert not caught.value.replayed
    await emulator.control.clear_faults()
    await until(lambda: is_made(emulator, account))  # the stalled one is made late
    found = await customers.find_created(call(), ADA, sent_at)
    assert found is not None
    assert found.object is not None
    assert found.object.metadata == {"billing_request": "tag-one"}


async def test_a_request_lost_on_its_way_is_not_found(
    make_api: MakeApi, call: MakeCall, emulator: RunningEmulator
) -> None:
    customers = StripeCustomers(make_api(tries=1))
    await emulator.control.add_fault(FaultSpec(kind="drop_before", method="POST"))
    sent_at = now()
    with pytest.raises(Unanswered):
        await customers.create(call(), ADA)
    assert await customers.find_created(call(), ADA, sent_at) is None


@pytest.mark.parametrize("kind", ["cut", "drop_after", "drop_before"])
async def test_another_try_under_the_same_key_makes_no_second_one(
    customers: StripeCustomers,
    call: MakeCall,
    emulator: RunningEmulator,
    account: str,
    served: Served,
    kind: FaultKind,
) -> None:
    await emulator.control.add_fault(FaultSpec(kind=kind, method="POST", count=2))
    snapshot = await customers.create(call(), ADA)
    assert snapshot.object is not None
    assert snapshot.object.name == "Ada"
    assert await served(CREATE) == 3
    assert await customers_at(emulator, account) == 1


async def test_a_lost_update_and_a_lost_deletion_are_found_again(
    make_api: MakeApi, call: MakeCall, emulator: RunningEmulator
) -> None:
    customers = StripeCustomers(make_api(tries=1))
    made = await customers.create(call(), ADA)
    change = CustomerChange(made.id, CustomerFields(name="Countess"))
    await emulator.control.add_fault(FaultSpec(kind="drop_after", method="POST"))
    with pytest.raises(Unanswered):
        await customers.update(call("two"), change)
    found = await customers.find_updated(call("two"), change, now())
    assert found is not None
    assert found.object is not None
    assert found.object.name == "Countess"

    deletion = CustomerDeletion(made.id)
    await emulator.control.add_fault(FaultSpec(kind="cut", method="DELETE"))
    with pytest.raises(Unanswered):
        await customers.delete(call("three"), deletion)
    gone = await customers.find_deleted(call("three"), deletion, now())
    assert gone is not None
    assert gone.deleted


@pytest.mark.parametrize("kind", ["cut", "drop_after", "drop_before"])
async def test_a_deletion_tried_again_after_a_lost_answer_is_success(
    customers: StripeCustomers, call: MakeCall, emulator: RunningEmulator, kind: FaultKind
) -> None:
    made = await customers.create(call(), ADA)
    await emulator.control.add_fault(FaultSpec(kind=kind, method="DELETE"))
    assert (await customers.delete(call("two"), CustomerDeletion(made.id))).deleted


@pytest.mark.parametrize(
    "turned_away",
    [
        FaultSpec(kind="fail", status=429, method="POST", count=None),
        FaultSpec(kind="fail", status=429, retry_after=60, method="POST", count=None),
        FaultSpec(kind="fail", status=401, method="POST", count=None),
        FaultSpec(kind="fail", status=403, method="POST", count=None),
    ],
    ids=["429", "429 for long", "401", "403"],
)
async def test_a_lost_answer_stays_open_when_later_tries_are_turned_away(
    customers: StripeCustomers, call: MakeCall, emulator: RunningEmulator, turned_away: FaultSpec
) -> None:
    await emulator.control.add_fault(FaultSpec(kind="drop_after", method="POST"))
    await emulator.control.add_fault(turned_away)
    with pytest.raises(Unanswered):
        await customers.create(call(), ADA)


async def test_a_lost_answer_stays_open_when_stripe_cannot_be_reached_any_more(
    customers: StripeCustomers,
    call: MakeCall,
    api: StripeApi,
    monkeypatch: pytest.MonkeyPatch,
    emulator: RunningEmulator,
) -> None:
    await emulator.control.add_fault(FaultSpec(kind="drop_after", method="POST"))
    answers = iter([connection_error("ClientConnectorError", sent=False)] * 2)
    genuine = api._transport.request_async
    tries = 0

    async def first_genuine(*arguments: object, **named: object) -> object:
        nonlocal tries
        tries += 1
        if tries > 1:
            raise next(answers)
        return await genuine(*arguments, **named)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(api._transport, "request_async", first_genuine)
    with pytest.raises(Unanswered):
        await customers.create(call(), ADA)
    assert tries == 3


@pytest.mark.parametrize("kind", ["cut", "drop_before", "drop_after"])
async def test_a_read_is_simply_tried_again(
    api: StripeApi, account: str, emulator: RunningEmulator, kind: FaultKind
) -> None:
    await emulator.control.add_fault(FaultSpec(kind=kind, method="GET", count=2))
    answer = await api.request(Request("get", "/v1/customers", Subject("customer"), account))
    assert '"data":[]' in answer.body


@pytest.mark.parametrize("kind", ["cut", "drop_before", "stall"])
async def test_a_read_without_answer_is_unavailable(
    make_api: MakeApi, account: str, emulator: RunningEmulator, kind: FaultKind
) -> None:
    api = make_api(timeout_seconds=0.2)
    await emulator.control.add_fault(FaultSpec(kind=kind, seconds=0.4, method="GET", count=None))
    with pytest.raises(Unavailable) as caught:
        await api.request(Request("get", "/v1/customers", Subject("customer"), account))
    assert not isinstance(caught.value, Unanswered)


async def test_an_answer_beyond_the_bound_is_no_answer(
    make_api: MakeApi, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_BODY_BYTES", 10)
    with pytest.raises(Unavailable):
        await make_api().request(Request("get", "/v1/customers", Subject("customer"), account))


async def test_patience_ends_the_tries(
    make_api: MakeApi, account: str, emulator: RunningEmulator, served: Served
) -> None:
    api = make_api(first_backoff_seconds=60.0)
    await emulator.control.add_fault(FaultSpec(kind="fail", status=503, count=None))
    with pytest.raises(Unavailable):
        await api.request(Request("get", "/v1/customers", Subject("customer"), account))
    assert await served("GET /v1/customers") == 1


async def test_what_was_made_and_is_not_understood_is_not_made_again(
    make_api: MakeApi, call: MakeCall, emulator: RunningEmulator, account: str
) -> None:
    """A look-up does not stumble over others, and never says of one's own that it is not there."""
    customers = StripeCustomers(make_api(tries=1))
    sent_at = now()
    other = await customers.create(call("other"), ADA)
    own = await customers.create(call(), ADA)
    odd = '{"id": "%s", "created": "soon", "metadata": {"billing_request": "%s"}}'
    await emulator.control.disguise(account, other.id, odd % (other.id, "another"))
    found = await customers.find_created(call(), ADA, sent_at)
    assert found is not None
    assert found.id == own.id
    await emulator.control.disguise(account, own.id, odd % (own.id, "tag-one"))
    with pytest.raises(Unanswered, match="is not understood: created"):
        await customers.find_created(call(), ADA, sent_at)
    assert await customers.find_created(call("never"), ADA, sent_at) is None
