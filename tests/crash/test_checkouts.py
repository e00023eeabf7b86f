"""A sale is killed before and after each of its writes and Stripe calls: all of it, or nothing.

Each life ends with SIGKILL at one point; the last one asks for all of it again, and carries on what
was left. Then what the emulator shows, the wallets, the carts and the jobs are compared.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import stripe

from application.checkouts.checkout_terms import data_of, terms_of
from application.checkouts.pricing import Purchase
from application.processes.ports import ProcessRecord
from application.requests.callers import Caller
from application.wallet.proof import prove
from domain.accounts import Account
from domain.connections import Connection, ConnectionKind, Mode
from domain.ledger_commands import PostGrant
from domain.store_products import LISTINGS, ProductKind
from domain.wallets import Buyer, Wallet, WalletSettings
from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import StripeApi, StripeSettings
from sandbox.emulator.core.messages import AccountSpec, FaultSpec
from sandbox.emulator.running import RunningEmulator, emulator_process
from sandbox.emulator.settings import PLATFORM_KEY
from tests.contract.samples import NOON
from tests.crash.brood import KILLED, Brood, brood, every_point, prepared
from tests.crash.checkouts import Life, Wish
from tests.crash.forks import News, opened
from tests.crash.kill_points import KillPoint
from tests.support.fakes.machine_clock import MovableClock
from tests.support.rooms.checkouts import FEE, ITEMS, TOTALS, CheckoutWorld

AHEAD_SECONDS: Final = 180.0
"""So far ahead is the last life: whatever others have held is free, and quotes are still good."""

FUNDS: Final = 10_000
CAPTURE: Final = "/v1/payment_intents/{id}/capture"

pytestmark = pytest.mark.timeout(600)


class Selling:
    """A store, an emulator, and lives that sell on them."""

    def __init__(
        self, place: tuple[str, ...], emulator: RunningEmulator, sdk: stripe.StripeClient,
        platform: str, lives: Brood,
    ) -> None:  # fmt: skip
        self.place, self.emulator, self.platform, self.sdk = place, emulator, platform, sdk
        self._lives = lives
        self._api = StripeApi(
            StripeSettings(PLATFORM_KEY, api_base=emulator.url), RateBudget(10_000), MovableClock()
        )
        self.setup_product = ""
        self.wishes: dict[str, Wish] = {}

    async def stock(self) -> None:
        """Let there be the store."""
        self.setup_product = (await self.sdk.v1.products.create_async({"name": "Set-up"})).id
        async with opened(self.place) as stores:
            await CheckoutWorld(self.emulator, self.sdk, self._api, stores).stock_all()

    async def close(self) -> None:
        await self._api.close()

    async def wish(
        self, kind: ProductKind, *, canceled: bool = False, refused: bool = False,
        declined: bool = False, debit: bool = False,
    ) -> Wish:  # fmt: skip
        """What another sub-account, of a parent of its own, wishes."""
        account = f"c{len(self.wishes)}"
        parent = f"{account}-parent"
        there = await self.emulator.control.create_account(AccountSpec())
        sdk, options = self.sdk.v1, {"stripe_account": there}
        pays = await sdk.customers.create_async({"name": parent})
        name = "pm_card_chargeCustomerFail" if debit else "pm_card_visa"
        card = await sdk.payment_methods.attach_async(name, {"customer": pays.id})
        default: Any = {"invoice_settings": {"default_payment_method": card.id}}
        await sdk.customers.update_async(pays.id, default)
        buys: Any = {"name": account}
        customer = await sdk.customers.create_async(buys, options)  # type: ignore[arg-type]
        name = "pm_card_authenticationRequired" if canceled else "pm_card_visa"
        params: Any = {"customer": customer.id}
        other = ""
        if declined:
            good = await sdk.payment_methods.attach_async(name, params, options)  # type: ignore[arg-type]
            name, other = "pm_card_chargeCustomerFail", good.id
        if debit:
            bank: Any = {
                "type": "us_bank_account", "billing_details": {"name": account},
                "us_bank_account": {
                    "account_number": "000123456789", "routing_number": "110000000",
                    "account_holder_type": "individual",
                },
            }  # fmt: skip
            name = (await sdk.payment_methods.create_async(bank, options)).id  # type: ignore[arg-type]
        method = await sdk.payment_methods.attach_async(name, params, options)  # type: ignore[arg-type]
        if refused:
            await self.emulator.control.add_fault(
                FaultSpec(
                    kind="fail", status=400, count=None, method="POST", route=CAPTURE, account=there
                )
            )
        async with opened(self.place) as stores:
            await stores.accounts.add(Account(parent, parent, "usd"))
            await stores.accounts.add(Account(account, account, "usd", parent, flags=(LISTINGS,)))
            link = Connection(parent, there, Mode.TEST, ConnectionKind.MANUAL, NOON)
            await stores.connections.put(link)
            await stores.buyers.add(Buyer(parent, self.platform, pays.id, NOON))
            await stores.buyers.add(Buyer(account, there, customer.id, NOON))
            wallet = Wallet(account, parent, "usd")
            settings = WalletSettings(wallet.name, NOON, multipliers={"*": "1.5"})
            assert await stores.wallet_settings.put(settings)
            grant = PostGrant(key="g:1", payload_hash="h", actor="t", at=NOON, amount=FUNDS)
            await stores.journal.append(Wallet(parent, None, "usd"), [grant])
            world = CheckoutWorld(self.emulator, self.sdk, self._api, stores)
            world.wire()
            preview = await world.previews.preview(
                Caller("ada", account, frozenset()),
                Purchase(account, ITEMS[kind], payment_method=method.id),
            )
        quote = preview.signed.text
        made = Wish(account, there, kind.value, quote, method.id, other, canceled, refused, debit)
        self.wishes[account] = made
        if debit:
            await self._bank_pays(made)
        return made

    async def _bank_pays(self, wish: Wish) -> None:
        """A life that waits for the bank, which then pays."""
        assert (await self.live(wish)).ended == 0
        options: Any = {"stripe_account": wish.place}
        (intent,) = (await self.sdk.v1.payment_intents.list_async({}, options)).data
        assert intent.status == "processing"
        await self.emulator.control.pay_debit(intent.id, account=wish.place)

    async def live(
        self, *wishes: Wish, point: KillPoint | None = None, settles: bool = False
    ) -> News:
        """One life; how it ended."""
        life = Life(
            self.place, self.emulator.url, self.platform, self.setup_product, wishes, point,
            settles, AHEAD_SECONDS if settles else 0.0,
        )  # fmt: skip
        return await self._lives.live(life)

    async def paid(self, wish: Wish) -> tuple[list[str], int]:
        """The buyer's payments: their states, and what was received and not given back."""
        options: Any = {"stripe_account": wish.place}
        intents = (await self.sdk.v1.payment_intents.list_async({"limit": 100}, options)).data
        refunds = (await self.sdk.v1.refunds.list_async({"limit": 100}, options)).data
        received = sum(intent.amount_received for intent in intents)
        return [one.status for one in intents], received - sum(one.amount for one in refunds)

    async def renewals(self, wish: Wish) -> list[tuple[str, str, int]]:
        """The buyer's subscriptions: their ids and states, and what each asks for a period."""
        options: Any = {"stripe_account": wish.place}
        query: Any = {"status": "all", "limit": 100}
        found = (await self.sdk.v1.subscriptions.list_async(query, options)).data
        prices: Any = [one["items"].data[0].price for one in found]
        return [
            (one.id, one.status, price.unit_amount)
            for one, price in zip(found, prices, strict=True)
        ]

    async def costs(self, wish: Wish) -> tuple[list[str], int]:
        """The parent's own subscriptions: their states, and what was paid and not given back."""
        async with opened(self.place) as stores:
            parent = await stores.buyers.get(f"{wish.account}-parent", self.platform)
        assert parent is not None
        query: Any = {"customer": parent.customer, "status": "all", "limit": 100}
        subscriptions = (await self.sdk.v1.subscriptions.list_async(query)).data
        charges = (await self.sdk.v1.charges.list_async({"customer": parent.customer})).data
        paid = sum(charge.amount_captured - charge.amount_refunded for charge in charges)
        return [one.status for one in subscriptions], paid


