"""A business that lives at random: it sells, refunds, loses disputes and changes its mind."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, TypeAlias

import stripe

from sandbox.emulator.control_client import ControlError
from tests.property.histories import STAYS
from tests.support.expected.happened import Json
from tests.support.rooms.upkeep import Flows

CARDS: Final = (
    "visa", "visa", "visa", "visa", "chargeDeclined", "chargeDeclinedExpiredCard", "refundFail",
    "createDispute", "createDisputeInquiry", "bypassPending", "bypassPending",
)  # fmt: skip
KEPT_CARDS: Final = ("visa", "visa", "visa", "chargeCustomerFail", "refundFail", "createDispute")

Act: TypeAlias = Callable[[], Awaitable[object]]
Welcome: TypeAlias = Callable[[str], Awaitable[None]]


class Refused(Exception):
    """Stripe does not do what was asked, or there is nothing yet to do it with."""


class Business:
    """What one account does, by the SDK, as chance has it.

    What Stripe refuses (a card that is declined, a second refund of all) is part of life. Only what
    tells an event is done: of the rest no webhook could know. `diary` is what was done so far.
    """

    def __init__(self, flows: Flows, chance: Random, welcome: Welcome) -> None:
        """`welcome` is called with the id of each new customer, before anything is sold to him."""
        self.diary: list[str] = []
        self.refused = 0
        self._flows = flows
        self._chance = chance
        self._welcome = welcome
        self._made: dict[str, list[str]] = defaultdict(list)
        acts = {
            self._new_customer: 6, self._edit_customer: 6, self._delete_customer: 1, self._pay: 8,
            self._authorize: 4, self._capture: 4, self._refund: 6, self._refund_fails: 1,
            self._bill: 6, self._settle_bill: 5, self._subscribe: 6, self._change_plan: 8,
            self._cancel_plan: 2, self._edit_catalogue: 2, self._dispute: 2, self._verdict: 3,
            self._pay_out: 2, self._payout_ends: 1,
        }  # fmt: skip
        self._acts: list[Act] = [*acts]
        self._weights = [*acts.values()]

    async def begin(self) -> None:
        """Something to sell, and somebody to sell it to."""
        for amount in (1_000, 2_500):
            await self._new_price(amount)
        for _ in range(3):
            await self._new_customer()

    async def act(self) -> None:
        """Do one thing."""
        (chosen,) = self._chance.choices(self._acts, self._weights)
        said = getattr(chosen, "__name__", "").strip("_")
        try:
            await chosen()
        except (Refused, stripe.StripeError) as error:
            self.refused += 1
            said = f"{said}: {getattr(error, 'code', None) or 'refused'}"
        self.diary.append(said)

    def _some(self, kind: str) -> str:
        if not self._made[kind]:
            raise Refused
        return self._chance.choice(self._made[kind])

    async def _make(self, kind: str, path: str, **params: object) -> Json:
        made = await self._flows.post(path, **params)
        self._made[kind].append(made["id"])
        return made

    async def _happen(self, collection: str, id_: str, name: str, **params: str) -> None:
        control = self._flows.emulator.control
        try:
            await control.happen(collection, id_, name, params, account=self._flows.account)
        except ControlError as error:
            raise Refused from error

    async def _new_customer(self) -> None:
        number = len(self._made["customer"])
        email = f"c{number}@example.com"
        made = await self._flows.post("/v1/customers", name=f"Customer {number}", email=email)
        await self._welcome(made["id"])
        card = f"pm_card_{self._chance.choice(KEPT_CARDS)}"
        method = await self._flows.post(f"/v1/payment_methods/{card}/attach", customer=made["id"])
        settings = {"default_payment_method": method["id"]}
        await self._flows.post(f"/v1/customers/{made['id']}", invoice_settings=settings)
        self._made["customer"].append(made["id"])

    async def _edit_customer(self) -> None:
        path = f"/v1/customers/{self._some('customer')}"
        for _ in range(self._chance.randrange(1, 4)):  # mostly within one second
            name = self._chance.choice("ABC")
            await self._flows.post(path, name=name, metadata={"name": name})

    async def _delete_customer(self) -> None:
        await self._flows.delete(f"/v1/customers/{self._some('customer')}")

    async def _new_price(self, amount: int) -> None:
        product = await self._make("product", "/v1/products", name=f"Plan {amount}")
        interval = self._chance.choice(("day", "week", "month", "month"))
        await self._make(
            "price", "/v1/prices", product=product["id"], currency="usd", unit_amount=amount,
            recurring={"interval": interval},
        )  # fmt: skip

    async def _edit_catalogue(self) -> None:
        number = self._chance.randrange(500, 9_000)
        match self._chance.choice(("new", "product", "price")):
            case "new":
                await self._new_price(number)
            case "product":
                path = f"/v1/products/{self._some('product')}"
                await self._flows.post(path, name=f"Plan {number}")
            case _:
                path = f"/v1/prices/{self._some('price')}"
                await self._flows.post(path, nickname=f"No {number}")

    async def _pay(self) -> None:
        intent = await self._flows.post(
            "/v1/payment_intents", amount=self._chance.randrange(500, 50_000), currency="usd",
            automatic_payment_methods=STAYS,
        )  # fmt: skip
        card = self._chance.choice(CARDS)
        confirm = f"/v1/payment_intents/{intent['id']}/confirm"
        paid = await self._flows.post(confirm, payment_method=f"pm_card_{card}")
        self._made["charge"].append(paid["latest_charge"])

    async def _authorize(self) -> None:
        card = self._chance.choice(("visa", "threeDSecureRequired"))
        intent = await self._make(
            "authorized", "/v1/payment_intents", amount=self._chance.randrange(500, 50_000),
            currency="usd", confirm=True, payment_method=f"pm_card_{card}",
            automatic_payment_methods=STAYS,
            capture_method=self._chance.choice(("manual", "automatic")),
        )  # fmt: skip
        if intent["status"] == "requires_action":
            succeeds = self._chance.choice(("true", "true", "false"))
            await self._happen("payment_intents", intent["id"], "authenticate", succeeds=succeeds)

    async def _capture(self) -> None:
        path = f"/v1/payment_intents/{self._some('authorized')}"
        action = self._chance.choice(("capture", "capture", "cancel"))
        intent = await self._flows.post(f"{path}/{action}")
        if action == "capture":
            self._made["charge"].append(intent["latest_charge"])

    async def _refund(self) -> None:
        charge = self._some("charge")
        for _ in range(self._chance.randrange(1, 3)):
            amount = self._chance.randrange(100, 400)
            await self._make("refund", "/v1/refunds", charge=charge, amount=amount)

    async def _refund_fails(self) -> None:
        await self._happen("refunds", self._some("refund"), "fail")

    async def _bill(self) -> None:
        customer, amount = self._some("customer"), self._chance.randrange(0, 3) * 1_300
        for _ in range(self._chance.choice((1, 2, 12))):  # of twelve an event shows but ten
            await self._flows.post(
                "/v1/invoiceitems", customer=customer, amount=amount, currency="usd"
            )
        behavior = {"pending_invoice_items_behavior": "include"}
        draft = await self._make("invoice", "/v1/invoices", customer=customer, **behavior)
        if self._chance.random() < 0.7:
            await self._flows.post(f"/v1/invoices/{draft['id']}/finalize")
        if self._chance.random() < 0.5:
            await self._flows.post(f"/v1/invoices/{draft['id']}/pay")

    async def _settle_bill(self) -> None:
        path = f"/v1/invoices/{self._some('invoice')}"
        match self._chance.choice(("pay", "outside", "void", "mark_uncollectible", "edit", "drop")):
            case "drop":
                await self._flows.delete(path)
            case "edit":
                await self._flows.post(path, description=f"No {self._chance.randrange(9)}")
            case "outside":
                await self._flows.post(f"{path}/pay", paid_out_of_band=True)
            case action:
                await self._flows.post(f"{path}/{action}")

    async def _subscribe(self) -> None:
        trial = {"trial_period_days": 2} if self._chance.random() < 0.3 else {}
        await self._make(
            "subscription", "/v1/subscriptions", customer=self._some("customer"),
            items=[{"price": self._some("price")}], metadata={"plan": "first"}, **trial,
        )  # fmt: skip

    async def _change_plan(self) -> None:
        path = f"/v1/subscriptions/{self._some('subscription')}"
        for _ in range(self._chance.randrange(1, 3)):
            match self._chance.choice(("items", "items", "metadata", "pause", "resume", "end")):
                case "items":
                    (item, *_) = (await self._flows.get(path))["items"]["data"]
                    items = [{"id": item["id"], "quantity": self._chance.randrange(1, 9)}]
                    bills = self._chance.choice(("always_invoice", "create_prorations", "none"))
                    await self._flows.post(path, items=items, proration_behavior=bills)
                case "metadata":
                    plan = self._chance.choice(("first", "second"))
                    await self._flows.post(path, metadata={"plan": plan})
                case "pause":
                    await self._flows.post(path, pause_collection={"behavior": "void"})
                case "resume":
                    await self._flows.post(path, pause_collection="")
                case _:
                    at_end = self._chance.choice((True, False))
                    await self._flows.post(path, cancel_at_period_end=at_end)

    async def _cancel_plan(self) -> None:
        await self._flows.delete(f"/v1/subscriptions/{self._some('subscription')}")

    async def _dispute(self) -> None:
        await self._happen("charges", self._some("charge"), "dispute")
        (newest,) = (await self._flows.get("/v1/disputes", limit=1))["data"]
        self._made["dispute"].append(newest["id"])

    async def _verdict(self) -> None:
        status = self._chance.choice(("won", "lost", "warning_closed"))
        await self._happen("disputes", self._some("dispute"), "close", status=status)

    async def _pay_out(self) -> None:
        amount = self._chance.randrange(1_000, 3_000)
        await self._make("payout", "/v1/payouts", amount=amount, currency="usd")

    async def _payout_ends(self) -> None:
        payout = self._some("payout")
        if self._chance.random() < 0.3:
            await self._flows.post(f"/v1/payouts/{payout}/cancel")
        else:
            await self._happen("payouts", payout, "fail")
