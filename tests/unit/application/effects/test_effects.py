"""Effects: once a business fact, whatever the order, the repetition and the crashes."""

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from application.events.inbox import EventState
from application.events.readings import Hint
from application.mirror.nouns import INVOICES
from application.projection.projector import LEASE
from domain.invoices import Invoice
from domain.periods import to_milliseconds
from domain.subscriptions import Subscription
from tests.support.fakes.breaking import Breaking
from tests.support.fakes.stores import NOON
from tests.support.rooms.effects import (
    BOTH,
    CONNECTION,
    NOTICE,
    PAID,
    SECOND,
    STRIPE,
    ProjectorWithEffects,
    invoice,
)
from tests.support.servers.stores import sqlite_stores


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[ProjectorWithEffects]:
    async with sqlite_stores(tmp_path / "billing.db") as stores:
        yield ProjectorWithEffects(stores)


@pytest.fixture
async def linked(desk: ProjectorWithEffects) -> ProjectorWithEffects:
    """An account that is connected, and its contact ada, who is customer cus_1."""
    await desk.connect()
    await desk.link()
    return desk


@pytest.mark.parametrize("types", [PAID, PAID[::-1]])
@pytest.mark.parametrize("apart", [True, False])
async def test_two_events_of_one_payment_are_one_fact(
    linked: ProjectorWithEffects, types: tuple[str, str], apart: bool
) -> None:
    for number, type_ in enumerate(types):
        await linked.receive(f"evt_{number}", type_, invoice())
        if apart:
            await linked.project()
    await linked.project()
    assert await linked.messages() == [NOTICE]
    assert await linked.jobs() == BOTH
    assert linked.queued.is_set()
    for number in range(2):
        state, _, effects = await linked.became(f"evt_{number}")
        assert state is EventState.PROCESSED
        assert effects == ("payment notice", "invoice_paid")


async def test_the_job_says_where_the_message_is(linked: ProjectorWithEffects) -> None:
    await linked.receive("evt_1", "invoice.paid", invoice())
    await linked.project()
    (posted,) = await linked.stores.support.messages("acme", "ada", limit=9)
    (claimed,) = await linked.stores.outbox.claim("x", now=linked.clock.now(), lease=LEASE, limit=9)
    assert claimed.job.payload == {
        "conversation": posted.conversation,
        "message": "support.payment_notice/acme/invoice_paid/in_1",
        "contact": "ada",
        "invoice": "in_1",
        "customer": "cus_1",
        "amount": 123_450,
        "currency": "usd",
    }
    assert claimed.job.id == posted.message.id


@pytest.mark.parametrize(
    "paid", [invoice(amount=0), invoice(customer="cus_9"), invoice(customer=None)]
)
async def test_nothing_paid_or_nobody_linked_is_no_message(
    linked: ProjectorWithEffects, paid: Invoice
) -> None:
    await linked.receive("evt_1", "invoice.paid", paid)
    await linked.project()
    assert await linked.messages() == []
    assert await linked.jobs() == ["events.invoice_paid"]


async def test_an_event_too_old_for_the_row_has_its_effects(linked: ProjectorWithEffects) -> None:
    void = replace(invoice(), status="void")
    await linked.receive("evt_2", "invoice.voided", void, at=NOON + 5 * SECOND)
    await linked.project()
    await linked.receive("evt_1", "invoice.paid", invoice())
    await linked.project()
    assert await linked.became("evt_1") == (
        EventState.PROCESSED,
        "ignored: older than what we have",
        ("payment notice", "invoice_paid"),
    )
    assert await linked.messages() == [NOTICE]


async def test_a_hint_has_the_effects_of_what_stripe_shows(linked: ProjectorWithEffects) -> None:
    linked.objects.shows = invoice()
    hint = Hint(INVOICES, "in_1", to_milliseconds(NOON))
    await linked.receive("evt_1", "invoice.paid", hint)
    await linked.project()
    assert await linked.messages() == [NOTICE]
    assert await linked.jobs() == BOTH


@pytest.mark.parametrize(
    "happened", [NOON - dt.timedelta(hours=1), NOON - dt.timedelta(days=30)], ids=["before", "old"]
)
async def test_facts_before_the_connection_or_too_old_have_no_effects(
    linked: ProjectorWithEffects, happened: dt.datetime
) -> None:
    if happened < NOON - dt.timedelta(days=1):
        await linked.connect(replace(CONNECTION, connected_at=NOON - dt.timedelta(days=99)))
    await linked.receive("evt_1", "invoice.paid", invoice(), at=happened)
    active = Subscription("sub_1", NOON, "cus_1", "active")
    await linked.receive("evt_2", "customer.subscription.created", active, at=happened)
    await linked.project()
    assert await linked.messages() == await linked.jobs() == []
    assert (await linked.became("evt_1"))[2] == ("too old for effects",)
    history = linked.stores.subscription_history
    (kept,) = await history.of_subscription(STRIPE, "sub_1", after=None, limit=9)
    assert (kept.at, kept.event_id, kept.subscription) == (happened, "evt_2", active)


