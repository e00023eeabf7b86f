"""The bulk flows, put together for tests: the real SDK, an emulator, and one of the stores."""

import asyncio
import datetime as dt
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import stripe

from application.background.retries import Retries
from application.connections.deauthorization import Deauthorizing
from application.connections.platform import Platform
from application.connections.sources import MirroredAccounts, Source
from application.effects.effects import Effects
from application.facts.clock import JoinedFacts
from application.mirror.enrichment import Enrichment
from application.mirror.importer import Importer
from application.mirror.lists import Place
from application.mirror.nouns import INVOICES, NOUNS
from application.mirror.ports import Filter, Mirror, Noun
from application.mirror.stripe import Priority
from application.mirror.writer import MirrorWriter
from application.projection.projector import Projector
from application.upkeep.backfill import Backfill, Progress
from application.upkeep.catch_up import CatchUp
from application.upkeep.closing import AnnouncedClosings, Closing
from application.upkeep.comparison import Comparison
from application.upkeep.payout_membership import PayoutMembership
from application.upkeep.ports import Report
from application.upkeep.reconciliation import Reconciliation
from application.upkeep.refresh_balance_transactions import BalanceTransactions
from application.upkeep.refresh_invoice_payments import InvoicePayments
from domain.connections import Mode
from domain.effects import DEFAULT_MAX_AGE
from domain.mirror import MirroredObject, Row
from infrastructure.stripe.connections.gateway import StripeConnectedAccounts
from infrastructure.stripe.core.client import StripeApi
from infrastructure.stripe.readers.events import StripeEventReader
from infrastructure.stripe.readers.lists import StripeLister
from infrastructure.stripe.readers.objects import StripeObjectReader
from infrastructure.stripe.translations import TRANSLATIONS
from sandbox.emulator.running import RunningEmulator
from tests.support.expected.happened import Happened
from tests.support.fakes.machine_clock import MovableClock
from tests.support.rooms.effects_as_wired import effects_on
from tests.support.servers.stores import Stores

S = TypeVar("S")

CARD: Final = "pm_card_visa"


async def no_wait(_seconds: float) -> None:
    """Instead of a pause between tries: let the others go on, and try again."""
    await asyncio.sleep(0)


