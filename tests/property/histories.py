"""Short lives at Stripe, each of a few events that fight over the same rows.

What happens between two calls of `Life.at` happens within one second of Stripe's clock, which knows
nothing smaller: so it is with most changes of a real payment.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from application.events.inbox import ReceivedEvent
from application.mirror.lists import Place
from application.mirror.nouns import BALANCE_TRANSACTIONS, CUSTOMERS, INVOICES
from application.mirror.ports import Noun
from application.mirror.stripe import Priority
from domain.mirror import MirroredObject, Snapshot
from tests.support.expected.happened import Happened
from tests.support.rooms.upkeep import CARD, Flows

Page: TypeAlias = tuple[Noun[Any], Sequence[Snapshot[Any]]]

STAYS: Final = {"enabled": True, "allow_redirects": "never"}
_HOUR: Final = 3_600
_DAY: Final = 24 * _HOUR


@dataclass
class Life:
    """An account at Stripe while its history goes on; `pages` are those read meanwhile."""

    flows: Flows
    start: int
    pages: list[Page] = field(default_factory=list)

    async def at(self, second: int) -> None:
        """What follows happens in this second of the history."""
        await self.flows.set_time(self.start + second)

    async def read(self, noun: Noun[Any]) -> None:
        """A page is read now, by a backfill; it comes to the mirror when everything is over."""
        page = await self.flows.lister.page(
            noun, self.flows.account, Place(), since_ms=None, priority=Priority.BACKFILL
        )
        self.pages.append((noun, page.items))

    async def post(self, path: str, **params: Any) -> Any:
        """Change something."""
        return await self.flows.post(path, **params)

    async def pay(self, amount: int, card: str = CARD) -> str:
        """Pay; the charge's id."""
        intent = await self.post(
            "/v1/payment_intents", amount=amount, currency="usd", confirm=True,
            payment_method=card, automatic_payment_methods=STAYS,
        )  # fmt: skip
        return str(intent["latest_charge"])

    async def customer(self) -> str:
        """Somebody with a card."""
        customer = await self.post("/v1/customers")
        method = await self.post(f"/v1/payment_methods/{CARD}/attach", customer=customer["id"])
        settings = {"default_payment_method": method["id"]}
        await self.post(f"/v1/customers/{customer['id']}", invoice_settings=settings)
        return str(customer["id"])

    async def price(self, amount: int) -> str:
        """A monthly price."""
        price = await self.post(
            "/v1/prices", currency="usd", unit_amount=amount, recurring={"interval": "month"},
            product_data={"name": f"Plan {amount}"},
        )  # fmt: skip
        return str(price["id"])

    async def happen(self, collection: str, id_: str, name: str, **params: str) -> None:
        """Something befalls an object."""
        await self.flows.emulator.control.happen(
            collection, id_, name, params, account=self.flows.account
        )


async def _invoice(life: Life, items: int = 1) -> None:
    customer = await life.customer()
    for _ in range(items):
        await life.post("/v1/invoiceitems", customer=customer, amount=1_500, currency="usd")
    await life.at(1)
    behavior = {"pending_invoice_items_behavior": "include"}
    draft = await life.post("/v1/invoices", customer=customer, **behavior)
    await life.post(f"/v1/invoices/{draft['id']}/finalize")
    await life.post(f"/v1/invoices/{draft['id']}/pay")


async def _long_invoice(life: Life) -> None:
    await _invoice(life, items=12)  # events and pages show ten lines


async def _draft(life: Life) -> None:
    customer = await life.customer()
    await life.at(1)
    draft = await life.post("/v1/invoices", customer=customer)
    path = f"/v1/invoices/{draft['id']}"
    await life.post(path, description="first")
    await life.read(INVOICES)
    await life.post(path, description="second")
    await life.flows.delete(path)


async def _refunds(life: Life) -> None:
    await life.at(1)
    charge = await life.pay(2_000)
    for amount in (500, 700):
        await life.post("/v1/refunds", charge=charge, amount=amount)


async def _settled(life: Life) -> None:
    await life.at(1)
    charge = await life.pay(2_000)
    await life.post("/v1/refunds", charge=charge, amount=500)
    await life.read(BALANCE_TRANSACTIONS)


async def _failed_refund(life: Life) -> None:
    await life.at(1)
    charge = await life.pay(2_000, "pm_card_refundFail")
    await life.post("/v1/refunds", charge=charge, amount=500)


async def _subscription(life: Life) -> None:
    customer = await life.customer()
    small, large = await life.price(1_000), await life.price(5_000)
    await life.at(1)
    made = await life.post("/v1/subscriptions", customer=customer, items=[{"price": small}])
    item = made["items"]["data"][0]["id"]
    path = f"/v1/subscriptions/{made['id']}"
    await life.post(path, items=[{"id": item, "price": large}])
    await life.post(path, items=[{"id": item, "price": small}])
    await life.post(path, metadata={"plan": "small"})
    await life.flows.delete(path)


async def _customer(life: Life) -> None:
    await life.at(1)
    path = f"/v1/customers/{(await life.post('/v1/customers', name='Ada'))['id']}"
    await life.read(CUSTOMERS)
    await life.post(path, name="Ada L.")
    await life.post(path, email="ada@example.com")
    await life.read(CUSTOMERS)
    await life.flows.delete(path)


async def _named(life: Life, *names: str) -> None:
    """A customer with one name after the other."""
    await life.at(1)
    path = f"/v1/customers/{(await life.post('/v1/customers', name=names[0]))['id']}"
    for name in names[1:]:
        await life.post(path, name=name)


