"""Random histories of buying, renewing, lapsing and refunding: who owes whom, to the minor unit."""

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from application.checkouts.commands import CheckoutRefund
from application.requests.callers import OPERATOR, Caller
from application.wallet.proof import prove
from domain.store_products import ProductKind
from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import StripeApi, StripeSettings
from sandbox.emulator.running import emulator_in_process
from sandbox.emulator.settings import PLATFORM_KEY
from tests.property.sale_model import Model, ModelSale
from tests.property.seed import EFFORT, FIGURES, SEED
from tests.support.fakes.machine_clock import MovableClock
from tests.support.rooms.checkouts import ACME, ITEMS, PARENT, TOTALS
from tests.support.rooms.sales import SaleWorld
from tests.support.servers.stores import sqlite_stores

HISTORIES: Final = 6 * EFFORT
STEPS: Final = 14
STAFF: Final = Caller("ops", "lily", frozenset(), token_account=OPERATOR)
BOUGHT: Final = (ProductKind.ONE_OFF, ProductKind.PHONE_NUMBER, ProductKind.PHONE_NUMBER)


class History:
    """One history, here and in the model."""

    def __init__(self, world: SaleWorld, random: Random) -> None:
        self.world, self.random = world, random
        self.model = Model(granted=100_000)
        self.sales: dict[str, ModelSale] = {}
        self.done: Counter[str] = Counter()
        self.log: list[str] = []

    async def step(self) -> None:
        """Something happens, and then days pass."""
        names = ["buy", "refund", "refund_by_hand", "decline", "mend", "plan", "go_on", "cut"]
        names += ["drain", "grant"]
        weights = [6, 3, 1, 4, 4, 1, 1, 1, 3, 3]
        (name,) = self.random.choices(names, weights)
        if await getattr(self, name)():
            self.done[name] += 1
            self.log.append(f"{self.world.clock.now():%m-%d %H:%M} {name}")
        for _ in range(self.random.choice((1, 2, 5, 9, 20))):
            await self._pass(1)

    async def _pass(self, days: float) -> None:
        await self.world.pass_days(days)
        self.model.day(self.world.clock.now())

    # --- what happens ---

    async def buy(self) -> bool:
        kind = self.random.choice(BOUGHT)
        price, cost = TOTALS[kind]
        if self.model.wallet < cost or len(self.sales) >= 4:
            return False
        view = await self.world.buy(ITEMS[kind], await self.world.card())
        assert view.state == "completed"
        data = await self.world.data(view.record.id)
        assert data.captured_at is not None
        start = data.captured_at.replace(microsecond=0)
        sale = ModelSale(start, price, cost, kind is not ProductKind.ONE_OFF)
        self.sales[view.record.id] = sale
        self.model.sales.append(sale)
        await self._pass(5 / 24)  # so that no day ends within the hour of a draft
        return True

    async def refund(self) -> bool:
        found = self._any(lambda sale: sale.refunded < sale.price)
        if found is None:
            return False
        checkout, sale = found
        left = sale.price - sale.refunded
        amount = self.random.choice((left, self.random.randint(1, left)))
        with_cost = self.random.random() < 0.5
        order = CheckoutRefund(checkout, amount, "not needed", with_cost)
        caller = STAFF if with_cost else PARENT
        await self.world.sale_refunds.refund(caller, self.world.fresh(), order)
        sale.refunded += amount
        sale.cost_base += amount if with_cost else 0
        self._seen(sale)
        return True

    async def refund_by_hand(self) -> bool:
        """In the seller's dashboard."""
        found = self._any(lambda sale: sale.refunded < sale.price)
        if found is None:
            return False
        checkout, sale = found
        amount = self.random.randint(1, sale.price - sale.refunded)
        intent = (await self.world.data(checkout)).payment_intent
        params: Any = {"payment_intent": intent, "amount": amount}
        await self.world.sdk.v1.refunds.create_async(params, self.world.options)
        await self.world.told(checkout)
        sale.refunded += amount
        self._seen(sale)
        return True

    async def decline(self) -> bool:
        return await self._card("chargeCustomerFail", good=False)

    async def mend(self) -> bool:
        """Another card, and what is unpaid is paid."""
        found = self._any(_runs)
        if found is None:
            return False
        checkout, sale = found
        card = await self.world.card()
        await self._change(checkout, default_payment_method=card)
        renewal = (await self.world.data(checkout)).renewal
        invoices = self.world.sdk.v1.invoices
        wanted: Any = {"subscription": renewal, "status": "open"}
        for invoice in (await invoices.list_async(wanted, self.world.options)).data:
            params: Any = {"payment_method": card}
            await invoices.pay_async(invoice.id, params, self.world.options)
        await self.world.told(checkout)
        sale.card_good = True
        sale.renewals_paid += len(sale.unpaid)
        sale.unpaid.clear()
        self._seen(sale)
        return True

    async def plan(self) -> bool:
        """It is to end with its period."""
        return await self._plan(planned=True)

    async def go_on(self) -> bool:
        return await self._plan(planned=False)

    async def cut(self) -> bool:
        """Canceled at Stripe, at once."""
        found = self._any(_runs)
        if found is None:
            return False
        checkout, sale = found
        renewal = (await self.world.data(checkout)).renewal
        await self.world.sdk.v1.subscriptions.cancel_async(renewal, None, self.world.options)
        sale.stripe_ended = self.world.clock.now()
        await self.world.told(checkout)
        self._seen(sale)
        return True

    async def drain(self) -> bool:
        """The seller spends all that it has."""
        if self.model.wallet <= 0:
            return False
        amount = self.model.wallet
        await self.world.spend(amount)
        self.model.spent += amount
        return True

    async def grant(self) -> bool:
        amount = max(0, -self.model.wallet) + self.random.randint(1, 2_000)
        await self.world.grant(amount)
        self.model.granted += amount
        self.model.saw(self.world.clock.now())
        return True

    async def _card(self, name: str, *, good: bool) -> bool:
        found = self._any(_runs)
        if found is None:
            return False
        checkout, sale = found
        await self._change(checkout, default_payment_method=await self.world.card(name))
        sale.card_good = good
        self._seen(sale)
        return True

    async def _plan(self, *, planned: bool) -> bool:
        found = self._any(lambda sale: _runs(sale) and sale.planned_end is not planned)
        if found is None:
            return False
        checkout, sale = found
        await self._change(checkout, cancel_at_period_end=planned)
        sale.planned_end = planned
        self._seen(sale)
        return True

    async def _change(self, checkout: str, **params: Any) -> None:
        await self.world.change(checkout, **params)

    def _seen(self, sale: ModelSale) -> None:
        """Its event has come: it is looked at."""
        self.model.saw(self.world.clock.now())
        if sale.recurs:
            self.model.look(sale, self.world.clock.now())

    def _any(self, wanted: Any) -> tuple[str, ModelSale] | None:
        fitting = [(checkout, sale) for checkout, sale in self.sales.items() if wanted(sale)]
        return self.random.choice(fitting) if fitting else None

    # --- who owes whom ---

    async def check(self) -> None:
        available, held = await self.world.balance()
        assert (available, held) == (self.model.wallet, 0)
        assert (await prove(self.world.stores.journal, ACME.name)).holds
        intents = await self.world.intents()
        assert sum(intent.amount_received for intent in intents) == self.model.paid
        listed: Any = {"limit": 100}
        refunds = (await self.world.sdk.v1.refunds.list_async(listed, self.world.options)).data
        assert sum(refund.amount for refund in refunds) == self.model.refunded
        told = await self.world.store_jobs("store.suspend", "store.resume", "store.deprovision")
        for checkout, sale in self.sales.items():
            mine = [job for job in told if job.payload["checkout"] == checkout]
            mine.sort(key=lambda job: job.payload["number"])
            assert [job.kind.removeprefix("store.") for job in mine] == sale.jobs, checkout
            data = await self.world.data(checkout)
            assert (data.gone, data.cost_returned) == (sale.refunded, sale.cost_back)
            if sale.recurs:
                standing = (await self.world.sold(checkout)).standing
                wanted = "ended" if sale.ended else "suspended" if sale.suspended else "active"
                assert standing == wanted
                if sale.ended:
                    assert (await self.world.renewal(checkout)).status == "canceled"