@dataclass
class Flows:
    """All bulk flows over one store and one emulator. `account` is a connected one.

    `clock` is also that of `api`: it goes with the emulator's, or what Stripe tells lies ahead.
    """

    emulator: RunningEmulator
    sdk: stripe.StripeClient
    api: StripeApi
    stores: Stores
    account: str
    nouns: Sequence[Noun[Any]] = NOUNS
    clock: MovableClock = field(default_factory=MovableClock)
    place = Place()
    priority = Priority.REREAD

    def __post_init__(self) -> None:
        self.retries = Retries(sleep=no_wait)
        self.arrived = asyncio.Event()
        self.lister = StripeLister(self.api, Mode.TEST)
        self.objects = StripeObjectReader(self.api)
        self.writer = MirrorWriter(self.stores.mirror, AnnouncedClosings(self.stores.checkpoints))
        # In memory there are no ports of facts.
        joined = [] if self.stores.kind == "memory" else [self._joined_facts()]
        self.enrichment = Enrichment(self.stores.mirror, joined)
        self.importer = Importer(self.writer, self.objects, self.enrichment)
        self.platform = Platform(
            self.stores.deployment, StripeConnectedAccounts(self.api), Mode.TEST
        )
        self.source = Source(self.account, ours=False, since=None)
        self.mirrored_accounts = MirroredAccounts(self.stores.connections, self.platform, Mode.TEST)
        self.backfill = Backfill(
            self.lister, self.importer, self.stores.checkpoints, self.clock,
            nouns=self.nouns, retries=self.retries,
        )  # fmt: skip
        comparison = Comparison(
            self.stores.mirror, self.objects, self.importer, retries=self.retries
        )
        self.reconciliation = Reconciliation(
            self.lister, self.stores.mirror, comparison, self.stores.checkpoints,
            self.stores.reports, self.clock, nouns=self.nouns, retries=self.retries,
        )  # fmt: skip
        self.catch_up = CatchUp(
            self.lister, self.stores.inbox, self.stores.checkpoints, self.mirrored_accounts,
            self.backfill, self.reconciliation, self.clock, self.arrived, retries=self.retries,
        )  # fmt: skip
        self.balance_transactions = BalanceTransactions(
            self.lister, self.importer, self.stores.mirror, self.stores.checkpoints,
            self.mirrored_accounts, self.clock, retries=self.retries, debounce_seconds=0.01,
        )  # fmt: skip
        self.closing = Closing(
            self.stores.checkpoints, self.backfill, self.catch_up, self.stores.event_log,
            self.mirrored_accounts, self.platform, self.clock,
        )  # fmt: skip
        self.payout_membership = PayoutMembership(
            self.lister, self.importer, self.stores.mirror, self.stores.checkpoints,
            self.mirrored_accounts, self.clock, retries=self.retries,
        )  # fmt: skip
        self.invoice_payments = InvoicePayments(
            self.lister, self.objects, self.importer, self.stores.mirror, self.stores.checkpoints,
            self.mirrored_accounts, self.clock, retries=self.retries, debounce_seconds=0.01,
        )  # fmt: skip

    def _joined_facts(self) -> JoinedFacts:
        return JoinedFacts(self.stores.mirror, self.stores.dues)

    async def pass_time(self, seconds: int) -> None:
        """Let time pass, at Stripe and here."""
        self.clock.ahead += dt.timedelta(seconds=seconds)
        await self.emulator.control.advance_clock(seconds)

    async def set_time(self, second: int) -> None:
        """Let it be a second since 1970, at Stripe and here."""
        await self.emulator.control.set_clock(second)
        self.clock.set(second)

    def importer_into(self, mirror: Mirror) -> Importer:
        """What brings observations into a mirror."""
        return Importer(MirrorWriter(mirror), self.objects, Enrichment(mirror))

    def effects(self, max_age: dt.timedelta = DEFAULT_MAX_AGE) -> Effects:
        """What follows from events, in the same store."""
        return effects_on(self.stores, StripeEventReader(), self.clock, max_age=max_age)

    def projector(
        self,
        owner: str = "test",
        *,
        effects: Effects | None = None,
        deauthorizing: Deauthorizing | None = None,
    ) -> Projector:
        """A projector of the store's inbox; nothing follows unless the last two are given."""
        return Projector(
            self.stores.inbox, self.writer, self.enrichment, StripeEventReader(),
            self.objects, self.platform, self.clock, self.arrived, owner, effects, deauthorizing,
        )  # fmt: skip

    async def project(self) -> None:
        """Project until the inbox is empty."""
        while await self.projector().project_batch():
            pass

    async def caught_up(self) -> None:
        """Fetch the events that no webhook brought, and project them."""
        await self.catch_up.poll(self.source)
        await self.project()

    async def backfilled(self) -> Progress:
        """Backfill to the end; what it said last."""
        return await last(self.backfill.run(self.account))

    async def reconciled(self, *, repair: bool = False) -> Report:
        """Compare to the end; the report."""
        compared = await last(self.reconciliation.run(self.account, repair=repair))
        assert compared.report is not None
        return compared.report

    async def post(self, path: str, **params: Any) -> dict[str, Any]:
        """Change something on the account, by the SDK."""
        return await self._request("post", path, params)

    async def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Look something up on the account, by the SDK."""
        return await self._request("get", path, params)

    async def delete(self, path: str) -> dict[str, Any]:
        """Delete something of the account's, by the SDK."""
        return await self._request("delete", path, {})

    async def _request(self, method: Any, path: str, params: Mapping[str, Any]) -> dict[str, Any]:
        answer = await self.sdk.raw_request_async(
            method, path, stripe_account=self.account, **params
        )
        found: dict[str, Any] = json.loads(answer.body)
        return found

    async def ids(self, noun: Noun[Any]) -> list[str]:
        """The ids of all objects of a noun at Stripe, by cursor."""
        return [item["id"] for item in await self.listed(noun)]

    async def listed(self, noun: Noun[Any]) -> list[dict[str, Any]]:
        """All objects of a noun as Stripe's list shows them, the newest first."""
        translation = TRANSLATIONS[noun.name]
        if translation.is_account:
            return [{"id": self.account}]
        return await self._all(translation.path, translation.list_all)

    async def happened(self) -> Happened:
        """What has happened on the account so far, as plain JSON."""
        objects = {noun.name: await self.listed(noun) for noun in self.nouns}
        for invoice in objects.get(INVOICES.name, ()):
            if invoice["lines"]["has_more"]:  # a page shows ten of them
                lines = await self._all(f"/v1/invoices/{invoice['id']}/lines", {})
                invoice["lines"] = {"data": lines, "has_more": False}
        return Happened(objects, (await self._all("/v1/events", {}))[::-1])

    async def _all(self, path: str, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        params = {**given, "limit": 100}
        while True:
            page = await self._request("get", path, params)
            found += page["data"]
            if not page["has_more"]:
                return found
            params["starting_after"] = found[-1]["id"]

    async def at_stripe(self) -> dict[str, dict[str, MirroredObject]]:
        """All objects, each read by itself."""
        fresh: dict[str, dict[str, MirroredObject]] = {}
        for noun in self.nouns:
            reads = [
                await self.objects.read(
                    noun, self.account, id_, not_before_ms=None, priority=Priority.REREAD
                )
                for id_ in await self.ids(noun)
            ]
            fresh[noun.name] = {read.id: read.object for read in reads if read.object}
        return fresh

    async def mirrored(self, mirror: Mirror | None = None) -> dict[str, dict[str, MirroredObject]]:
        """All live rows."""
        found: dict[str, dict[str, MirroredObject]] = {}
        for noun in self.nouns:
            rows = found[noun.name] = {}
            after = None
            while True:
                page = await (mirror or self.stores.mirror).list(
                    noun, self.account, Filter(), order=noun.orders[0], after=after, limit=1_000
                )
                rows |= {row.id: _live(row) for row in page.rows}
                after = page.next
                if after is None:
                    break
        return found

    async def assert_right(self) -> None:
        """The mirror equals a fresh read of everything."""
        assert await self.mirrored() == await self.at_stripe()

    async def live_a_little(self, *, customers: int = 5) -> None:
        """Some of every noun."""
        product = await self.post("/v1/products", name="Plan")
        price = await self.post(
            "/v1/prices", product=product["id"], currency="usd", unit_amount=1_000,
            recurring={"interval": "month"},
        )  # fmt: skip
        for number in range(customers):
            customer = await self.post("/v1/customers", name=f"Customer {number}")
            method = await self.post(f"/v1/payment_methods/{CARD}/attach", customer=customer["id"])
            settings = {"default_payment_method": method["id"]}
            await self.post(f"/v1/customers/{customer['id']}", invoice_settings=settings)
            subscription = await self.post(
                "/v1/subscriptions", customer=customer["id"], items=[{"price": price["id"]}],
                metadata={"plan": f"p{number}"},
            )  # fmt: skip
            if number % 2:
                await self.delete(f"/v1/subscriptions/{subscription['id']}")
            intent = await self.post(
                "/v1/payment_intents", amount=500 + number, currency="usd", confirm=True,
                customer=customer["id"], payment_method=method["id"],
                automatic_payment_methods={"enabled": True, "allow_redirects": "never"},
            )  # fmt: skip
            if number % 2:
                await self.post("/v1/refunds", charge=intent["latest_charge"])


async def last(steps: AsyncGenerator[S, None]) -> S:
    """What an iterator gave last."""
    async with aclosing(steps):
        return [step async for step in steps][-1]


def _live(row: Row[Any]) -> MirroredObject:
    assert row.snapshot is not None
    assert row.snapshot.object is not None
    found: MirroredObject = row.snapshot.object
    return found
