"""An oracle of subscribers: docs/metrics.md once more, in the plainest Python.

It shares no code with what it judges. It knows no steps: for every second in which something may
have changed it asks what each subscription was just before it and what it is after it.
"""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from domain.coupons import Coupon
from domain.evidence import ChargeEvidence, CustomerEvidence, SubscriptionEvidence
from domain.invoices import Invoice, InvoiceLine
from domain.subscriptions import Subscription, SubscriptionItem

LEAST = dt.timedelta(microseconds=1)
A_MONTH = {
    "day": Fraction(365, 12), "week": Fraction(52, 12), "month": Fraction(1),
    "year": Fraction(1, 12),
}  # fmt: skip

Amounts = dict[str, int]


@dataclass(frozen=True)
class Moved:
    """A movement of a customer: amounts in 1/10,000 minor unit."""

    customer: str
    at: dt.datetime
    kind: str
    currency: str
    amount: int
    count: int


# --- what a subscription was ---


def observations(evidence: CustomerEvidence, id_: str) -> list[tuple[dt.datetime, Subscription]]:
    """Since when a subscription was what: by Stripe's seconds, its creation first, its end last."""
    told = {each.id: each for each in evidence.subscriptions if each.subscription.id == id_}

    def order(each: SubscriptionEvidence) -> Any:
        kind = each.event_type.rpartition(".")[2]
        over = each.subscription.status in ("canceled", "incomplete_expired")
        return each.at, over, {"created": 0, "": 1}.get(kind, 2), each.id

    found: list[tuple[dt.datetime, Subscription]] = []
    for each in sorted(told.values(), key=order):
        at, subscription = each.at, each.subscription
        over = subscription.status in ("canceled", "incomplete_expired")
        if found and over and subscription.ended_at:
            at = max(found[-1][0], min(at, subscription.ended_at))
        found.append((at, subscription))
    return found


def observed_whole(evidence: CustomerEvidence, id_: str) -> bool:
    """Whether it was seen from its first second."""
    first_at, first = observations(evidence, id_)[0]
    created = any(
        each.event_type.endswith(".created") and each.at == first_at
        for each in evidence.subscriptions
        if each.subscription.id == id_
    )
    return created or first_at <= first.created


def state(evidence: CustomerEvidence, id_: str, at: dt.datetime) -> Subscription | None:
    """What it was observed as, at an instant; None before anybody looked."""
    so_far = [found for since, found in observations(evidence, id_) if since <= at]
    return so_far[-1] if so_far else None


# --- levels ---


def levels(evidence: CustomerEvidence, id_: str, at: dt.datetime) -> tuple[Any, Any]:
    """What it brings a month at an instant by currency, with its discounts and before them."""
    found = state(evidence, id_, at)
    if found is None:
        if observed_whole(evidence, id_):
            return {}, {}
        return of_invoices(evidence, id_, at)
    return of_state(evidence, found, at)


def of_state(evidence: CustomerEvidence, found: Subscription, at: dt.datetime) -> tuple[Any, Any]:
    if found.status not in ("active", "past_due"):
        return {}, {}
    if found.pause_behavior in ("void", "mark_uncollectible"):
        return {}, {}
    bills = {item.id: price(item) for item in found.items}
    items = [item for item in found.items if bills[item.id] is not None and often(item)]
    left: dict[str, Fraction] = {item.id: bills[item.id] for item in items}  # type: ignore[misc]
    for item in items:
        for id_ in item.discounts:
            take_off(evidence, id_, [item], left, at)
    own = found.discounts
    if not own and not any(item.discounts for item in found.items):
        his = [each for each in evidence.discounts if each.at <= at]
        his.sort(key=lambda each: (each.at, each.discount is not None, each.id))
        own = (his[-1].discount.id,) if his and his[-1].discount else ()
    for id_ in own:
        take_off(evidence, id_, items, left, at)
    after, before = defaultdict[str, Fraction](Fraction), defaultdict[str, Fraction](Fraction)
    for item in items:
        after[item.currency] += left[item.id] * often(item)
        before[item.currency] += (bills[item.id] or 0) * often(item)
    return after, before


def often(item: SubscriptionItem) -> Fraction:
    """How often a month it is billed; zero where that is unknown, or it is metered."""
    recurring = item.recurring
    if recurring is None or recurring.usage_type == "metered":
        return Fraction(0)
    return A_MONTH.get(recurring.interval, Fraction(0)) / recurring.interval_count


