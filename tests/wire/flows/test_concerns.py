"""What events mean beyond their own object: charges of disputes, accounts, ended connections."""

import asyncio
import datetime as dt
from dataclasses import replace
from typing import Any, Final

import pytest

from application.connections.deauthorization import Deauthorizing
from application.connections.use_cases import Connections
from application.events.inbox import EventState, ReceivedEvent
from application.mirror.enrichment import Enrichment
from application.mirror.nouns import CHARGES, STRIPE_ACCOUNTS
from application.projection.projector import Projector
from application.requests.callers import Caller
from domain.connections import Connection, ConnectionKind, ConnectionState, Mode
from domain.errors import FailedPrecondition
from domain.periods import to_milliseconds
from infrastructure.stripe.connections.gateway import StripeConnectedAccounts
from infrastructure.stripe.readers.events import StripeEventReader
from sandbox.emulator.core.messages import FaultSpec
from tests.support.rooms.upkeep import Flows

DAY: Final = 86_400
MINUTE: Final = dt.timedelta(minutes=1)
CALLER: Final = Caller("service", "acme", frozenset())


async def single_reads(flows: Flows) -> int:
    """How many single objects were read so far."""
    routes = (await flows.emulator.control.stats()).routes
    return sum(
        count for route, count in routes.items() if route.startswith("GET") and "{id}" in route
    )


async def disputed(flows: Flows) -> list[bool]:
    rows: Any = (await flows.mirrored())[CHARGES.name]
    return [row.disputed for row in rows.values()]


async def decisions(flows: Flows, kind: str) -> list[str]:
    """What became of the events of a type."""
    page = await flows.lister.events(
        flows.account, flows.place, since_ms=0, priority=flows.priority, types=[kind]
    )
    stored = [await flows.stores.inbox.get(event.id) for event in page.items]
    return [one[0].decision for one in stored if one]


async def charge(flows: Flows, source: str) -> dict[str, Any]:
    return await flows.post("/v1/charges", amount=900, currency="usd", source=source)


@pytest.mark.parametrize("apart", [True, False])
async def test_a_dispute_makes_its_charge_disputed(flows: Flows, apart: bool) -> None:
    await flows.backfilled()
    paid = await charge(flows, "tok_visa")
    if apart:
        await flows.pass_time(30)
        await flows.caught_up()
        assert await disputed(flows) == [False]
    before = await single_reads(flows)
    await flows.emulator.control.happen("charges", paid["id"], "dispute", account=flows.account)
    await flows.caught_up()
    assert await disputed(flows) == [True]
    assert await single_reads(flows) - before == 1
    (decision,) = await decisions(flows, "charge.dispute.created")
    assert f"charge {paid['id']} re-read" in decision
    await flows.balance_transactions.refresh(flows.account)
    await flows.assert_right()


async def test_a_charge_that_was_seen_since_is_not_read(flows: Flows) -> None:
    paid = await charge(flows, "tok_visa")
    await flows.emulator.control.happen("charges", paid["id"], "dispute", account=flows.account)
    await flows.pass_time(30)
    await flows.post(f"/v1/charges/{paid['id']}", description="told by charge.updated")
    before = await single_reads(flows)
    await flows.caught_up()
    assert await single_reads(flows) == before
    assert await disputed(flows) == [True]
    (decision,) = await decisions(flows, "charge.dispute.created")
    assert decision.endswith(f"; charge {paid['id']} seen since")


async def test_a_charge_that_cannot_be_read_brings_the_event_again(flows: Flows) -> None:
    await flows.backfilled()
    paid = await charge(flows, "tok_visa")
    await flows.emulator.control.happen("charges", paid["id"], "dispute", account=flows.account)
    fault = FaultSpec("fail", status=503, route="/v1/charges/{id}", count=None)
    await flows.emulator.control.add_fault(fault)
    await flows.caught_up()
    assert await decisions(flows, "charge.dispute.created") == ["waits"]
    assert await disputed(flows) == [False]
    await flows.emulator.control.clear_faults()
    await flows.pass_time(DAY)  # no pause before a retry is that long
    await flows.project()
    assert await disputed(flows) == [True]
    (decision,) = await decisions(flows, "charge.dispute.created")
    assert f"; charge {paid['id']} re-read: applied" in decision


