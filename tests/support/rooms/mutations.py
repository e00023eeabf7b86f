"""Processes of the service that share fakes of the stores, of Stripe and of the clock."""

import asyncio
from typing import Any

from application.background.tasks import Tasks
from application.connections.use_cases import Connections
from application.customers.ports import CustomerFields
from application.customers.use_cases import Customers
from application.mirror.nouns import CUSTOMERS
from application.mirror.reader import MirrorReader
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import RETRY_UNKNOWN, Mutations
from application.mutations.steps import LEASE
from application.requests.callers import Caller
from application.requests.paging import PageTokens
from domain.connections import Connection, ConnectionKind, Mode
from domain.customers import Customer
from tests.support.fakes.customers import FakeCustomerGateway
from tests.support.fakes.effects import FakeContacts
from tests.support.fakes.logs import FakeMutationLog
from tests.support.fakes.objects import FakeObjects
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeMirror,
    FakeStripeAccounts,
    Pause,
)

CALLER = Caller("service", "acme", frozenset())
CONNECTION = Connection("acme", "acct_1", Mode.TEST, ConnectionKind.MANUAL, NOON)
ADA = CustomerFields(name="Ada")


class Platform:
    """What all processes share: the stores, Stripe and the time."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.log = FakeMutationLog()
        self.mirror = FakeMirror()
        self.stripe = FakeCustomerGateway(self.clock)
        self.repository = FakeConnections(CONNECTION)

    def pause(self, pause: Pause) -> None:
        self.log.pause = self.mirror.pause = self.stripe.pause = pause

    def process(self) -> "Process":
        return Process(self)

    @property
    def record(self) -> Any:
        """The one mutation's record."""
        (logged,) = self.log.records.values()
        return logged.record

    def mirrored(self, id_: str = "cus_1") -> Any:
        snapshot = self.mirror.rows[CUSTOMERS.name, "acct_1", id_].snapshot
        return snapshot and snapshot.object


class Process:
    """One process of the service."""

    def __init__(self, platform: Platform) -> None:
        connections = Connections(
            platform.repository, FakeStripeAccounts(), platform.mirror, platform.clock, Mode.TEST
        )
        self.tasks = Tasks()
        self.mutations = Mutations(
            platform.log,
            connections,
            MirrorWriter(platform.mirror),
            platform.clock,
            self.tasks,
            FakeObjects(platform.clock),
        )
        self.customers = Customers(
            MirrorReader(platform.mirror, PageTokens(b"k", platform.clock)), connections,
            self.mutations, platform.stripe, FakeContacts(),
        )  # fmt: skip

    async def create(
        self, request_id: str = "r-1", fields: CustomerFields = ADA, caller: Caller = CALLER
    ) -> Customer:
        return (await self.customers.create(caller, request_id, fields)).customer


class Gate:
    """A pause that holds whoever comes to one place until it is opened."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.reached, self.open = asyncio.Event(), asyncio.Event()

    async def __call__(self, where: str) -> None:
        if where == self._where:
            self.reached.set()
            await self.open.wait()


async def settle(platform: Platform) -> int:
    """What the recovery task of another process does once everything is due."""
    platform.clock.instant += max(LEASE, RETRY_UNKNOWN)
    return await platform.process().mutations.recover()