@pytest.fixture(params=["sqlite", "mongo"])
async def world(request: pytest.FixtureRequest, on_disk: Path) -> AsyncIterator[Selling]:
    async with (
        prepared(request, on_disk) as place,
        emulator_process() as emulator,
        emulator.sdk() as sdk,
        brood("tests.crash.checkouts") as lives,
    ):
        platform = (await sdk.v1.accounts.retrieve_current_async()).id
        made = Selling(place, emulator, sdk, platform, lives)
        await made.stock()
        yield made
        await made.close()


async def audit(world: Selling) -> None:
    """Stripe, wallets, carts and jobs agree: each effect of a sale is there once, or none is."""
    jobs: Counter[str] = Counter()
    for account, wish in world.wishes.items():
        kind, parent = ProductKind(wish.kind), f"{account}-parent"
        subscribes = kind is ProductKind.SUBSCRIPTION
        total, cost = TOTALS[kind]
        async with opened(world.place) as stores:
            records = await stores.process_log.list(account, "checkout", after=None, limit=10)
            proofs = [await prove(stores.journal, name) for name in (parent, f"{account}@{parent}")]
            entries = await stores.journal.list(parent, limit=100)
            notes = await stores.journal.list(f"{account}@{parent}", limit=100)
            cart = await stores.carts.get(account)
            sold = await stores.store_subscriptions.list(account, after="", limit=10)
        assert all(proof.holds for proof in proofs), account
        (record,) = records
        assert not record.progress.attention, account
        statuses, received = await world.paid(wish)
        subscriptions, paid = await world.costs(wish)
        renewals = await world.renewals(wish)
        kinds = Counter(entry.kind.value for entry in entries if entry.kind != "grant")
        available, held = proofs[0].available, proofs[0].held
        if wish.canceled or wish.refused or wish.debit:
            assert record.progress.state == "canceled", account
            # Where Stripe never had it, there was nothing to cancel.
            ended = "succeeded" if wish.debit else "canceled"
            assert ({*statuses} | {ended}, received) == ({ended}, 0), account
            assert ({*subscriptions} | {"canceled"}, paid) == ({"canceled"}, 0), account
            assert max(len(statuses), len(subscriptions)) <= 1
            assert kinds in ({}, {"hold": 1, "release": 1}), account
            assert (available, held, notes) == (FUNDS, 0, []), account
            assert (renewals, sold) == ([], []), account
            jobs += Counter({"store.seller_unavailable": 1} if wish.debit else {})
            continue
        assert record.progress.state == "completed", account
        assert (statuses, received) == (["succeeded"], total), account
        assert (subscriptions, paid) == ((["active"], cost) if subscribes else ([], 0)), account
        assert kinds == ({} if subscribes else {"hold": 1, "capture": 1}), account
        assert (available, held) == (FUNDS - (0 if subscribes else cost), 0), account
        assert [note.kind for note in notes] == ["note"], account
        assert cart is None, account
        fee = FEE * 3 // 2 if kind in (ProductKind.LISTING, ProductKind.SUBSCRIPTION) else 0
        assert [(state, amount) for _, state, amount in renewals] == (
            [("active", total - fee)] if kind.recurs else []
        ), account
        assert [(one.id, one.renewal and one.renewal.id, one.posted) for one in sold] == [
            (record.id, id_, 1) for id_, _, _ in renewals
        ], account
        consistent(record)
        jobs += Counter({"store.provision": 1, "store.purchased": 1})
    async with opened(world.place) as stores:
        claimed = await stores.outbox.claim("audit", now=NOON, lease=NOON - NOON, limit=1_000)
    assert Counter(one.job.kind for one in claimed) == jobs


