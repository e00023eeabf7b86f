"""Drives a plan through the real Stripe SDK against the emulator, at the times of the plan."""

from typing import Final

import stripe
from stripe.params import (
    CouponCreateParams,
    PaymentIntentCreateParams,
    PriceCreateParams,
    RefundCreateParams,
    SubscriptionCreateParams,
)

from sandbox.demo.plan import (
    HABITS,
    PLANS,
    Action,
    Cancel,
    Change,
    GiveBack,
    Leave,
    Occurrence,
    Pay,
    SignUp,
    Subscribe,
    Switch,
)
from sandbox.demo.stage import Stage
from sandbox.demo.world import Business
from sandbox.emulator.core.messages import DeliveryChange

DUPLICATE_FRACTION: Final = 0.1
REORDER_WINDOW: Final = 64
"""Each delivery is drawn from so many that wait; they wait because deliveries are held back."""

WELCOME: Final = "WELCOME"
"""The coupon of those who begin: a fifth off for two months."""

_OTHER_DAYS: Final = 3
"""Of so many days the events of all but the last are held back, so that they pile up."""


class History:
    """Lets occurrences happen one by one; knows the ids that Stripe gave to what they made."""

    def __init__(self, stage: Stage) -> None:
        self._sdk = stage.sdk
        self._control = stage.control
        self._customers: dict[tuple[str, int], str] = {}
        self._payments: dict[tuple[str, int], str] = {}
        self._prices: dict[tuple[str, int], str] = {}
        self._subscriptions: dict[tuple[str, int], str] = {}

    async def begin(self, instant: int, seed: int) -> None:
        """Move the clock back to `instant`, and let delivery be as unruly as Stripe's may be."""
        await self._control.set_clock(instant)
        await self._control.change_delivery(
            DeliveryChange(
                duplicate_fraction=DUPLICATE_FRACTION,
                reorder_window=REORDER_WINDOW,
                max_retry_seconds=2.0,
                seed=seed,
            )
        )

    async def begin_day(self, number: int) -> None:
        """Hold deliveries back, or let them flow again, in any order: every third day."""
        if number % _OTHER_DAYS == 0:
            await self._control.pause()
        elif number % _OTHER_DAYS == _OTHER_DAYS - 1:
            await self._control.resume()

    async def end(self, instant: int) -> None:
        """Bring the clock to `instant` and let everything flow that is still held back."""
        await self._control.set_clock(instant)
        await self._control.resume()

    async def enact(self, occurrence: Occurrence) -> None:
        """Let something happen at its time. A decline that is not planned raises CardError."""
        await self._control.set_clock(occurrence.at)
        await self._act(occurrence.business, occurrence.action)

    async def _act(self, business: Business, action: Action) -> None:
        customers = self._sdk.v1.customers
        on: stripe.RequestOptions = {"stripe_account": business.stripe_account}
        match action:
            case SignUp():
                made = await customers.create_async(action.params, on)
                self._customers[business.account, action.customer] = made.id
            case Change():
                identifier = self._customers[business.account, action.customer]
                for step in action.steps:
                    await customers.update_async(identifier, step, on)
            case Leave():
                identifier = self._customers[business.account, action.customer]
                await customers.delete_async(identifier, None, on)
            case Pay():
                await self._pay(business, action, on)
            case Subscribe():
                await self._subscribe(business, action, on)
            case Switch():
                identifier = self._subscriptions[business.account, action.subscription]
                found = await self._sdk.v1.subscriptions.retrieve_async(identifier, None, on)
                item = found["items"].data[0].id
                price = await self._price(business, action.plan, on)
                await self._sdk.v1.subscriptions.update_async(
                    identifier,
                    {
                        "items": [{"id": item, "price": price}],
                        "proration_behavior": "always_invoice",
                    },
                    on,
                )
            case Cancel():
                identifier = self._subscriptions[business.account, action.subscription]
                await self._sdk.v1.subscriptions.cancel_async(identifier, None, on)
            case GiveBack():
                refund: RefundCreateParams = {
                    "payment_intent": self._payments[business.account, action.payment]
                }
                if action.amount is not None:
                    refund["amount"] = action.amount
                await self._sdk.v1.refunds.create_async(refund, on)

    async def _subscribe(
        self, business: Business, action: Subscribe, on: stripe.RequestOptions
    ) -> None:
        customer = self._customers[business.account, action.customer]
        methods = await self._sdk.v1.customers.payment_methods.list_async(customer, None, on)
        params: SubscriptionCreateParams = {
            "customer": customer,
            "items": [{"price": await self._price(business, action.plan, on)}],
            "default_payment_method": methods.data[0].id,
        }
        if action.coupon:
            params["discounts"] = [{"coupon": WELCOME}]
        if action.trial_days:
            params["trial_period_days"] = action.trial_days
        made = await self._sdk.v1.subscriptions.create_async(params, on)
        self._subscriptions[business.account, action.subscription] = made.id

    async def _price(self, business: Business, plan: int, on: stripe.RequestOptions) -> str:
        """The price of a plan. What a business sells is made with its first subscription."""
        if (business.account, plan) not in self._prices:
            habits = HABITS[business.currency]
            coupon: CouponCreateParams = {
                "id": WELCOME, "percent_off": 20, "duration": "repeating", "duration_in_months": 2,
            }  # fmt: skip
            await self._sdk.v1.coupons.create_async(coupon, on)
            for number, each in enumerate(PLANS):
                product = await self._sdk.v1.products.create_async({"name": each.name}, on)
                price: PriceCreateParams = {
                    "product": product.id,
                    "currency": business.currency,
                    "unit_amount": habits.typical * each.parts // 10,
                    "recurring": {"interval": each.interval},
                }
                made = await self._sdk.v1.prices.create_async(price, on)
                self._prices[business.account, number] = made.id
        return self._prices[business.account, plan]

    async def _pay(self, business: Business, action: Pay, on: stripe.RequestOptions) -> None:
        params: PaymentIntentCreateParams = {
            "amount": action.amount,
            "currency": business.currency,
            "payment_method": action.card,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "confirm": True,
        }
        if action.customer is not None:
            params["customer"] = self._customers[business.account, action.customer]
        try:
            intent = await self._sdk.v1.payment_intents.create_async(params, on)
        except stripe.CardError:
            if action.succeeds:
                raise
        else:
            self._payments[business.account, action.payment] = intent.id
