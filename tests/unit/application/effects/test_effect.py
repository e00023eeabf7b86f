"""Followers and effects of a new capability: registered, and the engine knows nothing of them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from application.effects.effect import Effect, Follower
from application.effects.happenings import DueEvent, EventWithFacts, Outcome
from application.events.inbox import EventState
from application.events.readings import Hint
from application.mirror.nouns import CUSTOMERS
from domain.invoices import Invoice
from domain.periods import to_milliseconds
from tests.support.fakes.stores import NOON
from tests.support.rooms.effects import CONNECTION, SECOND, STRIPE, ProjectorWithEffects, invoice
from tests.support.servers.stores import sqlite_stores


@dataclass
class Listening(Follower):
    """Remembers which events it was told; fails of those in `fails`."""

    told: list[str] = field(default_factory=list)
    fails: dict[str, Exception] = field(default_factory=dict)

    @override
    async def after(
        self, events: Sequence[EventWithFacts], outcomes: Mapping[str, Outcome]
    ) -> None:
        for event in events:
            self.told.append(event.id)
            outcomes[event.id].note(self.fails.get(event.id, "listened"))


@dataclass
class Thanks(Effect):
    """Thanks accounts for what was paid. `refuses` is raised by the next call."""

    given: list[tuple[str, str]] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    refuses: Exception | None = None

    @override
    async def after(self, due: Sequence[DueEvent], outcomes: Mapping[str, Outcome]) -> None:
        if self.refuses is not None:
            refused, self.refuses = self.refuses, None
            raise refused
        for due_event in due:
            if isinstance(due_event.event.object, Invoice):
                self.given.append((due_event.connection.account, due_event.event.object.id))
                self.before.append(due_event.since_ms)
                outcomes[due_event.event.id].note("thanked")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[ProjectorWithEffects]:
    async with sqlite_stores(tmp_path / "billing.db") as stores:
        yield ProjectorWithEffects(stores)


@pytest.fixture
def listening(desk: ProjectorWithEffects) -> Listening:
    follower = Listening()
    desk.more_followers.append(follower)
    return follower


@pytest.fixture
def thanks(desk: ProjectorWithEffects) -> Thanks:
    effect = Thanks()
    desk.more_effects.append(effect)
    return effect


async def test_a_new_effect_is_registered_and_has_what_is_due(
    desk: ProjectorWithEffects, thanks: Thanks
) -> None:
    await desk.connect()
    await desk.receive("evt_1", "invoice.paid", invoice())
    await desk.receive("evt_2", "invoice.updated", invoice("in_2"))
    await desk.receive("evt_3", "invoice.paid", invoice("in_3"), at=NOON - 3600 * SECOND)
    await desk.project()
    assert thanks.given == [("acme", "in_1")]
    assert thanks.before == [to_milliseconds(CONNECTION.connected_at - 600 * SECOND)]
    assert (await desk.became("evt_1"))[2] == ("invoice_paid", "thanked"), "after those before it"


async def test_a_new_effect_waits_for_the_tenant_with_all_others(
    desk: ProjectorWithEffects, thanks: Thanks, listening: Listening
) -> None:
    await desk.receive("evt_1", "invoice.paid", invoice())
    await desk.project()
    assert (listening.told, thanks.given) == (["evt_1"], [])
    await desk.connect()
    assert await desk.effects().drain(STRIPE) == 1
    assert (listening.told, thanks.given) == (["evt_1"], [("acme", "in_1")]), "told once"


async def test_what_an_effect_raises_holds_up_no_other_event(
    desk: ProjectorWithEffects, thanks: Thanks
) -> None:
    await desk.connect()
    await desk.receive("evt_1", "invoice.paid", invoice())
    thanks.refuses = LookupError("a defect")
    await desk.project()
    assert (await desk.became("evt_1"))[0] is EventState.PENDING
    desk.clock.advance(seconds=5)
    await desk.project()
    assert (await desk.became("evt_1"))[0] is EventState.PROCESSED
    assert await desk.jobs() == ["events.invoice_paid"], "the effects before it once more, once"


async def test_a_new_follower_is_told_of_every_distinct_event(
    desk: ProjectorWithEffects, listening: Listening
) -> None:
    desk.objects.shows = None
    gone: Any = Hint(CUSTOMERS, "cus_1", to_milliseconds(NOON))
    await desk.receive("platform", "invoice.paid", invoice(), account="")
    await desk.receive("deletion", "customer.deleted", gone)
    await desk.receive("newer", "invoice.updated", invoice("in_2"), at=NOON + SECOND)
    await desk.receive("no fact", "invoice.updated", invoice("in_3"))
    await desk.project()
    await desk.receive("too old", "invoice.created", invoice("in_2"))
    await desk.project()
    assert sorted(listening.told) == ["deletion", "newer", "no fact", "platform", "too old"]
    assert (await desk.became("deletion"))[2] == ("listened",)


async def test_an_event_that_a_follower_fails_of_has_no_effects_yet(
    desk: ProjectorWithEffects, listening: Listening, thanks: Thanks
) -> None:
    await desk.connect()
    for number in range(2):
        await desk.receive(f"evt_{number}", "invoice.paid", invoice(f"in_{number}"))
    listening.fails["evt_0"] = LookupError("a defect")
    await desk.project()
    assert thanks.given == [("acme", "in_1")]
    listening.fails.clear()
    desk.clock.advance(seconds=5)
    await desk.project()
    assert thanks.given == [("acme", "in_1"), ("acme", "in_0")]
