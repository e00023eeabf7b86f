"""Items that our rules let pass are lines that Stripe takes, and they add up as the rules say."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, assume, given, settings

from application.invoices.items import MAX_QUANTITY, item_violations
from application.invoices.ports import (
    InvoiceAction,
    InvoiceFields,
    InvoiceItemFields,
    NewInvoice,
    NewInvoiceLines,
)
from application.mutations.stripe import Call
from domain.invoices import MAX_LINES
from domain.money import Money, charge_step, largest_charge
from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import StripeApi, StripeSettings
from infrastructure.stripe.invoices.gateway import StripeInvoices
from sandbox.emulator.core.currencies import check_amount
from sandbox.emulator.core.errors import ApiError
from sandbox.emulator.running import emulator_in_process
from sandbox.emulator.settings import PLATFORM_KEY
from tests.property.seed import EFFORT
from tests.support.fakes.stores import FakeClock
from tests.support.rooms.invoices_at_stripe import Merchant, shown

CLASSES: Final = ("usd", "jpy", "mga", "kwd", "isk", "ugx", "idr", "cop", "inr")
"""Two decimals, none, three, two that are always 00, and those that take more digits."""

_EXAMPLES: Final = 60 * EFFORT
_SENT: Final = InvoiceFields(collection_method="send_invoice", days_until_due=7)


@dataclass(frozen=True, slots=True)
class Shop:
    """A gateway to an emulated account with a customer, on a loop of its own."""

    runner: asyncio.Runner
    invoices: StripeInvoices
    account: str
    customer: str

    def total(self, number: int, currency: str, items: tuple[InvoiceItemFields, ...]) -> Money:
        """What a draft of these items comes to."""
        return self.runner.run(self._total(number, currency, items))

    async def _total(
        self, number: int, currency: str, items: tuple[InvoiceItemFields, ...]
    ) -> Money:
        draft = NewInvoice(self.customer, currency, _SENT)
        made = await self.invoices.create(self._call("create", number), draft)
        wanted = NewInvoiceLines(made.id, currency, items)
        found = shown(await self.invoices.add_lines(self._call("lines", number), wanted))
        assert len(found.lines) == len(items)
        assert sum(line.amount.amount for line in found.lines) == found.total.amount
        return found.total

    def _call(self, step: str, number: int) -> Call:
        return Call(self.account, f"{step}-{number}", f"{step}-{number}")


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()

        async def opened() -> Shop:
            emulator = await stack.enter_async_context(emulator_in_process())
            sdk = await stack.enter_async_context(emulator.sdk())
            account = await emulator.control.create_account()
            settings = StripeSettings(secret_key=PLATFORM_KEY, api_base=emulator.url)
            api = StripeApi(settings, RateBudget(10_000), FakeClock())
            stack.push_async_callback(api.close)
            customer = await Merchant(sdk, account).customer()
            return Shop(runner, StripeInvoices(api), account, customer)

        yield runner.run(opened())
        runner.run(stack.aclose())


@st.composite
def orders(draw: st.DrawFn) -> tuple[str, tuple[InvoiceItemFields, ...]]:
    """Items in a currency, most of them right, some at the edge of what is."""
    currency = draw(st.sampled_from(CLASSES))
    step, most = charge_step(currency), largest_charge(currency)
    right = st.integers(-50, 500).map(lambda units: units * step)
    edges = [most, most // step * step, -(most // step * step), most + 1, 1, step - 1]
    usual = {"description": st.sampled_from(["Work", "b", " a "]), "quantity": st.integers(1, 5)}
    odd = {
        "description": st.text("ab ", max_size=5),
        "quantity": st.sampled_from([0, 1, 1_000, MAX_QUANTITY]),
    }
    item = st.one_of(
        st.builds(InvoiceItemFields, unit_amount=right, **usual),
        st.builds(InvoiceItemFields, unit_amount=right, **usual),
        st.builds(InvoiceItemFields, unit_amount=right | st.sampled_from(edges), **odd),
    )
    sizes = draw(st.sampled_from([1, 2, 5, 30, MAX_LINES]))
    some = draw(st.lists(item, min_size=1, max_size=min(sizes, 5)))
    return currency, tuple((some * sizes)[:sizes])


_numbers = iter(range(1_000_000))


# Many orders are meant to be refused; where all of them were, Hypothesis would say so.
@settings(max_examples=_EXAMPLES, suppress_health_check=[HealthCheck.filter_too_much])
@given(orders())
def test_what_our_rules_let_pass_is_taken_and_adds_up(
    shop: Shop, order: tuple[str, tuple[InvoiceItemFields, ...]]
) -> None:
    currency, items = order
    assume(not list(item_violations(items, currency)))
    expected = sum((item.unit_amount or 0) * item.quantity for item in items)
    assert shop.total(next(_numbers), currency, items) == Money(expected, currency)
    assert abs(expected) <= largest_charge(currency)


@pytest.mark.parametrize("currency", CLASSES)
def test_the_largest_amount_of_each_currency_can_be_asked_for(shop: Shop, currency: str) -> None:
    """It is finalized too: then Stripe makes the payment, and it has its own limits."""
    most = largest_charge(currency) // charge_step(currency) * charge_step(currency)
    item = InvoiceItemFields(description="All of it", unit_amount=most)
    assert list(item_violations((item,), currency)) == []

    async def opened() -> Money:
        call = Call(shop.account, f"most-{currency}", f"most-{currency}")
        made = await shop.invoices.create(call, NewInvoice(shop.customer, currency, _SENT))
        lines = NewInvoiceLines(made.id, currency, (item,))
        await shop.invoices.add_lines(Call(shop.account, f"l-{currency}", "l"), lines)
        call = Call(shop.account, f"f-{currency}", "f")
        return shown(await shop.invoices.finalize(call, InvoiceAction(made.id))).amount_due

    assert shop.runner.run(opened()) == Money(most, currency)
    check_amount(most, currency)
    with pytest.raises(ApiError) as refused:
        check_amount(most + charge_step(currency), currency)
    assert refused.value.code == "amount_too_large"
