"""The life of a subscription as the clock moves (docs, "How subscriptions work"): its periods,
its invoices, its trial and its end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from sandbox.emulator import coupons, invoice_lines, subscription_periods
from sandbox.emulator import invoice_life as invoicing
from sandbox.emulator.core.call import Call, difference
from sandbox.emulator.core.values import DAY_SECONDS, JsonObject

WILL_END_SECONDS: Final = 3 * DAY_SECONDS
"""`customer.subscription.trial_will_end` comes so long before a trial's end, or at once."""

INCOMPLETE_SECONDS: Final = 23 * 3600
"""How long a first payment, or one for a pending update, is waited for."""

RUNNING: Final = ("active", "past_due", "trialing", "unpaid")


@contextmanager
def told(call: Call, subscription: JsonObject) -> Iterator[None]:
    """Emit `customer.subscription.updated` for whatever is changed meanwhile, its items too."""
    before = call.seen(subscription)
    yield
    previous = difference(before, call.seen(subscription))
    if previous:
        call.emit("customer.subscription.updated", subscription, previous)


def items_of(call: Call, subscription: JsonObject) -> list[JsonObject]:
    """The items, as `items.data` shows them, all of them."""
    return list(call.members(subscription, "subscription_item", "subscription"))


def period_of(call: Call, subscription: JsonObject) -> tuple[int, int]:
    """The current period of the item whose period ends first.

    Items of one interval share it; in flexible billing mode there may be others, which have
    periods of their own (docs, "Mixed interval subscriptions").
    """
    first = min(items_of(call, subscription), key=lambda item: item["current_period_end"])
    return first["current_period_start"], first["current_period_end"]


def set_periods(call: Call, subscription: JsonObject, start: int, until: int | None = None) -> None:
    """Begin a period of every item; each ends at `until`, or where its own cycle has a boundary."""
    for item in items_of(call, subscription):
        end = period_after(subscription, item, max(start, call.now))[1]
        begin_period(call, subscription, item, (start, end if until is None else until))


def begin_period(
    call: Call, subscription: JsonObject, item: JsonObject, period: tuple[int, int]
) -> None:
    """Begin a period of an item; the next one begins when the clock reaches its end."""
    call.change(item, {"current_period_start": period[0], "current_period_end": period[1]})
    call.later(subscription, period[1], _period_over)


def period_after(subscription: JsonObject, item: JsonObject, start: int) -> tuple[int, int]:
    """The period of an item that begins at `start`, up to the next boundary of its cycle."""
    recurring = item["price"]["recurring"]
    anchor, config = (
        subscription[name] for name in ("billing_cycle_anchor", "billing_cycle_anchor_config")
    )
    origin = subscription_periods.origin(anchor, config, recurring)
    return start, subscription_periods.end_of(origin, start, recurring)


def due_first(call: Call, subscription: JsonObject) -> list[JsonObject]:
    """The items whose periods end first: those that the next invoice charges."""
    end = period_of(call, subscription)[1]
    return [one for one in items_of(call, subscription) if one["current_period_end"] == end]


def whole(_: JsonObject) -> tuple[int, int]:
    """All of an item's period, as a fraction."""
    return 1, 1


def bill(
    call: Call,
    subscription: JsonObject,
    reason: str,
    *,
    charged: Sequence[JsonObject] | None = None,
    advances: bool = True,
    share: Callable[[JsonObject], tuple[int, int]] = whole,
) -> JsonObject:
    """A draft of what a subscription owes; it becomes the latest invoice.

    charged: the items whose current periods it charges, besides what is pending; None: all.
    advances: whether it is finalized and collected within the hour. share: what of an item's
    period, as a fraction.
    """
    owner, currency = subscription["customer"], subscription["currency"]
    items, lines = invoicing.take_pending(call, owner, currency, subscription["id"])
    charged = items_of(call, subscription) if charged is None else charged
    start = period_of(call, subscription)[0]
    trial = subscription["status"] == "trialing"
    for item in charged:
        period = item["current_period_start"], item["current_period_end"]
        start = max(start, period[0])
        line = invoice_lines.of_subscription_item(item, period, trial=trial)
        part, of = share(item)
        line["amount"] = line["amount"] * part // of
        line["discounts"] = [one for one in item["discounts"] if coupons.outlasts(call, one, start)]
        lines.append(line)
    shared = ("collection_method", "days_until_due", "default_payment_method", "default_source")
    fields = {
        **{name: subscription[name] for name in shared},
        "auto_advance": advances,
        "billing_reason": reason,
        "default_tax_rates": subscription["default_tax_rates"],
        "discounts": discounts_of(call, subscription, start),
        "parent": invoicing.parent_of(subscription),
    }
    invoice = invoicing.draft(call, owner, currency, fields, lines)
    invoicing.bind(call, items, invoice)
    call.change(subscription, {"latest_invoice": invoice["id"]})
    return invoice


def discounts_of(call: Call, subscription: JsonObject, start: int) -> list[str]:
    """What is off a period from `start` on: the subscription's own, else its customer's."""
    own: list[str] = subscription["discounts"]
    customer = call.shelf("customer").get(subscription["customer"])
    general = customer["discount"] if customer is not None and not own else None
    ids = own if general is None else [general["id"]]
    return [identifier for identifier in ids if coupons.outlasts(call, identifier, start)]


