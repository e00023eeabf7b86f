"""Histories of subscribers, for Hypothesis: what is changed, paused, discounted, ended, swapped.

Few instants, so that much happens in one second.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from hypothesis import strategies as st

from domain.coupons import Coupon, Discount
from domain.evidence import CustomerEvidence, DiscountEvidence, SubscriptionEvidence
from domain.invoices import Invoice, InvoiceLine, LineDiscount, LineTax
from domain.money import Money
from domain.prices import Price, Recurrence, Tier, TransformQuantity
from domain.subscriptions import Subscription, SubscriptionItem

START: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NOW: Final = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
CONNECTED: Final = dt.datetime(2026, 5, 10, 12, tzinfo=dt.UTC)
INSTANTS: Final = tuple(START + dt.timedelta(days=11 * n) for n in range(24))
CUSTOMERS: Final = ("cus_a", "cus_b")

COUPONS: Final = (
    Coupon("co_half", START, "forever", percent_off="50"),
    Coupon("co_some", START, "repeating", percent_off="33.33"),
    Coupon("co_off", START, "repeating", amount_off=700, currency="usd",
           currency_options={"eur": 650}),
    Coupon("co_once", START, "once", percent_off="100"),
    Coupon("co_few", START, "forever", amount_off=10_000, currency="usd",
           applies_to=("prod_0",)),
    Coupon("co_new", START, "for_an_age", percent_off="5"),
)  # fmt: skip
DISCOUNTS: Final = tuple(
    Discount(f"di_{place}", coupon.id, coupon if place != 6 else None, START,
             INSTANTS[7 + 2 * place] if coupon.duration == "repeating" else None)
    for place, coupon in enumerate((*COUPONS, COUPONS[0]))
)  # fmt: skip
"""Each always ends when it ends. Of the last one nobody knows the coupon."""

RECURRENCES: Final = (
    Recurrence("month", 1), Recurrence("year", 1), Recurrence("week", 2), Recurrence("month", 3),
    Recurrence("day", 1), Recurrence("month", 1, "metered"), Recurrence("fortnight", 1),
)  # fmt: skip
TIERS: Final = (Tier(2, 50, unit_amount=700), Tier(5, unit_amount_decimal="650.5"), Tier(None, 9))
STATUSES: Final = (
    "active", "active", "active", "past_due", "trialing", "unpaid", "paused", "incomplete",
    "canceled", "of_tomorrow",
)  # fmt: skip
REASONS: Final = (None, "cancellation_requested", "payment_failed")

Draw = Callable[[st.SearchStrategy[Any]], Any]


def _item(draw: Draw, id_: str, code: str) -> SubscriptionItem:
    recurring = draw(st.sampled_from(RECURRENCES))
    shape = draw(st.sampled_from(("plain", "plain", "decimal", "volume", "graduated", "packages")))
    found = SubscriptionItem(
        id_, f"price_{id_}", f"prod_{draw(st.integers(0, 1))}", draw(st.integers(0, 7)), code,
        draw(st.sampled_from((0, 100, 999, 1_000))), recurring=recurring,
    )  # fmt: skip
    if shape == "decimal":
        return replace(found, unit_amount=None, unit_amount_decimal="33.333")
    if shape == "packages":
        up = draw(st.sampled_from(("up", "down")))
        return replace(found, transform_quantity=TransformQuantity(3, up))
    if shape in ("volume", "graduated"):
        tiers = draw(st.sampled_from((TIERS, None)))
        return replace(
            found, unit_amount=None, billing_scheme="tiered", tiers_mode=shape, tiers=tiers
        )
    return found


def _state(draw: Draw, id_: str, customer: str, at: dt.datetime) -> Subscription:
    code = draw(st.sampled_from(("usd", "usd", "eur")))
    few = st.lists(st.integers(0, len(DISCOUNTS) - 1), max_size=2, unique=True)
    items = [_item(draw, f"si_{id_}_{n}", code) for n in range(draw(st.integers(1, 2)))]
    own, given = ([DISCOUNTS[place] for place in draw(few)] for _ in range(2))
    if given:
        items[0] = replace(items[0], discounts=tuple(each.id for each in given))
    status = draw(st.sampled_from(STATUSES))
    ended = (
        at - dt.timedelta(days=draw(st.sampled_from((0, 0, 5)))) if status == "canceled" else None
    )
    return Subscription(
        id_, START, customer, status, code, tuple(items),
        cancel_at_period_end=draw(st.booleans()), ended_at=ended,
        pause_behavior=draw(st.sampled_from((None, None, "void", "keep_as_draft"))),
        discounts=tuple(each.id for each in own), discount_details=(*own, *given),
        cancellation_reason=draw(st.sampled_from(REASONS)),
    )  # fmt: skip


def _subscription(draw: Draw, id_: str, customer: str) -> list[SubscriptionEvidence]:
    older = draw(st.booleans())
    after = [each for each in INSTANTS if not older or each > CONNECTED]
    instants = sorted(draw(st.lists(st.sampled_from(after), min_size=1, max_size=5)))
    if older:
        instants = [CONNECTED, *instants]
    found = []
    for place, at in enumerate(instants):
        kind = ("" if older else "created") if place == 0 else "updated"
        told = _state(draw, id_, customer, at)
        told = replace(told, created=START - dt.timedelta(days=400) if older else instants[0])
        event = f"customer.subscription.{kind}" if kind else ""
        found.append(SubscriptionEvidence(f"evt_{id_}_{place}", at, at, told, event))
        if told.ended:
            break
    return found


def _lines(draw: Draw, id_: str) -> list[Invoice]:
    """Invoices of before the connection, of consecutive months, some of them not paid."""
    found = []
    for month in range(1, 6):
        start, end = START.replace(month=month), START.replace(month=month + 1)
        amount = draw(st.sampled_from((0, 1_000, 1_500)))
        off = draw(st.sampled_from(((), (LineDiscount("di_0", Money(100, "usd")),))))
        taxes = draw(st.sampled_from(((), (LineTax(Money(90, "usd"), "inclusive"),))))
        price = draw(st.sampled_from((None, "price_y", "price_once")))
        lines = [
            InvoiceLine(
                f"il_{id_}_{month}", Money(amount, "usd"), price=price, subscription=id_,
                subscription_item=f"si_{id_}_0", period_start=start, period_end=end,
                discounts=off if amount else (), taxes=taxes if amount else (),
            )
        ]  # fmt: skip
        middle = start + dt.timedelta(days=10)
        lines += [
            InvoiceLine(
                f"il_{id_}_{month}_{sign}", Money(500 * sign, "usd"), quantity=2,
                price=draw(st.sampled_from((None, "price_y"))), subscription=id_,
                subscription_item=f"si_{id_}_0", proration=True, period_start=middle,
                period_end=end,
            )
            for sign in draw(st.sampled_from(((), (-1,), (-1, 1))))
        ]  # fmt: skip
        total = Money(max(0, sum(line.amount.amount for line in lines)), "usd")
        status = draw(st.sampled_from(("paid", "paid", "open")))
        found.append(
            Invoice(
                f"in_{id_}_{month}", start, "usd", status, total, total, total, Money(0, "usd"),
                subscription=id_, lines=tuple(lines),
            )
        )  # fmt: skip
    return found


PRICES: Final = {
    "price_y": Price(
        "price_y", START, "prod_0", "usd", True, "recurring", 12_000, recurring=RECURRENCES[1]
    ),
    "price_once": Price("price_once", START, "prod_1", "usd", True, "one_time", 500),
}


@st.composite
def customers(draw: Draw, who: str = "cus_a") -> CustomerEvidence:
    """One customer: up to three subscriptions, and discounts of his own."""
    observations: list[SubscriptionEvidence] = []
    invoices: list[Invoice] = []
    for number in range(draw(st.integers(1, 3))):
        told = _subscription(draw, f"{who}_sub_{number}", who)
        observations += told
        if not told[0].event_type:
            invoices += _lines(draw, told[0].subscription.id)
    given = sorted(draw(st.lists(st.sampled_from(INSTANTS), max_size=2, unique=True)))
    choices = st.sampled_from((None, *DISCOUNTS))
    discounts = [
        DiscountEvidence(f"evt_{who}_d{n}", at, at, who, draw(choices), "customer.discount.updated")
        for n, at in enumerate(given)
    ]
    return CustomerEvidence(
        who, subscriptions=tuple(observations), discounts=tuple(discounts),
        invoices=tuple(invoices), prices=PRICES, coupons={"di_0": COUPONS[0]},
    )  # fmt: skip