async def test_an_account_that_changes_is_mirrored(flows: Flows) -> None:
    await flows.backfilled()
    await flows.emulator.control.happen(
        "accounts", flows.account, "review", {"charges_enabled": "false"}, account=flows.account
    )
    await flows.caught_up()
    rows: Any = (await flows.mirrored())[STRIPE_ACCOUNTS.name]
    assert not rows[flows.account].charges_enabled
    assert rows[flows.account].capabilities["card_payments"] == "inactive"
    await flows.assert_right()
    assert (await flows.reconciled()).drifted == 0


class ConnectedAccount:
    """A connection to the flows' account, and what a deauthorisation meets."""

    def __init__(self, flows: Flows) -> None:
        self.flows = flows
        accounts, repository = StripeConnectedAccounts(flows.api), flows.stores.connections
        self.connections = Connections(
            repository, accounts, flows.stores.mirror, flows.clock, Mode.TEST
        )
        self.deauthorizing = Deauthorizing(repository, accounts, self.connections, Mode.TEST)
        self.link = Connection(
            "acme", flows.account, Mode.TEST, ConnectionKind.OAUTH, flows.clock.now()
        )

    async def told(self, id_: str, created: dt.datetime) -> tuple[EventState, str]:
        """What becomes of a deauthorisation of a time, as the webhook brings it."""
        flows, kind = self.flows, "account.application.deauthorized"
        event = ReceivedEvent(
            id_, flows.account, kind, "2026-10-28.endive", to_milliseconds(created), "application",
            "ca_1", b"{}", flows.clock.now(),
        )  # fmt: skip
        await flows.stores.inbox.append(event)
        projector = Projector(
            flows.stores.inbox, flows.writer, Enrichment(flows.stores.mirror),
            StripeEventReader(), flows.objects, flows.platform, flows.clock, asyncio.Event(),
            "test", deauthorizing=self.deauthorizing,
        )  # fmt: skip
        await projector.project_batch()
        stored = await flows.stores.inbox.get(id_)
        assert stored is not None
        return stored[0].state, stored[0].decision

    async def state(self) -> ConnectionState | None:
        kept = await self.flows.stores.connections.get("acme", Mode.TEST)
        return kept.state if kept else None


async def test_a_deauthorisation_ends_the_connection_and_another_begins(flows: Flows) -> None:
    desk = ConnectedAccount(flows)
    await flows.stores.connections.put(desk.link)
    now = flows.clock.now()
    assert await desk.told("evt_1", now) == (
        EventState.PROCESSED, "kept the connection: Stripe gives access still, or again",
    )  # fmt: skip
    await flows.emulator.control.deauthorize(flows.account)
    assert await desk.told("evt_2", now) == (EventState.PROCESSED, "revoked the connection")
    assert await desk.state() is ConnectionState.REVOKED
    with pytest.raises(FailedPrecondition):
        await desk.connections.of(CALLER)
    assert await flows.stores.connections.list_active(Mode.TEST, after="", limit=9) == []
    await flows.stores.connections.put(replace(desk.link, connected_at=now + 10 * MINUTE))
    assert await desk.told("evt_3", now) == (
        EventState.PROCESSED, "kept the connection: it was made after that",
    )  # fmt: skip
    assert await desk.state() is ConnectionState.ACTIVE


async def test_a_deauthorisation_waits_for_stripe(flows: Flows) -> None:
    desk = ConnectedAccount(flows)
    await flows.stores.connections.put(desk.link)
    await flows.emulator.control.deauthorize(flows.account)
    fault = FaultSpec("fail", status=503, route="/v1/accounts/{id}", count=None)
    await flows.emulator.control.add_fault(fault)
    assert await desk.told("evt_1", flows.clock.now()) == (EventState.PENDING, "waits")
    assert await desk.state() is ConnectionState.ACTIVE


async def test_an_ordinary_history_takes_next_to_no_reads(flows: Flows) -> None:
    """Of events, two in a hundred at most: a dispute in fifty payments is far above the average."""
    await flows.live_a_little(customers=12)
    paid = [await charge(flows, "tok_visa") for _ in range(50)]
    await flows.emulator.control.happen("charges", paid[0]["id"], "dispute", account=flows.account)
    await flows.pass_time(DAY)
    before = await single_reads(flows)
    polled = await flows.catch_up.poll(flows.source)
    await flows.project()
    assert polled.new > 250
    assert await single_reads(flows) - before <= polled.new * 0.02