async def test_every_event_of_a_subscription_is_history_at_its_own_time(
    desk: ProjectorWithEffects,
) -> None:
    statuses = ["trialing", "active", "canceled"]
    for number in (2, 0, 1):  # out of order
        found = Subscription("sub_1", NOON, "cus_1", statuses[number])
        at = NOON + number * SECOND
        await desk.receive(f"evt_{number}", "customer.subscription.updated", found, at=at)
        await desk.project()
    history = desk.stores.subscription_history
    kept = await history.of_subscription(STRIPE, "sub_1", after=None, limit=9)
    assert [one.subscription.status for one in kept] == statuses
    assert [one.at for one in kept] == [NOON + number * SECOND for number in range(3)]


# --- an account that is not known yet ---


async def test_effects_wait_for_the_connection_and_are_drained_by_it(
    desk: ProjectorWithEffects,
) -> None:
    await desk.link()
    for number in range(3):
        await desk.receive(f"evt_{number}", "invoice.paid", invoice(f"in_{number}"))
    await desk.receive("evt_x", "invoice.updated", invoice("in_x"))
    await desk.project()
    assert await desk.stores.waiting_events.count() == 3
    assert (await desk.became("evt_0"))[0] is EventState.PROCESSED
    assert (await desk.became("evt_0"))[2][-1] == "effects wait for a connection"
    assert await desk.effects().drain(STRIPE) == 0
    await desk.connect()
    assert await desk.effects().drain(STRIPE) == 3
    assert await desk.messages() == [NOTICE] * 3
    assert await desk.jobs() == sorted(BOTH * 3)
    assert await desk.stores.waiting_events.count() == 0
    assert await desk.effects().drain(STRIPE) == 0


async def test_a_connection_made_while_an_event_is_added_is_not_missed(
    desk: ProjectorWithEffects,
) -> None:
    await desk.link()
    await desk.receive("evt_1", "invoice.paid", invoice())

    async def connect(where: str) -> None:
        if where == "add":
            await desk.connect()
            assert await desk.effects().drain(STRIPE) == 0, "it comes too early"

    await desk.project(waiting_events=Breaking(desk.stores.waiting_events, before=connect))
    assert await desk.messages() == [NOTICE]
    assert await desk.stores.waiting_events.count() == 0


async def test_what_a_dead_process_left_waiting_is_found(desk: ProjectorWithEffects) -> None:
    await desk.link()
    await desk.receive("evt_1", "invoice.paid", invoice())
    await desk.receive("evt_2", "invoice.paid", invoice("in_2"), account="acct_0")
    await desk.project()
    await desk.connect()
    assert await desk.effects().drain_all() == 1
    assert await desk.stores.waiting_events.count() == 1
    desk.clock.advance(days=3)
    assert await desk.effects().drain_all() == 0
    assert await desk.stores.waiting_events.count() == 0, "too old to have effects any more"
    assert await desk.messages() == [NOTICE]


async def test_a_failing_effect_goes_on_waiting_and_holds_up_no_other(
    desk: ProjectorWithEffects,
) -> None:
    await desk.link()
    for number in range(2):
        await desk.receive(f"evt_{number}", "invoice.paid", invoice(f"in_{number}"))
    await desk.project()
    await desk.connect()

    async def refuse(where: str) -> None:
        raise RuntimeError(where)

    broken = desk.effects(support=Breaking(desk.stores.support, before=refuse))
    assert await broken.drain(STRIPE) == 0
    assert await desk.stores.waiting_events.count() == 2
    assert await desk.effects().drain(STRIPE) == 2
    assert await desk.messages() == [NOTICE] * 2


async def test_a_waiting_effect_that_fails_holds_up_no_other(desk: ProjectorWithEffects) -> None:
    await desk.link()
    for number in range(3):
        await desk.receive(f"evt_{number}", "invoice.paid", invoice(f"in_{number}"))
    await desk.project()
    await desk.connect()

    async def refuse(_: str, message: Any) -> None:
        if message.id.endswith("in_1"):
            raise RuntimeError("personal data")

    broken = desk.effects(support=Breaking(desk.stores.support, before_with=refuse))
    assert await broken.drain(STRIPE) == 2
    assert await desk.stores.waiting_events.count() == 1
    assert await desk.messages() == [NOTICE] * 2


async def test_the_platforms_own_events_have_no_tenant(desk: ProjectorWithEffects) -> None:
    await desk.receive("evt_1", "invoice.paid", invoice(), account="")
    await desk.project()
    assert (await desk.became("evt_1"))[0] is EventState.PROCESSED
    assert await desk.stores.waiting_events.count() == 0
    assert await desk.jobs() == []
