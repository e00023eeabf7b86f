"""Events as operators and tenants see them: whose they are, listed, shown, tried again."""

import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import pytest

from application.events.event_log import MAX_EVENTS, EventRecord
from application.events.inbox import EventState
from application.events.use_cases import (
    PAYLOAD_SCOPE,
    PLATFORM,
    RETRY_BATCHES,
    EventQuery,
    ObjectQuery,
)
from application.requests.callers import Caller
from application.requests.paging import Page
from domain.connections import ConnectionState
from domain.errors import (
    BillingError,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Reason,
    Unavailable,
)
from tests.support.fakes.stores import NOON
from tests.support.rooms.events import (
    ACME,
    ALL,
    LATER,
    RIVAL,
    STRANGER,
    EventsDesk,
    connection,
    event,
)

STEP: Final = dt.timedelta(milliseconds=1)


@pytest.fixture
def desk() -> EventsDesk:
    """An event of acme, two of rival and one of the platform's own."""
    return EventsDesk(
        event("evt_a"),
        event("evt_r1", "acct_rival", received_at=NOON + dt.timedelta(seconds=1)),
        event("evt_r2", "acct_rival", received_at=NOON + dt.timedelta(seconds=2)),
        event("evt_p", "", received_at=NOON + dt.timedelta(seconds=3)),
    )


def ids(found: Page[EventRecord] | Iterable[EventRecord]) -> list[str]:
    return [one.id for one in (found.items if isinstance(found, Page) else found)]


def fields(error: pytest.ExceptionInfo[InvalidArgument]) -> list[str]:
    return [violation.field for violation in error.value.violations]


async def test_a_tenant_sees_the_events_of_its_own_stripe_account(desk: EventsDesk) -> None:
    assert ids(await desk.events.list(ACME, EventQuery())) == ["evt_a"]
    assert ids(await desk.events.list(RIVAL, EventQuery())) == ["evt_r2", "evt_r1"]
    own = EventQuery(stripe_account="acct_acme")
    assert ids(await desk.events.list(ACME, own)) == ["evt_a"]


@pytest.mark.parametrize("named", ["acct_rival", "acct_nobody", PLATFORM, "nonsense"])
async def test_a_tenant_cannot_name_another_stripe_account(desk: EventsDesk, named: str) -> None:
    query = EventQuery(stripe_account=named)
    for call in (desk.events.list(ACME, query), desk.events.retry_all(ACME, query)):
        with pytest.raises(NotFound):
            await call


async def test_an_operator_sees_all_and_the_platforms_own(desk: EventsDesk) -> None:
    found = await desk.events.list(ALL, EventQuery())
    assert ids(found) == ["evt_p", "evt_r2", "evt_r1", "evt_a"]
    for named in (PLATFORM, "acct_platform"):
        assert ids(await desk.events.list(ALL, EventQuery(stripe_account=named))) == ["evt_p"]
    query = EventQuery(stripe_account="acct_acme")
    assert ids(await desk.events.list(ALL, query)) == ["evt_a"]


async def test_a_tenant_that_is_the_platforms_own_stripe_account_sees_its_events(
    desk: EventsDesk,
) -> None:
    await desk.connections.put(connection("stranger", stripe_account="acct_platform"))
    assert ids(await desk.events.list(STRANGER, EventQuery())) == ["evt_p"]
    assert (await desk.events.get(STRANGER, "evt_p"))[0].id == "evt_p"


async def test_nothing_needs_an_answer_of_stripes(desk: EventsDesk) -> None:
    desk.deployment.platform = None  # nobody has asked yet, and Stripe does not answer
    desk.stripe.error = Unavailable(Reason.STRIPE_UNAVAILABLE, "down")
    assert ids(await desk.events.list(ACME, EventQuery())) == ["evt_a"]
    assert (await desk.events.get(ACME, "evt_a"))[0].id == "evt_a"
    platform = EventQuery(stripe_account=PLATFORM)
    assert ids(await desk.events.list(ALL, platform)) == ["evt_p"]
    assert ids(await desk.events.list(ALL, EventQuery(stripe_account="acct_acme"))) == ["evt_a"]
    with pytest.raises(NotFound):
        await desk.events.get(ACME, "evt_p")
    object_ = ObjectQuery("customer", "cus_1")
    assert len((await desk.events.explain_object(ACME, object_)).events.items) == 1
    assert desk.stripe.asked == []


async def test_without_a_connection_there_is_nothing_to_see(desk: EventsDesk) -> None:
    calls = (
        desk.events.list(STRANGER, EventQuery()),
        desk.events.get(STRANGER, "evt_a"),
        desk.events.retry(STRANGER, "evt_a"),
        desk.events.retry_all(STRANGER, EventQuery()),
    )
    for call in calls:
        with pytest.raises(FailedPrecondition) as refusal:
            await call
        assert refusal.value.reason is Reason.STRIPE_NOT_CONNECTED


