"""What operators and tenants see of events, on fakes."""

import asyncio
import datetime as dt
from dataclasses import replace
from typing import Any, Final

from application.connections.platform import Platform
from application.connections.use_cases import Connections
from application.events.inbox import EventState, ReceivedEvent
from application.events.use_cases import Events
from application.requests.callers import OPERATOR, Caller
from application.requests.paging import PageTokens
from domain.connections import Connection, ConnectionKind, ConnectionState, Mode
from infrastructure.stripe.readers.events import StripeEventReader
from tests.support.fakes.event_log import FakeEventLog
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeDeployment,
    FakeMirror,
    FakeStripeAccounts,
)

ACME: Final = Caller("crm", "acme", frozenset({"events.read"}))
RIVAL: Final = replace(ACME, account="rival")
STRANGER: Final = replace(ACME, account="stranger")
ALL: Final = replace(ACME, account=OPERATOR)
LATER: Final = NOON + dt.timedelta(hours=1)


def event(id_: str, stripe_account: str = "acct_acme", **changes: Any) -> ReceivedEvent:
    """A processed event about a customer; a change replaces a fact."""
    values: dict[str, Any] = {
        "type": "customer.updated", "api_version": "2026-10-28.endive", "created": 1_000_000,
        "object_type": "customer", "object_id": "cus_1", "payload": b'{"secret": 1}',
        "received_at": NOON, "state": EventState.PROCESSED,
    }  # fmt: skip
    return ReceivedEvent(id=id_, stripe_account=stripe_account, **(values | changes))


def connection(
    account: str, stripe_account: str = "", state: ConnectionState = ConnectionState.ACTIVE
) -> Connection:
    """An account's connection, by default to a Stripe account of its name."""
    stripe_account = stripe_account or f"acct_{account}"
    return Connection(account, stripe_account, Mode.TEST, ConnectionKind.OAUTH, NOON, state)


class EventsDesk:
    """The use case on fakes: `acme` and `rival` are connected, `stranger` is not."""

    def __init__(self, *events: ReceivedEvent) -> None:
        self.clock, self.log = FakeClock(), FakeEventLog(*events)
        self.connections = FakeConnections(connection("acme"), connection("rival"))
        self.stripe, self.deployment = FakeStripeAccounts(), FakeDeployment()
        self.deployment.platform = "acct_platform"
        self.mirror = FakeMirror()
        self.arrived = asyncio.Event()
        self.events = Events(
            self.log,
            self.mirror,
            StripeEventReader(),
            Connections(self.connections, self.stripe, self.mirror, self.clock, Mode.TEST),
            Platform(self.deployment, self.stripe, Mode.TEST),
            PageTokens(b"k" * 32, self.clock),
            self.clock,
            self.arrived,
        )
