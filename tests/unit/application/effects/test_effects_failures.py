"""Effects that fail or are cut off: nothing lost, nothing doubled, nobody held up."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from application.projection.projector import LEASE
from domain.contacts import Contact, contact_id_for
from domain.errors import Unavailable
from domain.subscriptions import Subscription
from tests.support.fakes.breaking import Breaking, Crash, Died
from tests.support.fakes.stores import NOON
from tests.support.rooms.effects import (
    BOTH,
    NOTICE,
    STRIPE,
    ProjectorWithEffects,
    contact_of,
    customer,
    invoice,
    sync,
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


async def test_a_poisoned_effect_holds_up_no_other_and_is_tried_again(
    linked: ProjectorWithEffects,
) -> None:
    for number in range(3):
        await linked.receive(f"evt_{number}", "invoice.paid", invoice(f"in_{number}"))

    async def refuse(_: str, message: Any) -> None:
        if message.id.endswith("in_1"):
            raise RuntimeError("personal data")

    support = Breaking(linked.stores.support, before_with=refuse)
    await linked.project(support=support)
    states = [(await linked.became(f"evt_{number}"))[0] for number in range(3)]
    assert states == ["processed", "pending", "processed"]
    assert len(await linked.messages()) == 2
    found = await linked.stores.inbox.get("evt_1")
    assert found is not None
    assert found[1] == "RuntimeError"
    linked.clock.advance(seconds=5)
    await linked.project()
    assert len(await linked.messages()) == 3
    assert await linked.jobs() == sorted(BOTH * 3)


PORTS: Final = (
    "inbox", "mirror", "connections", "contacts", "support", "subscription_history", "outbox",
    "waiting_events",
)  # fmt: skip
MOST_CALLS: Final = 200


async def _history(desk: ProjectorWithEffects) -> None:
    """Events of every effect, to be projected."""
    await sync(desk)
    await desk.link()
    await desk.receive("evt_1", "customer.created", customer(name="Ada", email="a@x.test"))
    await desk.receive("evt_2", "customer.created", customer("cus_2", email="b@x.test"))
    await desk.receive("evt_3", "invoice.paid", invoice())
    await desk.receive("evt_4", "invoice.payment_succeeded", invoice())
    await desk.receive("evt_5", "invoice.paid", invoice("in_2"))
    active = Subscription("sub_1", NOON, "cus_1", "active")
    await desk.receive("evt_6", "customer.subscription.created", active)
    await desk.receive("evt_7", "invoice.paid", invoice("in_3"), account="acct_2")


async def _assert_once(desk: ProjectorWithEffects) -> None:
    assert await desk.messages() == [NOTICE] * 2
    assert await desk.jobs() == [
        *["events.customer_created"] * 2,
        *["events.invoice_paid"] * 2,
        "events.subscription_created",
        *["support.payment_notice"] * 2,
    ]
    ada, second = await contact_of(desk, "cus_1"), await contact_of(desk, "cus_2")
    assert ada == Contact("ada", "acme", {"name": "Ada", "email": "a@x.test"})
    own = contact_id_for("acme", STRIPE, "cus_2")
    assert second == Contact(own, "acme", {"email": "b@x.test"})
    history = desk.stores.subscription_history
    kept = await history.of_subscription(STRIPE, "sub_1", after=None, limit=9)
    assert [one.event_id for one in kept] == ["evt_6"]
    assert await desk.stores.waiting_events.count() == 1
    assert await desk.stores.inbox.backlog() == 0


@pytest.mark.parametrize("how", ["dies before", "dies after", "store fails before"])
async def test_a_crash_at_any_step_loses_nothing_and_doubles_nothing(
    tmp_path: Path, how: str
) -> None:
    for step in range(MOST_CALLS):
        async with sqlite_stores(tmp_path / f"{step}.db") as stores:
            desk = ProjectorWithEffects(stores)
            await _history(desk)
            crash = Crash(step, store_fails=how.startswith("store"))
            where = "after" if how.endswith("after") else "before"
            breaking: dict[str, Any] = {
                name: Breaking(getattr(stores, name), **{where: crash}) for name in PORTS
            }
            with contextlib.suppress(Died, Unavailable):
                await desk.project(**breaking)
            desk.clock.advance(seconds=LEASE.total_seconds())
            await desk.project(owner="two")
            await _assert_once(desk)
            if not crash.happened:
                assert step > 20, "there are more steps than that"
                return
    raise AssertionError("the projection never ends")