def price(item: SubscriptionItem) -> Fraction | None:
    """What the item's quantity costs at one billing."""
    quantity = 1 if item.quantity is None else item.quantity
    if item.transform_quantity:
        packages = Fraction(quantity, item.transform_quantity.divide_by)
        up = item.transform_quantity.round == "up"
        quantity = -(-packages // 1) if up else packages // 1
    if item.billing_scheme != "tiered":
        unit = item.unit_amount_decimal or item.unit_amount
        return None if unit is None else Fraction(unit) * quantity
    if not item.tiers:
        return None

    def tier_of(unit: int) -> int:
        return next(
            n for n, tier in enumerate(item.tiers or ()) if tier.up_to is None or unit <= tier.up_to
        )

    def costs(number: int, units: int) -> Fraction:
        tier = (item.tiers or ())[number]
        flat = Fraction(tier.flat_amount_decimal or tier.flat_amount or 0)
        return flat + Fraction(tier.unit_amount_decimal or tier.unit_amount or 0) * units

    if item.tiers_mode == "volume":
        return costs(tier_of(quantity), quantity)
    of_units = Counter(tier_of(unit) for unit in range(1, quantity + 1)) or Counter({0: 0})
    return sum((costs(number, units) for number, units in of_units.items()), Fraction(0))


def coupon_of(evidence: CustomerEvidence, id_: str) -> tuple[Coupon | None, dt.datetime | None]:
    """The coupon of a discount and its end, as anybody has told it."""
    told = [d for each in evidence.subscriptions for d in each.subscription.discount_details]
    told += [each.discount for each in evidence.discounts if each.discount]
    coupons = [each.coupon for each in told if each.id == id_ and each.coupon]
    ends = [each.end for each in told if each.id == id_ and each.end]
    return (coupons or [evidence.coupons.get(id_)])[0], (ends or [None])[0]


def take_off(
    evidence: CustomerEvidence,
    id_: str,
    items: Sequence[SubscriptionItem],
    left: dict[str, Fraction],
    at: dt.datetime,
) -> None:
    """A part of what is left, or an amount of each billing of what is billed most often."""
    coupon, end = coupon_of(evidence, id_)
    if coupon is None or coupon.duration not in ("forever", "repeating"):
        return
    if end is not None and at >= end:
        return
    good = [each for each in items if not coupon.applies_to or each.product in coupon.applies_to]
    if coupon.percent_off is not None:
        for item in good:
            left[item.id] -= left[item.id] * Fraction(coupon.percent_off) / 100
        return
    for code in {item.currency for item in good}:
        offered = dict(coupon.currency_options)
        if coupon.currency:
            offered[coupon.currency] = coupon.amount_off or 0
        same = [item for item in good if item.currency == code]
        most = max(often(item) for item in same)
        billed = [item for item in same if often(item) == most]
        total = sum(left[item.id] for item in billed)
        off = min(Fraction(offered.get(code, 0)), Fraction(total))
        for item in billed:
            left[item.id] -= off * left[item.id] / total if total else 0


# --- before the connection ---


def of_invoices(evidence: CustomerEvidence, id_: str, at: dt.datetime) -> tuple[Any, Any]:
    """What the lines of paid invoices tell of an instant."""
    first_at, first = observations(evidence, id_)[0]
    if first.ended_at and at >= first.ended_at:
        return {}, {}
    if first.trial_start and first.trial_end and first.trial_start <= at < first.trial_end:
        return {}, {}
    lines = [
        (invoice, line)
        for invoice in evidence.invoices
        if invoice.status == "paid"
        for line in invoice.lines
        if (line.subscription or invoice.subscription) == id_ and lasting(evidence, line)
    ]

    def order(each: tuple[Invoice, InvoiceLine]) -> Any:
        credit = each[1].proration and each[1].amount.amount < 0
        return each[1].period_start, not credit, each[1].proration, each[0].created, each[1].id

    lines.sort(key=order)
    held = {item.id for item in first.items} | {item.price for item in first.items}
    goes_on = first.ended_at is not None or first.status in ("active", "past_due")
    of_item: dict[str, InvoiceLine] = {}
    for name in {item_of(line) for _, line in lines}:
        own = [line for _, line in lines if item_of(line) == name]
        last_end = own[-1].period_end
        for line in own:
            stands_on = line is own[-1] and name in held and goes_on and last_end <= first_at
            if line.period_start <= at and (at < line.period_end or stands_on):  # type: ignore[operator]
                of_item[name] = line
    after, before = defaultdict[str, Fraction](Fraction), defaultdict[str, Fraction](Fraction)
    for line in of_item.values():
        full, less = monthly(evidence, line)
        before[line.amount.currency] += full
        after[line.amount.currency] += less
    return after, before


def item_of(line: InvoiceLine) -> str:
    return line.subscription_item or line.price or ""


def lasting(evidence: CustomerEvidence, line: InvoiceLine) -> bool:
    found = evidence.prices.get(line.price or "")
    if found and (found.recurring is None or found.recurring.usage_type == "metered"):
        return False
    return bool(line.period_start and line.period_end and line.period_start < line.period_end)


def monthly(evidence: CustomerEvidence, line: InvoiceLine) -> tuple[Fraction, Fraction]:
    amount = line.amount.amount
    if line.proration and amount < 0:
        return Fraction(0), Fraction(0)
    found = evidence.prices.get(line.price or "")
    tax = sum(each.amount.amount for each in line.taxes if each.behavior == "inclusive")
    known = [each for each in line.discounts if each.discount in evidence.coupons]
    off = sum(
        each.amount.amount for each in known if evidence.coupons[each.discount].duration != "once"
    )
    full = Fraction(amount) * by_length(line)
    if found and found.recurring and found.recurring.interval in A_MONTH:
        rate = A_MONTH[found.recurring.interval] / found.recurring.interval_count
        full = Fraction(amount) * rate
        if line.proration and found.unit_amount is not None:
            full = (
                Fraction(found.unit_amount * (1 if line.quantity is None else line.quantity)) * rate
            )
    if amount <= 0:
        return full, full
    full *= 1 - Fraction(tax, amount)
    return full, full * (1 - Fraction(off, amount - tax)) if amount > tax else full


def by_length(line: InvoiceLine) -> Fraction:
    start, end = line.period_start, line.period_end
    assert start is not None
    assert end is not None
    seconds = int((end - start).total_seconds())
    exact = Fraction(365 * 86_400, 12 * seconds)
    if line.proration or seconds % 86_400:
        return exact if line.proration else whole_months(start, end) or exact
    weeks = Fraction(52 * 7 * 86_400, 12 * seconds) if seconds % (7 * 86_400) == 0 else None
    return whole_months(start, end) or weeks or exact


def whole_months(start: dt.datetime, end: dt.datetime) -> Fraction | None:
    for months in range(1, 61):
        year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
        for day in range(start.day, 0, -1):
            try:
                later = start.replace(year=year, month=month + 1, day=day)
            except ValueError:
                continue
            if later == end:
                return Fraction(1, months)
            break
    return None


# --- a customer ---


def standing(evidence: CustomerEvidence, at: dt.datetime) -> tuple[Amounts, Amounts]:
    """MRR in 1/10,000 minor unit by currency, and before discounts."""
    after, before = defaultdict[str, Fraction](Fraction), defaultdict[str, Fraction](Fraction)
    for id_ in subscriptions(evidence):
        for sums, found in zip((after, before), levels(evidence, id_, at), strict=True):
            for code, amount in found.items():
                sums[code] += amount
    return (
        {code: round(amount * 10_000) for code, amount in after.items()},
        {code: round(amount * 10_000) for code, amount in before.items()},
    )


def subscriptions(evidence: CustomerEvidence) -> list[str]:
    return sorted({each.subscription.id for each in evidence.subscriptions})


def seconds(evidence: CustomerEvidence, now: dt.datetime) -> list[dt.datetime]:
    """Every instant at which something may have changed."""
    found: set[Any] = {each.at for each in evidence.discounts}
    for id_ in subscriptions(evidence):
        for since, one in observations(evidence, id_):
            found |= {since, one.ended_at, one.trial_start, one.trial_end}
    for invoice in evidence.invoices:
        for line in invoice.lines:
            found |= {line.period_start, line.period_end}
    told = [d for each in evidence.subscriptions for d in each.subscription.discount_details]
    told += [each.discount for each in evidence.discounts if each.discount]
    found |= {each.end for each in told}
    return sorted(each for each in found if each is not None and each <= now)


def movements(evidence: CustomerEvidence, now: dt.datetime) -> Iterator[Moved]:
    """What moved a customer's MRR, by the second."""
    ever = False
    for at in seconds(evidence, now):
        seams = [
            id_
            for id_ in subscriptions(evidence)
            if not observed_whole(evidence, id_) and observations(evidence, id_)[0][0] == at
        ]
        before, after = standing(evidence, at - LEAST)[0], standing(evidence, at)[0]
        between = part_way(evidence, seams, at) if seams else before
        for start, end, seam in ((before, between, True), (between, after, False)):
            had, has = any(start.values()), any(end.values())
            codes = sorted(
                code for code in start.keys() | end.keys() if start.get(code, 0) != end.get(code, 0)
            )
            for place, code in enumerate(codes):
                amount = end.get(code, 0) - start.get(code, 0)
                if seam:
                    kind = "seam"
                elif had and has:
                    kind = "expansion" if amount > 0 else "contraction"
                elif had:
                    kind = "paused" if is_paused(evidence, at, at) else "churn"
                elif not ever:
                    kind = "new"
                else:
                    kind = "resumed" if is_paused(evidence, at - LEAST, at) else "reactivation"
                count = has - had if place == 0 else 0
                yield Moved(evidence.customer, at, kind, code, amount, count)
            ever = ever or has


def part_way(evidence: CustomerEvidence, seams: Iterable[str], at: dt.datetime) -> Amounts:
    """The customer with what was first observed in this second, and all else as before it."""
    sums = defaultdict[str, Fraction](Fraction)
    for id_ in subscriptions(evidence):
        found = levels(evidence, id_, at - LEAST)[0]
        if id_ in seams:
            first = next(one for since, one in observations(evidence, id_) if since == at)
            found = of_state(evidence, first, at)[0]
        for code, amount in found.items():
            sums[code] += amount
    return {code: round(amount * 10_000) for code, amount in sums.items()}


def is_paused(evidence: CustomerEvidence, at: dt.datetime, until: dt.datetime) -> bool:
    """Whether some subscription goes on that brings nothing, and has brought something before."""
    for id_ in subscriptions(evidence):
        found = state(evidence, id_, at)
        if found is None:
            continue
        held = found.pause_behavior in ("void", "mark_uncollectible")
        idle = found.status in ("paused", "trialing") or (
            held and found.status in ("active", "past_due")
        )
        if idle and any(
            any(levels(evidence, id_, each)[0].values())
            for each in seconds(evidence, until)
            if each < until
        ):
            return True
    return False


def lost(moved: Sequence[Moved], start: dt.datetime, end: dt.datetime) -> set[str]:
    """Who had MRR at the start and churned in the period."""
    return {
        each.customer
        for each in moved
        if each.kind == "churn"
        and start <= each.at < end
        and sum(one.amount for one in moved if one.customer == each.customer and one.at < start)
    }


def cohort_sizes(
    moved: Sequence[Moved], zone: str
) -> Mapping[dt.date, Mapping[dt.date, tuple[int, Amounts]]]:
    """By the local month of a customer's first MRR: at the end of each month since, who is left."""
    first: dict[str, dt.datetime] = {}
    for each in sorted(moved, key=lambda one: one.at):
        if each.count > 0:
            first.setdefault(each.customer, each.at)

    def month(at: dt.datetime) -> dt.date:
        return at.astimezone(ZoneInfo(zone)).date().replace(day=1)

    months = {month(each.at) for each in moved}
    found: dict[dt.date, dict[dt.date, tuple[int, Amounts]]] = defaultdict(dict)
    for begin in {month(at) for at in first.values()}:
        own = {who for who, at in first.items() if month(at) == begin}
        for each_month in sorted(each for each in months if each >= begin):
            amounts = Counter[str]()
            count = 0
            for each in moved:
                if each.customer in own and month(each.at) <= each_month:
                    count += each.count
                    amounts[each.currency] += each.amount
            found[begin][each_month] = count, dict(amounts)
    return found


# --- what charges were for ---


def shares(evidence: ChargeEvidence) -> Mapping[str, int]:
    """What was captured by product, or `tax`, `no_product`, `unattributed`."""
    captured, invoice = evidence.charge.amount_captured.amount, evidence.invoice
    rows = Counter[str]()
    for line in invoice.lines if invoice else ():
        tax = sum(each.amount.amount for each in line.taxes)
        within = sum(each.amount.amount for each in line.taxes if each.behavior == "inclusive")
        off = sum(each.amount.amount for each in line.discounts)
        rows["product " + line.product if line.product else "no_product"] += (
            line.amount.amount - off - within
        )
        rows["tax"] += tax
    total = sum(rows.values())
    if invoice is None or total <= 0 or invoice.total.amount <= 0:
        return {"unattributed": captured}
    shared = min(captured, invoice.total.amount)
    exact = {name: Fraction(shared * amount, total) for name, amount in rows.items() if amount}
    parts = {name: amount.__floor__() for name, amount in exact.items()}
    names = sorted(exact, key=lambda name: (parts[name] - exact[name], name))
    for name in names[: shared - sum(parts.values())]:
        parts[name] += 1
    if captured > shared:
        parts["unattributed"] = captured - shared
    return parts