def consistent(record: ProcessRecord) -> None:
    """What a completed checkout knows of itself."""
    terms, data = terms_of(record), data_of(record)
    assert data.captured_at is not None
    assert (data.amount, data.provisioned) == (terms.total.amount, True)
    assert bool(data.sellers_subscription) == terms.subscribes


async def settled(world: Selling) -> None:
    """Everybody asks again, and the rest is carried on to its end."""
    for _ in range(2):  # the orders of those whose checkout was still under way the first time
        assert (await world.live(*world.wishes.values(), settles=True)).ended == 0


KINDS: Final = (
    (ProductKind.ONE_OFF, {}),
    (ProductKind.SUBSCRIPTION, {}),
    (ProductKind.SUBSCRIPTION, {"refused": True}),
    (ProductKind.ONE_OFF, {"canceled": True}),
    (ProductKind.ONE_OFF, {"declined": True}),
    (ProductKind.SUBSCRIPTION, {"debit": True}),
    (ProductKind.PHONE_NUMBER, {}),
    (ProductKind.LISTING, {}),
)
"""Those whose steps are the ones of an earlier one are killed at their outward effects alone."""

OUTWARD: Final = ("stripe.capture", "stripe.renewal", "journal.", "sold.")


async def test_wherever_it_is_killed_it_is_sold_once_or_not_at_all(
    world: Selling, report: list[str]
) -> None:
    killed: Counter[str] = Counter()
    for kind, how in KINDS:
        whole = await world.live(await world.wish(kind, **how))
        assert whole.ended == 0
        for point in every_point(_worth_it(whole.calls, kind, **how)):
            news = await world.live(await world.wish(kind, **how), point=point)
            assert news.ended == KILLED, point
            killed[point.step] += 1
    await settled(world)
    await audit(world)
    assert killed.keys() >= {
        "log.begin", "log.write", "stripe.create", "stripe.confirm", "stripe.capture",
        "stripe.cancel", "stripe.subscribe", "stripe.unsubscribe", "stripe.refund",
        "stripe.renewal", "sold.add", "sold.put", "journal.append", "outbox.append", "carts.remove",
    }  # fmt: skip
    store = "sqlite" if len(world.place) == 1 else "mongo"
    report.append(f"a checkout killed at {killed.total()} points on {store}: {dict(killed)}")