def watch_trial(call: Call, subscription: JsonObject) -> None:
    """Announce the end of a trial in time."""
    trial_end: int = subscription["trial_end"]

    def announce(job: Call) -> None:
        one = job.target()
        if one["status"] == "trialing" and one["trial_end"] == trial_end:
            job.emit("customer.subscription.trial_will_end", one)

    call.later(subscription, max(call.now, trial_end - WILL_END_SECONDS), announce)


def watch_cancellation(call: Call, subscription: JsonObject) -> None:
    """End the subscription at its `cancel_at`."""

    def cancel(job: Call) -> None:
        one = job.target()
        if one["status"] in RUNNING and one["cancel_at"] is not None:
            _end_if_due(job, one)

    call.later(subscription, subscription["cancel_at"], cancel)


def watch_first_payment(call: Call, subscription: JsonObject) -> None:
    """Let a subscription expire whose first invoice nobody pays within a day."""

    def expire(job: Call) -> None:
        one = job.target()
        if one["status"] != "incomplete":
            return
        invoice = job.find("invoice", one["latest_invoice"], "latest_invoice")
        if invoice["status"] == "open":
            invoicing.void(job, invoice)
        with told(job, one):
            job.change(one, {"ended_at": job.now, "status": "incomplete_expired"})

    call.later(subscription, call.now + INCOMPLETE_SECONDS, expire)


def end(call: Call, subscription: JsonObject, reason: str | None) -> JsonObject:
    """Cancel for good: `customer.subscription.deleted`, though the object stays."""
    details = {**subscription["cancellation_details"], "reason": reason}
    patch = {
        "canceled_at": subscription["canceled_at"] or call.now,
        "cancellation_details": details,
        "ended_at": call.now,
        "pending_update": None,
        "status": "canceled",
    }
    call.change(subscription, patch)
    call.emit("customer.subscription.deleted", subscription)
    return subscription


def on_invoice_paid(call: Call, invoice: JsonObject) -> None:
    """Reaction: what waited for the money runs."""
    subscription = invoicing.subscription_of(call, invoice)
    if subscription is None or subscription["status"] not in ("incomplete", "past_due", "unpaid"):
        return
    with told(call, subscription):
        call.change(subscription, {"status": "active"})


def on_payment_failed(call: Call, invoice: JsonObject) -> None:
    """Reaction: a renewal that fails is past due, and the last failure ends the subscription."""
    subscription = invoicing.subscription_of(call, invoice)
    if subscription is None or invoice["billing_reason"] == "subscription_create":
        return
    if subscription["status"] == "active":
        with told(call, subscription):
            call.change(subscription, {"status": "past_due"})
    exhausted = invoice["attempt_count"] > len(invoicing.RETRY_DAYS)
    if not exhausted or subscription["status"] != "past_due":
        return
    if call.world.dunning_ends == "cancel":
        end(call, subscription, "payment_failed")
    elif call.world.dunning_ends == "unpaid":
        with told(call, subscription):
            call.change(subscription, {"status": "unpaid"})


def on_customer_deleted(call: Call, customer: JsonObject) -> None:
    """Reaction: a deleted customer's subscriptions end."""
    for subscription in list(call.members(customer, "subscription", "customer")):
        if subscription["ended_at"] is None:
            end(call, subscription, "cancellation_requested")


def _period_over(call: Call) -> None:
    """A period ends: the next one begins and is billed, unless something else was decided.

    Items whose periods end together are on one invoice; others have theirs later.
    """
    subscription = call.target()
    if subscription["status"] not in RUNNING:
        return
    due = [one for one in items_of(call, subscription) if one["current_period_end"] == call.now]
    if not due:
        return
    if _end_if_due(call, subscription):
        return
    if subscription["status"] == "trialing" and _stops_after_trial(call, subscription):
        return
    with told(call, subscription):
        if subscription["status"] == "trialing":
            call.change(subscription, {"status": "active"})
        for item in due:
            begin_period(call, subscription, item, period_after(subscription, item, call.now))
        invoice = bill(
            call, subscription, "subscription_cycle",
            charged=due, advances=_collects(subscription),
        )  # fmt: skip
    _settle_paused(call, subscription, invoice)


def _end_if_due(call: Call, subscription: JsonObject) -> bool:
    due = subscription["cancel_at"] is not None and subscription["cancel_at"] <= call.now
    if due:
        end(call, subscription, "cancellation_requested")
    return due


def _stops_after_trial(call: Call, subscription: JsonObject) -> bool:
    """What a trial's end does without a payment method, where it was told not to bill."""
    behavior = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if behavior == "create_invoice" or subscription["collection_method"] == "send_invoice":
        return False
    holder = {**subscription, "parent": None}
    if invoicing.method_of(call, holder) is not None:
        return False
    if behavior == "cancel":
        end(call, subscription, "cancellation_requested")
        return True
    with told(call, subscription):
        call.change(subscription, {"status": "paused"})
    call.emit("customer.subscription.paused", subscription)
    return True


def _collects(subscription: JsonObject) -> bool:
    """Whether what is billed is collected: that of an unpaid subscription stays a draft."""
    return subscription["pause_collection"] is None and subscription["status"] != "unpaid"


def _settle_paused(call: Call, subscription: JsonObject, invoice: JsonObject) -> None:
    """While collection is paused, an invoice stays a draft, is void, or is bad debt."""
    paused = subscription["pause_collection"]
    if paused is None or paused["behavior"] == "keep_as_draft":
        return
    invoicing.finalize(call, invoice)
    if invoice["status"] != "open":
        return
    if paused["behavior"] == "void":
        invoicing.void(call, invoice)
    else:
        invoicing.mark_uncollectible(call, invoice)
