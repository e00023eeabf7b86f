"""The use case of invoices on fakes of all that it works with."""

import datetime as dt
from dataclasses import replace
from typing import Any, Final

from application.background.tasks import Tasks
from application.connections.use_cases import Connections
from application.invoices.totals_port import TotalsRow
from application.invoices.use_cases import Invoices
from application.mirror.nouns import INVOICES
from application.mirror.reader import MirrorReader
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import RETRY_UNKNOWN, Mutations
from application.mutations.steps import LEASE
from application.requests.callers import Caller
from application.requests.paging import PageTokens
from domain.connections import Connection, ConnectionKind, Mode
from domain.invoices import Invoice
from domain.mirror import Snapshot, Version
from domain.money import Money
from tests.support.fakes.invoices import FakeInvoiceGateway, FakePreviews
from tests.support.fakes.logs import FakeMutationLog
from tests.support.fakes.objects import FakeObjects
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeMirror,
    FakeStripeAccounts,
)

CALLER: Final = Caller("service", "acme", frozenset())
CONNECTION: Final = Connection("acme", "acct_1", Mode.TEST, ConnectionKind.MANUAL, NOON)


class FakeTotals:
    """Gives `rows`; `asked` tells for what."""

    def __init__(self) -> None:
        self.rows: list[TotalsRow] = []
        self.asked: list[Any] = []

    async def totals(self, *asked: Any, now: dt.datetime) -> list[TotalsRow]:
        self.asked.append((*asked, now))
        return self.rows


class InvoicesOnFakes:
    """The use case and what it works with."""

    def __init__(self) -> None:
        self.clock, self.mirror = FakeClock(), FakeMirror()
        self.stripe = FakeInvoiceGateway(self.clock)
        self.objects = FakeObjects(self.clock, lambda id_: self.stripe.invoices.get(id_))
        self.previews = FakePreviews()
        self.totals = FakeTotals()
        other = replace(CONNECTION, account="other", stripe_account="acct_2")
        connections = Connections(
            FakeConnections(CONNECTION, other),
            FakeStripeAccounts(), self.mirror, self.clock, Mode.TEST,
        )  # fmt: skip
        self.writer = MirrorWriter(self.mirror)
        self.mutations = Mutations(
            FakeMutationLog(), connections, self.writer, self.clock, Tasks(), self.objects
        )
        self.invoices = Invoices(
            MirrorReader(self.mirror, PageTokens(b"k", self.clock)), connections, self.mutations,
            self.stripe, self.previews, self.totals, self.clock,
        )  # fmt: skip

    async def mirrored(self, id_: str, status: str = "open", **fields: Any) -> None:
        """Put an invoice into the mirror as an old event told it."""
        zero = Money(0, "usd")
        values = {"created": NOON, **fields}
        found = Invoice(
            id_, currency="usd", status=status, total=zero, amount_due=zero, amount_paid=zero,
            amount_remaining=zero, **values,
        )  # fmt: skip
        told = Snapshot("acct_1", id_, Version.of_event(1), found)
        await self.writer.observe(INVOICES, [told])

    async def recovered(self) -> int:
        """What the recovery task settles once everything is due."""
        self.clock.instant += max(LEASE, RETRY_UNKNOWN)
        return await self.mutations.recover()