def _worth_it(
    calls: Mapping[str, int],
    kind: ProductKind,
    *,
    canceled: bool = False,
    refused: bool = False,
    declined: bool = False,
    debit: bool = False,
) -> Mapping[str, int]:
    """What the first two, or the one that is bought, do not do alike."""
    if debit:
        return calls
    if declined:
        kept: tuple[str, ...] = ("stripe.confirm", "log.write")
    elif canceled or refused:
        kept = ("stripe.cancel", "stripe.unsubscribe", "stripe.refund", "log.release", "journal.")
        kept = (*kept, "log.write") if refused else kept
    elif kind in (ProductKind.ONE_OFF, ProductKind.SUBSCRIPTION):
        return calls
    else:
        kept = OUTWARD
    return {step: count for step, count in calls.items() if step.startswith(kept)}


async def test_lost_answers_failures_and_stalls_at_stripe_sell_once(world: Selling) -> None:
    nouns = ("payment_intent", "subscription", "refund")
    for fault in (
        {"kind": "drop_after", "probability": 0.2, "method": "POST"},
        {"kind": "fail", "status": 500, "probability": 0.1},
        {"kind": "fail", "status": 500, "after_work": True, "remember": False, "probability": 0.1},
        {"kind": "stall", "seconds": 0.7, "probability": 0.05},
        {"kind": "fail", "status": 429, "probability": 0.1},
    ):
        for noun in nouns:
            await world.emulator.control.add_fault(FaultSpec(count=None, noun=noun, **fault))
    for kind, how in KINDS:
        if not how:
            wishes = [await world.wish(kind) for _ in range(3)]
            assert (await world.live(*wishes)).ended == 0
    await world.emulator.control.clear_faults()
    await settled(world)
    await settled(world)
    await audit(world)