async def _to_and_fro(life: Life) -> None:
    await _named(life, "A", "B", "A", "B", "A")
    await life.read(CUSTOMERS)


async def _there_and_back(life: Life) -> None:
    await _named(life, "A", "B", "A")


async def _in_a_circle(life: Life) -> None:
    await _named(life, "A", "B", "C", "A", "D", "C")


async def _dispute(life: Life) -> None:
    charge = await life.pay(2_000)
    await life.at(1)
    await life.happen("charges", charge, "dispute")
    (made,) = (await life.flows.get("/v1/disputes"))["data"]
    await life.happen("disputes", made["id"], "close", status="won")
    await life.read(BALANCE_TRANSACTIONS)


async def _payout(life: Life) -> None:
    await life.pay(90_000, "pm_card_bypassPending")
    await life.at(1)
    made = await life.post("/v1/payouts", amount=10_000, currency="usd")
    await life.at(_HOUR + 1)
    await life.at(2 * _DAY + 1)
    await life.happen("payouts", made["id"], "fail")


async def _product(life: Life) -> None:
    await life.at(1)
    await life.post("/v1/products", id="plan", name="Plan")
    await life.post("/v1/products/plan", name="The plan")
    await life.flows.delete("/v1/products/plan")
    await life.at(2)
    await life.post("/v1/products", id="plan", name="Another plan")
    await life.post("/v1/products/plan", active=False)


async def _intent(life: Life) -> None:
    await life.at(1)
    made = await life.post(
        "/v1/payment_intents", amount=2_000, currency="usd", automatic_payment_methods=STAYS
    )
    confirm = f"/v1/payment_intents/{made['id']}/confirm"
    await life.post(confirm, payment_method="pm_card_threeDSecureRequired")
    await life.happen("payment_intents", made["id"], "authenticate", succeeds="false")
    await life.post(confirm, payment_method=CARD)


@dataclass(frozen=True, slots=True)
class Plot:
    """A life, the types of those of its events that are delivered (by how they begin, in words),
    and which facts and which parts of derived halves have to come of these alone."""

    live: Callable[[Life], Awaitable[None]]
    told: str
    facts: str = ""
    facets: str = ""


PLOTS: Final[Mapping[str, Plot]] = {
    "invoice": Plot(_invoice, "invoice.", "invoice_paid"),
    "long invoice": Plot(_long_invoice, "invoice.finalized invoice.paid", "invoice_paid"),
    "draft": Plot(_draft, "invoice."),
    "attribution": Plot(
        _invoice, "invoice.paid invoice_payment. charge.", "invoice_paid payment_succeeded",
        "invoice",
    ),
    "refunds": Plot(_refunds, "charge. refund.", "payment_succeeded refund_succeeded"),
    "settled": Plot(
        _settled, "charge. refund.", "payment_succeeded refund_succeeded", "settlement first"
    ),
    "failed refund": Plot(
        _failed_refund,
        "charge.succeeded charge.updated charge.refunded refund.updated refund.failed",
        "payment_succeeded refund_failed",
    ),
    "subscription": Plot(
        _subscription, "customer.subscription.", "subscription_created subscription_ended"
    ),
    "customer": Plot(_customer, "customer.", "customer_created", "last"),
    "to and fro": Plot(_to_and_fro, "customer.", "customer_created"),
    "there and back": Plot(_there_and_back, "customer.", "customer_created"),
    "in a circle": Plot(_in_a_circle, "customer.", "customer_created"),
    "dispute": Plot(
        _dispute, "charge.dispute.", "dispute_opened dispute_closed", "settlement reversal first"
    ),
    "payout": Plot(_payout, "payout.", "payout_paid payout_failed"),
    "product": Plot(_product, "product.", facets="last"),
    "intent": Plot(_intent, "payment_intent."),
    "attempts": Plot(
        _intent, "payment_intent. charge.", "payment_succeeded payment_failed", "attempts"
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class History:
    """A life that is over: what is delivered of it, and what is so in the end.

    `fresh` is what reads of single objects show, `end` Stripe's time in seconds.
    """

    plot: Plot
    account: str
    events: Sequence[ReceivedEvent]
    pages: Sequence[Page]
    happened: Happened
    fresh: Mapping[str, Mapping[str, MirroredObject]]
    end: int

    @property
    def deliveries(self) -> int:
        """How many things there are to deliver: the events and, counted behind them, the pages."""
        return len(self.events) + len(self.pages)

    def touched(self) -> dict[str, list[str]]:
        """The ids of the objects that are delivered, by noun."""
        found: dict[str, set[str]] = defaultdict(set)
        for event in self.events:
            found[event.object_type].add(event.object_id)
        for noun, snapshots in self.pages:
            found[noun.name].update(one.id for one in snapshots)
        return {noun: sorted(ids) for noun, ids in found.items()}


async def lived(flows: Flows, plot: Plot) -> History:
    """Live a life on a new account."""
    control = flows.emulator.control
    life = Life(flows, await control.now())
    await life.at(0)
    await plot.live(life)
    end = await control.now()
    page = await flows.lister.events(flows.account, Place(), since_ms=0, priority=Priority.BACKFILL)
    assert page.next is None
    told = tuple(plot.told.split())
    events = [one for one in reversed(page.items) if one.type.startswith(told)]
    happened, fresh = await flows.happened(), await flows.at_stripe()
    return History(plot, flows.account, events, life.pages, happened, fresh, end)
