"""A payment is told to its contact, whichever was told first: the payment or the customer."""

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any, Final

import pytest

from application.support.payment_notices import LATE
from domain.contacts import contact_id_for
from tests.support.fakes.breaking import Breaking, Crash, Died
from tests.support.fakes.stores import NOON
from tests.support.rooms.effects import (
    CONNECTION,
    NOTICE,
    SECOND,
    STRIPE,
    ProjectorWithEffects,
    customer,
    invoice,
    sync,
)
from tests.support.servers.stores import sqlite_stores

OWN: Final = contact_id_for("acme", STRIPE, "cus_1")
PAID: Final = replace(invoice(), paid_at=NOON)
TOLD: Final[dict[str, tuple[str, Any]]] = {
    "evt_customer": ("customer.created", customer(name="Ada")),
    "evt_paid": ("invoice.paid", PAID),
    "evt_succeeded": ("invoice.payment_succeeded", PAID),
}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[ProjectorWithEffects]:
    async with sqlite_stores(tmp_path / "billing.db") as stores:
        desk = ProjectorWithEffects(stores)
        await sync(desk)
        yield desk


@pytest.mark.parametrize("order", list(permutations(TOLD)))
async def test_one_notice_in_whatever_order_it_is_told(
    desk: ProjectorWithEffects, order: tuple[str, ...]
) -> None:
    for id_ in order:
        await desk.receive(id_, *TOLD[id_])
        await desk.project()
    assert await desk.messages(OWN) == [NOTICE]
    assert (await desk.jobs()).count("support.payment_notice") == 1


async def test_a_crash_between_the_link_and_the_notice_loses_none(
    desk: ProjectorWithEffects,
) -> None:
    await desk.receive("evt_paid", *TOLD["evt_paid"])
    await desk.project()
    await desk.receive("evt_customer", *TOLD["evt_customer"])
    with pytest.raises(Died):
        await desk.project(support=Breaking(desk.stores.support, before=Crash(0)))
    assert await desk.messages(OWN) == []
    desk.clock.advance(seconds=60)
    await desk.project(owner="two")
    assert await desk.messages(OWN) == [NOTICE]


@pytest.mark.parametrize(
    "paid",
    [
        replace(PAID, paid_at=NOON - dt.timedelta(days=3)),
        replace(PAID, paid_at=None),
        replace(invoice(amount=0), paid_at=NOON),
        replace(PAID, status="open"),
        replace(PAID, customer="cus_2"),
    ],
    ids=["too old", "unknown when", "nothing", "not paid", "another's"],
)
async def test_what_is_no_recent_payment_of_his_is_not_told(
    desk: ProjectorWithEffects, paid: Any
) -> None:
    await desk.connect(replace(CONNECTION, connected_at=NOON - dt.timedelta(days=99)))
    await desk.receive("evt_1", "invoice.updated", paid)
    await desk.receive("evt_2", *TOLD["evt_customer"])
    await desk.project()
    assert await desk.messages(OWN) == []


async def test_what_is_paid_well_after_the_link_is_told_by_its_own_event_alone(
    desk: ProjectorWithEffects,
) -> None:
    await desk.receive("evt_1", *TOLD["evt_customer"])
    await desk.project()
    later = replace(PAID, paid_at=desk.clock.now() + LATE)
    await desk.receive("evt_2", "invoice.updated", later)
    changed = customer(name="Ada L.")
    await desk.receive("evt_3", "customer.updated", changed, at=NOON + SECOND)
    await desk.project()
    assert await desk.messages(OWN) == []
