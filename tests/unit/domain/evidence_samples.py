"""Evidence for tests: what became of a customer, in the words of Stripe."""

import datetime as dt
from dataclasses import replace
from typing import Any

from domain.coupons import Coupon, Discount
from domain.evidence import CustomerEvidence, DiscountEvidence, SubscriptionEvidence
from domain.facts import Series, Statement
from domain.invoices import Invoice, InvoiceLine
from domain.money import Money
from domain.mrr import statements_of
from domain.prices import Recurrence
from domain.subscriptions import Subscription, SubscriptionItem

CUSTOMER = "cus_1"
NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
MONTH = Recurrence("month", 1)
YEAR = Recurrence("year", 1)


def day(month: int, date: int = 1, hour: int = 0) -> dt.datetime:
    """An instant of 2026."""
    return dt.datetime(2026, month, date, hour, tzinfo=dt.UTC)


def item(
    amount: int | None = 1_000, recurring: Recurrence | None = MONTH, id_: str = "si_1",
    currency: str = "usd", **more: Any,
) -> SubscriptionItem:  # fmt: skip
    values = {"product": f"prod_{id_}", "quantity": 1, **more}
    return SubscriptionItem(
        id_, f"price_{id_}", values.pop("product"), values.pop("quantity"), currency, amount,
        recurring=recurring, **values,
    )  # fmt: skip


def subscription(
    *items: SubscriptionItem, id_: str = "sub_1", status: str = "active", **more: Any
) -> Subscription:
    created = more.pop("created", day(1))
    return Subscription(id_, created, CUSTOMER, status, items=items or (item(),), **more)


def seen(at: dt.datetime, found: Subscription, kind: str = "updated") -> SubscriptionEvidence:
    """What an event told; `kind` `read` is a first read."""
    name = "" if kind == "read" else f"customer.subscription.{kind}"
    id_ = f"read:{found.id}" if kind == "read" else f"evt_{found.id}_{at:%m%dT%H%M%S}_{kind}"
    return SubscriptionEvidence(id_, at, at, found, name)


def life(*states: tuple[dt.datetime, Subscription]) -> tuple[SubscriptionEvidence, ...]:
    """A subscription that was observed from its beginning."""
    (start, first), *rest = states
    born = replace(first, created=start)
    return (
        seen(start, born, "created"),
        *(seen(at, replace(found, created=start)) for at, found in rest),
    )


def canceled(
    found: Subscription, at: dt.datetime, reason: str | None = "cancellation_requested"
) -> Subscription:
    return replace(found, status="canceled", ended_at=at, cancellation_reason=reason)


def coupon(duration: str = "repeating", **more: Any) -> Coupon:
    return Coupon(more.pop("id", "co_1"), day(1), duration, **more)


def discount(off: Coupon, end: dt.datetime | None = None, id_: str = "di_1") -> Discount:
    return Discount(id_, off.id, off, day(1), end)


def customers(at: dt.datetime, given: Discount | None) -> DiscountEvidence:
    return DiscountEvidence(f"evt_d{at:%m%d}", at, at, CUSTOMER, given, "customer.discount.updated")


def line(
    amount: int, start: dt.datetime, end: dt.datetime, id_: str = "il_1", **more: Any
) -> InvoiceLine:
    values = {"subscription": "sub_1", "subscription_item": "si_1", **more}
    return InvoiceLine(
        id_, Money(amount, "usd"), period_start=start, period_end=end, **values
    )  # fmt: skip


def paid(created: dt.datetime, *lines: InvoiceLine, id_: str = "", **more: Any) -> Invoice:
    total = Money(more.pop("total", sum(each.amount.amount for each in lines)), "usd")
    values = {"subscription": "sub_1", "lines": lines, "paid_at": created, **more}
    return Invoice(
        id_ or f"in_{created:%m%d}", created, "usd", "paid", total, total, total,
        Money(0, "usd"), CUSTOMER, **values,
    )  # fmt: skip


def told(evidence: CustomerEvidence, now: dt.datetime = NOW) -> list[Statement]:
    """The movements of MRR of a customer."""
    return [
        each
        for each in statements_of(evidence, now)
        if each.series is Series.MRR
    ]  # fmt: skip


def moved(evidence: CustomerEvidence, now: dt.datetime = NOW) -> list[tuple[Any, ...]]:
    """The day, the kind, minor units (as far as they are whole) and the count of each movement."""
    return [
        (f"{each.at:%m-%d}", each.kind, each.amount / 10_000, each.count)
        for each in told(evidence, now)
        if each.kind not in ("discount", "scheduled_cancellation", "unpriced")
    ]


def of(*observations: SubscriptionEvidence, **more: Any) -> CustomerEvidence:
    return CustomerEvidence(CUSTOMER, subscriptions=observations, **more)
