"""Reloads as they are wired, on a store and an emulator, with a clock that a test moves."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import stripe

from application.background.tasks import Tasks
from application.connections.platform import Platform
from application.connections.use_cases import Connections
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import Mutations
from application.processes.ports import ProcessRecord, Watch
from application.processes.processes import Processes
from application.requests.callers import OPERATOR, Caller
from application.requests.paging import PageTokens
from application.wallet.aftermath import Aftermath
from application.wallet.arming import Arming
from application.wallet.auto_reload import AutoReloads
from application.wallet.buying import Buying
from application.wallet.commands import ReloadOrder
from application.wallet.costs import Costs
from application.wallet.freezing import Freezing
from application.wallet.low import LowBalances
from application.wallet.reload_process import Reloads
from application.wallet.reload_terms import Learnt, learnt_of
from application.wallet.reloading import ReloadCalls, ReloadView
from application.wallet.reversals import Reversals
from application.wallet.ties import ReloadTies
from application.wallet.whose import Wallets
from domain.accounts import Account
from domain.connections import Mode
from domain.jobs import Job
from domain.ledger_commands import PostUsage
from domain.ledger_entries import Entry
from domain.wallets import AutoReload, Buyer, Wallet, WalletSettings
from infrastructure.stripe.charges.gateway import StripeRefundGateway
from infrastructure.stripe.connections.gateway import StripeConnectedAccounts
from infrastructure.stripe.core.client import StripeApi
from infrastructure.stripe.customers.gateway import StripeCustomers
from infrastructure.stripe.payment_intents.gateway import StripePaymentIntents
from infrastructure.stripe.payment_methods.gateway import StripePaymentMethods
from infrastructure.stripe.readers.objects import StripeObjectReader
from sandbox.emulator.core.grants import CLIENT_ID
from sandbox.emulator.running import RunningEmulator
from tests.support.fakes.machine_clock import MovableClock
from tests.support.rooms.processes import carried_on
from tests.support.servers.stores import Stores

ACME: Final = Wallet("acme", None, "usd")
OWNER: Final = Caller("ada", "acme", frozenset())
CREDITOR: Final = Caller("ops", "acme", frozenset(), token_account=OPERATOR)
MILLION: Final = 1_000_000


@dataclass
class ReloadWorld:
    """The wallet of `acme`, which is paid on the platform's own account."""

    emulator: RunningEmulator
    sdk: stripe.StripeClient
    api: StripeApi
    stores: Stores
    clock: MovableClock = field(default_factory=MovableClock)
    customer: str = ""
    place: str = ""
    count: int = 0

    def __post_init__(self) -> None:
        api, stores, clock, queued = self.api, self.stores, self.clock, asyncio.Event()
        self.payments, self.refunds = StripePaymentIntents(api, CLIENT_ID), StripeRefundGateway(api)
        customers, methods = StripeCustomers(api), StripePaymentMethods(api)
        objects, writer = StripeObjectReader(api), MirrorWriter(stores.mirror)
        accounts = StripeConnectedAccounts(api)
        platform = Platform(stores.deployment, accounts, Mode.TEST)
        connections = Connections(stores.connections, accounts, stores.mirror, clock, Mode.TEST)
        self.wallets, self.tasks = Wallets(stores.accounts, "usd"), Tasks()
        self.low = LowBalances(
            stores.wallet_settings, stores.outbox, clock, queued, asyncio.Event()
        )
        aftermath = Aftermath(
            stores.accounts, self.wallets, stores.journal, Costs(stores.journal, clock), self.low,
            clock,
        )  # fmt: skip
        self.arming = Arming(stores.wallet_settings, stores.outbox, clock, queued)
        reversals = Reversals(
            self.payments, self.refunds, stores.journal, aftermath, stores.outbox, clock, queued
        )
        self.process = Reloads(
            self.payments, stores.journal, aftermath, reversals, self.arming, stores.outbox, clock,
            queued,
        )  # fmt: skip
        self.processes = Processes(
            stores.process_log, writer, objects, clock, self.tasks, asyncio.Event()
        )
        buying = Buying(self.wallets, connections, platform, stores.buyers, customers)
        mutations = Mutations(stores.mutation_log, connections, writer, clock, self.tasks, objects)
        freezing = Freezing(
            self.wallets, buying, self.payments, methods, stores.rates, clock, Mode.TEST
        )
        self.calls = ReloadCalls(
            self.wallets, freezing, self.process, self.processes, stores.process_log, mutations,
            self.payments, stores.journal, PageTokens(b"k" * 32, clock), clock,
        )  # fmt: skip
        self.auto = AutoReloads(
            self.wallets, buying, self.process, self.processes, stores.process_log, stores.journal,
            stores.wallet_settings, self.arming, clock, Mode.TEST, asyncio.Event(),
        )  # fmt: skip
        self.platform = platform
        self.ties = ReloadTies(stores.journal, stores.process_log, self.payments, clock)

    async def begin(self) -> None:
        """Let there be the account, and the customer that it is at the platform."""
        await self.stores.accounts.add(Account("acme", "Acme", "usd"))
        self.place = await self.platform.stripe_account()
        self.customer = (await self.sdk.v1.customers.create_async({"name": "Acme"})).id
        await self.stores.buyers.add(Buyer("acme", self.place, self.customer, self.clock.now()))

    async def card(self, name: str = "visa") -> str:
        """A test card of the customer's."""
        params: Any = {"customer": self.customer}
        return (await self.sdk.v1.payment_methods.attach_async(f"pm_card_{name}", params)).id

    async def bank(self) -> str:
        """A bank account of the customer's, whose debits take days."""
        details = {
            "account_number": "000123456789", "routing_number": "110000000",
            "account_holder_type": "individual",
        }  # fmt: skip
        params: Any = {
            "type": "us_bank_account", "us_bank_account": details,
            "billing_details": {"name": "Acme"},
        }  # fmt: skip
        made = await self.sdk.v1.payment_methods.create_async(params)
        await self.sdk.v1.payment_methods.attach_async(made.id, {"customer": self.customer})
        return made.id

    async def reload(self, card: str, amount: int = 2_000) -> ReloadView:
        """A reload that the owner asks for."""
        order = ReloadOrder(amount, "usd", card)
        return await self.calls.reload(OWNER, self.fresh(), order)

    def fresh(self) -> str:
        """A request id."""
        self.count += 1
        return f"r-{self.count}"

    async def state(self, reload: str) -> str:
        """How far a reload is."""
        return (await self.processes.get(reload)).progress.state

    async def learnt(self, reload: str) -> Learnt:
        """What a reload has learnt."""
        return learnt_of(await self.processes.get(reload))

    async def later(self, by: dt.timedelta) -> None:
        """Let time pass, here and at Stripe, and do what is due then, as the loops do."""
        self.clock.ahead += by
        await self.emulator.control.advance_clock(int(by.total_seconds()))
        await self.look()

    async def look(self) -> None:
        """Do what is due now."""
        await carried_on(self.processes)
        await self.auto.run()
        await carried_on(self.processes)

    async def happen(self, reload: str, what: str, **params: Any) -> None:
        """Something befalls the payment, and its event comes."""
        payment = (await self.learnt(reload)).payment_intent
        await self.emulator.control.happen("payment_intents", payment, what, params)
        await self.wake(payment)

    async def wake(self, object_id: str) -> None:
        """An event of an object comes."""
        await self.stores.process_log.wake([Watch(self.place, object_id)], now=self.clock.now())
        await carried_on(self.processes)

    async def available(self) -> int:
        """What is available."""
        head = await self.stores.journal.head(ACME.name)
        return head.available_after if head else 0

    async def entries(self) -> Sequence[Entry]:
        """The entries of the wallet."""
        return await self.stores.journal.list(ACME.name, limit=1_000)

    async def spend(self, amount: int) -> None:
        """Spend credit, down to 10,000 below zero."""
        command = PostUsage(
            key=f"u:{self.fresh()}", payload_hash="h", actor="t", at=self.clock.now(),
            exact=amount * MILLION, quantity=1,
        )  # fmt: skip
        await self.stores.journal.append(ACME, [command])
        await self.seen()

    async def seen(self) -> None:
        """The balance is noted, as it is a moment after each entry."""
        head = await self.stores.journal.head(ACME.name)
        if head is not None:
            await self.low.look(ACME, head)

    async def set_auto(self, auto: AutoReload | None) -> None:
        """The owner sets when the wallet reloads itself."""
        kept = await self.stores.wallet_settings.get(ACME.name)
        before = kept.settings if kept else WalletSettings(ACME.name, self.clock.now(), revision=0)
        settings = WalletSettings(
            ACME.name, self.clock.now(), auto, revision=before.revision + 1,
            changes=before.changes,
        )  # fmt: skip
        assert await self.stores.wallet_settings.put(settings)
        await self.seen()

    async def auto_reload(self) -> AutoReload:
        """When the wallet reloads itself."""
        kept = await self.stores.wallet_settings.get(ACME.name)
        assert kept is not None
        assert kept.settings.auto_reload is not None
        return kept.settings.auto_reload

    async def reloads(self) -> Sequence[ProcessRecord]:
        """The reloads, newest first."""
        return await self.stores.process_log.list("acme", "reload", after=None, limit=100)

    async def jobs(self) -> Sequence[Job]:
        """The jobs that are there, and not published."""
        at = self.clock.now() + dt.timedelta(days=30)
        claimed = await self.stores.outbox.claim("tests", now=at, lease=dt.timedelta(), limit=1_000)
        return [one.job for one in claimed]
