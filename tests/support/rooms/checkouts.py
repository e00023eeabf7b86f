"""Checkouts as they are wired, on a store and an emulator, with a clock that a test moves."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import stripe
from typing_extensions import override

from application.background.tasks import Tasks
from application.checkouts.checkout_process import Checkouts, Renewing, SaleFollowing
from application.checkouts.checkout_terms import CheckoutData, CheckoutRun, data_of
from application.checkouts.commands import CheckoutOrder
from application.checkouts.cost_leg import CostLegs
from application.checkouts.currencies import TakenCurrencies
from application.checkouts.executing import CheckoutCalls, CheckoutView
from application.checkouts.freezing import CheckoutFreezing
from application.checkouts.multipliers import Multipliers
from application.checkouts.paying import AskedMethods, MethodChoice
from application.checkouts.previews import Previews
from application.checkouts.pricing import Pricing, Purchase
from application.checkouts.quotes import Quotes
from application.checkouts.sale_leg import SaleLeg
from application.checkouts.sellers import Sellers
from application.checkouts.telling import Telling
from application.connections.platform import Platform
from application.connections.use_cases import Connections
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import Mutations
from application.processes.ports import ProcessRecord, Watch
from application.processes.processes import Processes
from application.requests.callers import OPERATOR, Caller
from application.requests.paging import PageTokens
from application.wallet.aftermath import Aftermath
from application.wallet.buying import Buying
from application.wallet.costs import Costs
from application.wallet.low import LowBalances
from application.wallet.whose import Wallets
from domain.accounts import Account
from domain.billing_cycles import Interval
from domain.carts import CartItem
from domain.connections import Connection, ConnectionKind, Mode
from domain.jobs import Job
from domain.ledger_commands import PostGrant, PostUsage
from domain.ledger_entries import Entry
from domain.money import Money
from domain.phone_numbers import NumberKind, NumberPrice, NumberTier
from domain.store_products import LISTINGS, ProductKind, StorePrice, StoreProduct
from domain.wallets import Buyer, Wallet, WalletSettings
from infrastructure.security.quotes import HmacQuotes
from infrastructure.stripe.charges.gateway import StripeRefundGateway
from infrastructure.stripe.checkouts.country_specs import StripeCountrySpecs
from infrastructure.stripe.connections.gateway import StripeConnectedAccounts
from infrastructure.stripe.core.client import StripeApi
from infrastructure.stripe.customers.gateway import StripeCustomers
from infrastructure.stripe.payment_intents.gateway import StripePaymentIntents
from infrastructure.stripe.payment_methods.gateway import StripePaymentMethods
from infrastructure.stripe.readers.objects import StripeObjectReader
from infrastructure.stripe.subscriptions.gateway import StripeSubscriptions
from sandbox.emulator.core.grants import CLIENT_ID
from sandbox.emulator.core.messages import AccountSpec
from sandbox.emulator.running import RunningEmulator
from tests.support.fakes.machine_clock import MovableClock
from tests.support.rooms.processes import carried_on
from tests.support.servers.stores import Stores

ACME: Final = Wallet("acme", None, "usd")
LILY: Final = Wallet("lily", "acme", "usd")
CHILD: Final = Caller("lily-token", "lily", frozenset())
PARENT: Final = Caller("acme-token", "lily", frozenset(), token_account="acme")
MAIN: Final = Caller("acme-token", "acme", frozenset())
STAFF: Final = Caller("ops", OPERATOR, frozenset())

FEE: Final = 700
"""The set-up fee, of listings and subscriptions here."""

NUMBERS: Final = CartItem("numbers", 3, "DE", NumberKind.LOCAL.value)
ITEMS: Final = {
    ProductKind.ONE_OFF: CartItem("pack", 2),
    ProductKind.PHONE_NUMBER: NUMBERS,
    ProductKind.LISTING: CartItem("listing", 1),
    ProductKind.SUBSCRIPTION: CartItem("plan", 2),
}
TOTALS: Final = {
    ProductKind.ONE_OFF: (3_000, 2_000),
    ProductKind.PHONE_NUMBER: (495, 330),
    ProductKind.LISTING: (3_300, 2_200),
    ProductKind.SUBSCRIPTION: (10_050, 6_700),
}
"""What a sub-account pays, at 1.5 of the platform's prices, and what that costs its parent."""