async def test_whose_stripe_account_is_anothers_by_now_sees_nothing_of_it(desk: EventsDesk) -> None:
    await desk.connections.put(connection("acme", state=ConnectionState.REVOKED))
    await desk.connections.put(connection("rival", stripe_account="acct_acme"))
    with pytest.raises(FailedPrecondition) as refusal:
        await desk.events.list(ACME, EventQuery())
    assert refusal.value.reason is Reason.STRIPE_CONNECTION_REVOKED
    assert ids(await desk.events.list(RIVAL, EventQuery())) == ["evt_a"]


@pytest.mark.parametrize("caller", [ACME, RIVAL, ALL])
async def test_an_event_that_is_not_there_is_not_found(desk: EventsDesk, caller: Caller) -> None:
    with pytest.raises(NotFound):
        await desk.events.get(caller, "evt_x")


@pytest.mark.parametrize("event_id", ["evt_r1", "evt_p"])
async def test_another_tenants_event_is_not_found(desk: EventsDesk, event_id: str) -> None:
    desk.log.records[event_id] = replace(desk.log.records[event_id], state=EventState.DEAD)
    full = replace(ACME, scopes=frozenset({PAYLOAD_SCOPE}))
    calls = (
        desk.events.get(ACME, event_id),
        desk.events.get(full, event_id, full=True),
        desk.events.retry(ACME, event_id),
    )
    for call in calls:
        with pytest.raises(NotFound) as refusal:
            await call
        assert refusal.value.metadata == {"resource": "event", "id": event_id}
    assert desk.log.retried == []


async def test_a_payload_needs_a_scope_of_its_own(desk: EventsDesk) -> None:
    assert (await desk.events.get(ACME, "evt_a"))[1] is None
    for event_id in ("evt_a", "evt_x"):  # the refusal tells nothing of the event
        with pytest.raises(PermissionDenied) as refusal:
            await desk.events.get(ACME, event_id, full=True)
        assert refusal.value.reason is Reason.SCOPE_MISSING
        assert refusal.value.metadata == {"scope": "events.payload"}
    allowed = replace(ACME, scopes=frozenset({PAYLOAD_SCOPE}))
    assert (await desk.events.get(allowed, "evt_a"))[1] is None
    assert (await desk.events.get(allowed, "evt_a", full=True))[1] == b'{"secret": 1}'


async def test_a_payload_is_shown_without_client_secrets() -> None:
    raw = (
        rb'{"a":{"client_secret":"seti_1_secret_x\"y\\","id":1},"client_secret" : "pi_2_secret_z",'
    )
    raw += rb'"n":"\"client_secret\": \"quoted\"","client_secret":null}'
    desk = EventsDesk(event("evt_a", payload=raw))
    allowed = replace(ACME, scopes=frozenset({PAYLOAD_SCOPE}))
    _, shown = await desk.events.get(allowed, "evt_a", full=True)
    assert shown is not None
    assert b"_secret_" not in shown
    whole = json.loads(raw)
    whole["a"]["client_secret"] = "[redacted]"
    assert json.loads(shown) == whole, "the rest is as Stripe sent it"
    assert await desk.log.payload("evt_a") == raw