def _runs(sale: ModelSale) -> bool:
    return sale.recurs and sale.ended is None and sale.stripe_ended is None


async def live(folder: Path, seed: int) -> Counter[str]:
    """One history, checked after each step."""
    async with (
        sqlite_stores(folder / f"{seed}.db") as stores,
        emulator_in_process() as emulator,
        emulator.sdk() as sdk,
    ):
        await emulator.control.end_dunning_with("past_due")
        clock = MovableClock()
        settings = StripeSettings(PLATFORM_KEY, api_base=emulator.url)
        api = StripeApi(settings, RateBudget(10_000), clock)
        world = SaleWorld(emulator, sdk, api, stores, clock)
        await world.begin()
        history = History(world, Random(seed))  # noqa: S311
        try:
            for _ in range(STEPS):
                await history.step()
                await history.check()
        except BaseException as error:
            error.add_note("\n".join([*history.log, *map(str, history.sales.items())]))
            raise
        finally:
            await world.tasks.drain(10)
            await api.close()
        jobs = Counter(job for sale in history.sales.values() for job in sale.jobs)
        costs = sum(sale.periods - 1 for sale in history.sales.values())
        return history.done + jobs + Counter({"renewal costs": costs})


@pytest.mark.timeout(600)
async def test_who_owes_whom(tmp_path: Path) -> None:
    done: Counter[str] = Counter()
    for number in range(HISTORIES):
        seed = SEED + number
        try:
            done += await live(tmp_path, seed)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    FIGURES.append(f"histories of sales: {HISTORIES}, {dict(done)}")