class TrivialRenewals(Renewing):
    """Renewals that are only written down."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    @override
    async def begin(self, run: CheckoutRun) -> None:
        self.begun.append(run.id)


class NothingFollows(SaleFollowing):
    """Nothing befalls a sale."""

    @override
    async def tend(self, run: CheckoutRun) -> None:
        """Nothing is to be done."""


class _Fees:
    """The set-up fee, whatever the currency."""

    async def fee(self, currency: str) -> Money:
        return Money(FEE, currency)


class _Numbers:
    """Prices of phone numbers: 1.10 each."""

    async def price(self, country: str, kind: NumberKind, currency: str) -> NumberPrice | None:
        return NumberPrice(country, kind, currency, (NumberTier(None, "1.10"),))


@dataclass
class CheckoutWorld:
    """`acme` buys from the platform, and `lily` from `acme`, at 1.5 of the platform's prices.

    `place` is acme's connected Stripe account, `own` the platform's.
    """

    emulator: RunningEmulator
    sdk: stripe.StripeClient
    api: StripeApi
    stores: Stores
    clock: MovableClock = field(default_factory=MovableClock)
    renewing: Renewing = field(default_factory=TrivialRenewals)
    following: SaleFollowing = field(default_factory=NothingFollows)
    place: str = ""
    own: str = ""
    customer: str = ""
    setup_product: str = ""
    count: int = 0

    def wire(self) -> None:
        """Make the rooms, on the stores and the emulator."""
        api, stores, clock, queued = self.api, self.stores, self.clock, asyncio.Event()
        self.payments, refunds = StripePaymentIntents(api, CLIENT_ID), StripeRefundGateway(api)
        self.refunds, self.subscribing = refunds, StripeSubscriptions(api)
        objects, writer = StripeObjectReader(api), MirrorWriter(stores.mirror)
        accounts = StripeConnectedAccounts(api)
        self.platform = Platform(stores.deployment, accounts, Mode.TEST)
        connections = Connections(stores.connections, accounts, stores.mirror, clock, Mode.TEST)
        self.wallets, self.tasks = Wallets(stores.accounts, "usd"), Tasks()
        low = LowBalances(stores.wallet_settings, stores.outbox, clock, queued, asyncio.Event())
        aftermath = Aftermath(
            stores.accounts, self.wallets, stores.journal, Costs(stores.journal, clock), low, clock
        )
        self.processes = Processes(
            stores.process_log, writer, objects, clock, self.tasks, asyncio.Event()
        )
        buying = Buying(
            self.wallets, connections, self.platform, stores.buyers, StripeCustomers(api)
        )
        self.mutations = Mutations(
            stores.mutation_log, connections, writer, clock, self.tasks, objects
        )
        reads = AskedMethods(self.payments, StripePaymentMethods(api))
        self.sellers = sellers = Sellers(
            connections, self.platform, stores.journal.head, stores.buyers.get, stores.journal,
            reads, stores.outbox, clock, queued,
        )  # fmt: skip
        methods, fees, numbers = MethodChoice(reads), _Fees(), _Numbers()
        pricing = Pricing(
            stores.accounts.get, stores.store_catalogue.get, stores.buyers.get, stores.carts,
            stores.store_subscriptions, Multipliers(self.wallets, stores.wallet_settings),
            numbers, fees,  # type: ignore[arg-type]
            self.wallets, stores.rates, sellers, methods,
            TakenCurrencies(StripeCountrySpecs(api), accounts, stores.mirror, clock), clock,
        )  # fmt: skip
        signer = HmacQuotes(b"q" * 32)
        quotes = Quotes(signer, clock)
        self.previews = Previews(pricing, stores.carts, quotes, clock)
        self.process = Checkouts(
            SaleLeg(buying, self.payments, refunds),
            CostLegs(
                stores.journal, aftermath, self.subscribing, self.payments, refunds,
                sellers, stores.accounts, clock,
            ),
            self.renewing,
            self.following,
            Telling(stores.outbox, stores.carts, clock, queued),
        )  # fmt: skip
        self.calls = CheckoutCalls(
            CheckoutFreezing(
                pricing, quotes, stores.carts, self.wallets, self.platform, Mode.TEST,
                self.setup_product,
            ),
            self.process, self.processes, stores.process_log, self.mutations, signer, methods,
            self.payments, PageTokens(b"k" * 32, clock), clock,
        )  # fmt: skip

    async def begin(self) -> None:
        """Let there be the accounts, the store, the parent's funds and its card."""
        made = await self.sdk.v1.products.create_async({"name": "Set-up"})
        self.setup_product = made.id
        self.wire()
        stores, now = self.stores, self.clock.now()
        await stores.accounts.add(Account("acme", "Acme", "usd", flags=(LISTINGS,)))
        await stores.accounts.add(Account("lily", "Lily", "usd", "acme", flags=(LISTINGS,)))
        self.place = await self.emulator.control.create_account(AccountSpec())
        at = now.replace(microsecond=0)
        link = Connection("acme", self.place, Mode.TEST, ConnectionKind.MANUAL, at)
        await stores.connections.put(link)
        self.own = await self.platform.stripe_account()
        parent = (await self.sdk.v1.customers.create_async({"name": "Acme"})).id
        await self.card("visa", parent, "", default=True)
        await stores.buyers.add(Buyer("acme", self.own, parent, now))
        params: Any = {"name": "Lily"}
        there = await self.sdk.v1.customers.create_async(params, self.options)
        self.customer = there.id
        await stores.buyers.add(Buyer("lily", self.place, self.customer, now))
        settings = WalletSettings(LILY.name, now, multipliers={"*": "1.5"})
        assert await stores.wallet_settings.put(settings)
        await self.grant(100_000)
        await self.stock_all()

    @property
    def options(self) -> Any:
        """That a request is on the parent's Stripe account."""
        return {"stripe_account": self.place}

    async def stock_all(self) -> None:
        """Put one product of each kind into the store, and what it needs at the platform's."""
        price: Any = {
            "currency": "usd", "unit_amount": 3_000, "recurring": {"interval": "month"},
            "product_data": {"name": "Plan"},
        }  # fmt: skip
        stripe_price = (await self.sdk.v1.prices.create_async(price)).id
        month = Interval.MONTH
        await self.stock("pack", ProductKind.ONE_OFF, 1_000)
        await self.stock("numbers", ProductKind.PHONE_NUMBER, None, interval=month)
        await self.stock("listing", ProductKind.LISTING, 1_500, interval=month, setup=True)
        await self.stock(
            "plan", ProductKind.SUBSCRIPTION, 3_000, interval=month, setup=True,
            stripe_price=stripe_price,
        )  # fmt: skip

    async def stock(
        self, name: str, kind: ProductKind, amount: int | None, *,
        interval: Interval | None = None, setup: bool = False, stripe_price: str = "",
    ) -> None:  # fmt: skip
        """Put a product with one price into the store; both have the same name."""
        most = 1 if kind is ProductKind.LISTING else 10
        catalogue = self.stores.store_catalogue
        await catalogue.put_product(StoreProduct(name, kind, name.title(), most=most, setup=setup))
        await catalogue.put_price(
            StorePrice(name, name, "usd", amount, interval=interval, stripe_price=stripe_price)
        )

    async def grant(self, amount: int) -> None:
        """Give the parent's wallet credit."""
        command = PostGrant(
            key=f"g:{self.fresh()}", payload_hash="h", actor="t", at=self.clock.now(),
            amount=amount,
        )  # fmt: skip
        await self.stores.journal.append(ACME, [command])

    async def spend(self, amount: int) -> None:
        """Let the parent's wallet spend."""
        command = PostUsage(
            key=f"u:{self.fresh()}", payload_hash="h", actor="t", at=self.clock.now(),
            exact=amount * 1_000_000, quantity=1,
        )  # fmt: skip
        await self.stores.journal.append(ACME, [command])

    async def card(
        self, name: str = "visa", customer: str = "", place: str | None = None, *,
        default: bool = False,
    ) -> str:  # fmt: skip
        """A test card of the buyer's at the parent's; or of another customer, elsewhere."""
        place = self.place if place is None else place
        options: Any = {"stripe_account": place} if place else {}
        customer = customer or self.customer
        params: Any = {"customer": customer}
        methods = self.sdk.v1.payment_methods
        made = await methods.attach_async(f"pm_card_{name}", params, options)
        if default:
            setting: Any = {"invoice_settings": {"default_payment_method": made.id}}
            await self.sdk.v1.customers.update_async(customer, setting, options)
        return made.id

    async def bank(self, number: str = "000123456789") -> str:
        """A bank account of the buyer's, whose debits take days."""
        details = {
            "account_number": number, "routing_number": "110000000",
            "account_holder_type": "individual",
        }  # fmt: skip
        params: Any = {
            "type": "us_bank_account", "us_bank_account": details,
            "billing_details": {"name": "Lily"},
        }  # fmt: skip
        methods = self.sdk.v1.payment_methods
        made = await methods.create_async(params, self.options)
        await methods.attach_async(made.id, {"customer": self.customer}, self.options)
        return made.id

    async def quote(
        self, item: CartItem, method: str = "", caller: Caller = CHILD
    ) -> CheckoutOrder:
        """Preview an item, and the order of it."""
        purchase = Purchase(caller.account, item, payment_method=method)
        preview = await self.previews.preview(caller, purchase)
        return self.order(preview.signed.text, method, caller)

    def order(self, quote: str, method: str = "", caller: Caller = CHILD) -> CheckoutOrder:
        """An order by a quote."""
        return CheckoutOrder(quote, method, caller.subject, caller.home)

    async def buy(self, item: CartItem, method: str = "", caller: Caller = CHILD) -> CheckoutView:
        """Preview an item and buy it."""
        order = await self.quote(item, method, caller)
        return await self.calls.execute(caller, self.fresh(), order)

    def fresh(self) -> str:
        """A request id."""
        self.count += 1
        return f"r-{self.count}"

    async def record(self, checkout: str) -> ProcessRecord:
        """A checkout as it is stored."""
        return await self.processes.get(checkout)

    async def state(self, checkout: str) -> str:
        """How far a checkout is."""
        return (await self.record(checkout)).progress.state

    async def states(self, checkout: str) -> list[str]:
        """How far it was, one after the other."""
        return [entry.state for entry in (await self.record(checkout)).progress.history]

    async def data(self, checkout: str) -> CheckoutData:
        """What a checkout has learnt."""
        return data_of(await self.record(checkout))

    async def later(self, by: dt.timedelta) -> None:
        """Let time pass, here and at Stripe, and do what is due then, as the loop does."""
        self.clock.ahead += by
        await self.emulator.control.advance_clock(int(by.total_seconds()))
        await carried_on(self.processes)

    async def until_it_rests(self, checkout: str) -> None:
        """Let time pass until nothing is left to do but to follow, or people have to look."""
        for _ in range(40):
            progress = (await self.record(checkout)).progress
            if progress.course.rests or progress.attention:
                return
            await self.later(dt.timedelta(hours=1))
        raise AssertionError(await self.record(checkout))

    async def happen(self, checkout: str, what: str, **params: Any) -> None:
        """Something befalls the payment, and its event comes."""
        payment = (await self.data(checkout)).payment_intent
        await self.emulator.control.happen(
            "payment_intents", payment, what, params, account=self.place
        )
        await self.wake(payment)

    async def wake(self, object_id: str) -> None:
        """An event of an object comes."""
        await self.stores.process_log.wake([Watch(self.place, object_id)], now=self.clock.now())
        await carried_on(self.processes)

    async def intents(self) -> Sequence[stripe.PaymentIntent]:
        """The buyer's payments at the parent's."""
        params: Any = {"customer": self.customer, "limit": 100}
        return (await self.sdk.v1.payment_intents.list_async(params, self.options)).data

    async def subscriptions(self) -> Sequence[stripe.Subscription]:
        """The parent's own subscriptions at the platform."""
        return (await self.sdk.v1.subscriptions.list_async({"status": "all"})).data

    async def entries(self, wallet: Wallet = ACME) -> Sequence[Entry]:
        """The entries of a wallet, without what it was granted."""
        entries = await self.stores.journal.list(wallet.name, limit=1_000)
        return [entry for entry in entries if entry.kind != "grant"]

    async def balance(self) -> tuple[int, int]:
        """What is available to the parent, and what is held."""
        head = await self.stores.journal.head(ACME.name)
        return (head.available_after, head.held_after) if head else (0, 0)

    async def jobs(self) -> Sequence[Job]:
        """The jobs that are there, and not published."""
        at = self.clock.now() + dt.timedelta(days=30)
        claimed = await self.stores.outbox.claim("tests", now=at, lease=dt.timedelta(), limit=1_000)
        return [one.job for one in claimed]

    async def change_price(self, name: str, amount: int) -> None:
        """Let a price of the store be another one."""
        offer = await self.stores.store_catalogue.get(name)
        assert offer is not None
        await self.stores.store_catalogue.put_price(replace(offer.price, unit_amount=amount))