async def test_a_list_is_paged_without_gap_or_repeat() -> None:
    desk = EventsDesk(*(event(f"evt_{n:03}", received_at=NOON + n // 3 * STEP) for n in range(120)))
    seen: list[str] = []
    token = ""
    for size in (50, 50, 50):
        page = await desk.events.list(ACME, EventQuery(), page_token=token)
        assert len(page.items) <= size
        seen += ids(page)
        token = page.next_page_token
    assert token == ""
    assert seen == [f"evt_{n:03}" for n in reversed(range(120))]
    assert desk.log.limits == [50, 50, 50]


async def test_a_page_is_as_large_as_asked_for(desk: EventsDesk) -> None:
    page = await desk.events.list(ALL, EventQuery(), page_size=3)
    assert ids(page) == ["evt_p", "evt_r2", "evt_r1"]
    await desk.events.list(ALL, EventQuery(), page_size=MAX_EVENTS)
    assert desk.log.limits == [3, MAX_EVENTS]


async def test_a_page_token_belongs_to_its_tenant_and_filter(desk: EventsDesk) -> None:
    token = (await desk.events.list(RIVAL, EventQuery(), page_size=1)).next_page_token
    assert ids(await desk.events.list(RIVAL, EventQuery(), page_token=token)) == ["evt_r1"]
    others = [
        (ACME, EventQuery()),
        (ALL, EventQuery()),
        (RIVAL, EventQuery(type="customer.updated")),
        (RIVAL, EventQuery(state=EventState.PROCESSED)),
        (RIVAL, EventQuery(object_id="cus_1")),
        (RIVAL, EventQuery(received_from=NOON)),
        (RIVAL, EventQuery(received_until=LATER)),
    ]
    for caller, query in others:
        with pytest.raises(InvalidArgument) as refusal:
            await desk.events.list(caller, query, page_token=token)
        assert refusal.value.reason is Reason.INVALID_PAGE_TOKEN


async def test_all_conditions_of_a_filter_reach_the_log() -> None:
    wanted = event("evt_1", received_at=NOON, state=EventState.DEAD)
    others = [
        event("evt_2", "acct_rival", state=EventState.DEAD),
        event("evt_3", state=EventState.PENDING),
        event("evt_4", state=EventState.DEAD, type="customer.created"),
        event("evt_5", state=EventState.DEAD, object_id="cus_2"),
        event("evt_6", state=EventState.DEAD, received_at=NOON - STEP),
        event("evt_7", state=EventState.DEAD, received_at=LATER),
    ]
    desk = EventsDesk(wanted, *others)
    query = EventQuery("acct_acme", EventState.DEAD, "customer.updated", "cus_1", NOON, LATER)
    for caller in (ACME, ALL):
        assert ids(await desk.events.list(caller, query)) == ["evt_1"]
    assert await desk.events.retry_all(ACME, query) == (1, False)
    assert desk.log.retried == ["evt_1"]


@pytest.mark.parametrize(
    ("caller", "query", "sizes", "expected"),
    [
        (ACME, EventQuery(), {"page_size": -1}, ["page_size"]),
        (ACME, EventQuery(), {"page_size": 1_001}, ["page_size"]),
        (ACME, EventQuery(type="x" * 256, object_id="x" * 256), {}, ["type", "object_id"]),
        (ACME, EventQuery(received_from=NOON, received_until=NOON), {}, ["received_before"]),
        (ALL, EventQuery(object_id="cus_1"), {}, ["stripe_account"]),
        (ALL, EventQuery(stripe_account="acme"), {}, ["stripe_account"]),
        (ALL, EventQuery(), {"violations": [FieldViolation("state", "x")]}, ["state"]),
    ],
)
async def test_bad_input_is_told_all_at_once(
    desk: EventsDesk, caller: Caller, query: EventQuery, sizes: dict[str, Any], expected: list[str]
) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        await desk.events.list(caller, query, **sizes)
    assert fields(refusal) == expected
    if not {*sizes} - {"violations"}:
        with pytest.raises(InvalidArgument) as refusal:
            await desk.events.retry_all(caller, query, **sizes)
        assert fields(refusal) == expected


@pytest.mark.parametrize("event_id", ["", "e" * 256])
async def test_an_event_is_named_by_its_id(desk: EventsDesk, event_id: str) -> None:
    for call in (desk.events.get(ACME, event_id), desk.events.retry(ACME, event_id)):
        with pytest.raises(InvalidArgument) as refusal:
            await call
        assert fields(refusal) == ["id"]


@pytest.mark.parametrize("caller", [ACME, ALL])
async def test_a_dead_event_is_due_at_once_and_the_projector_wakes(caller: Caller) -> None:
    desk = EventsDesk()
    desk.log.add(event("evt_1", state=EventState.DEAD), attempts=9, error="boom")
    record = await desk.events.retry(caller, "evt_1")
    assert (record.state, record.attempts, record.due_at) == (
        EventState.PENDING, 0, desk.clock.now(),
    )  # fmt: skip
    assert record.error == "boom"
    assert desk.arrived.is_set()


async def test_an_event_that_is_done_is_left_as_it_is(desk: EventsDesk) -> None:
    record = await desk.events.retry(ACME, "evt_a")
    assert record.state is EventState.PROCESSED
    assert not desk.arrived.is_set()


async def test_all_dead_events_are_retried_in_bounded_batches() -> None:
    count = MAX_EVENTS + 5
    desk = EventsDesk(*(event(f"evt_{n}", state=EventState.DEAD) for n in range(count)))
    desk.log.add(event("evt_other", "acct_rival", state=EventState.DEAD))
    assert await desk.events.retry_all(ACME, EventQuery()) == (count, False)
    assert desk.log.records["evt_other"].state is EventState.DEAD
    assert desk.arrived.is_set()
    assert await desk.events.retry_all(ALL, EventQuery()) == (1, False)


async def test_none_to_retry_wakes_nobody(desk: EventsDesk) -> None:
    assert await desk.events.retry_all(ALL, EventQuery()) == (0, False)
    assert not desk.arrived.is_set()


async def test_events_that_die_again_at_once_do_not_hold_a_call_forever() -> None:
    desk = EventsDesk(event("evt_1", state=EventState.DEAD))

    async def kill(_: str) -> None:
        record = desk.log.records["evt_1"]
        desk.log.records["evt_1"] = replace(record, state=EventState.DEAD)

    desk.log.pause = kill
    assert await desk.events.retry_all(ALL, EventQuery()) == (RETRY_BATCHES, True)


async def test_what_was_retried_before_a_failure_is_worked_on() -> None:
    desk = EventsDesk(*(event(f"evt_{n}", state=EventState.DEAD) for n in range(MAX_EVENTS + 1)))
    calls = 0

    async def fail(_: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:  # the second batch
            raise BillingError(Reason.STORE_UNAVAILABLE, "down")

    desk.log.pause = fail
    with pytest.raises(BillingError):
        await desk.events.retry_all(ALL, EventQuery())
    assert len(desk.log.retried) == MAX_EVENTS
    assert desk.arrived.is_set()
