"""How a subscription begins (docs, "Create subscriptions"): its fields, its first period, its
first invoice."""

from typing import Final

from sandbox.emulator import (
    coupons,
    prices,
    subscription_changes,
    subscription_cycles,
    subscription_periods,
    tax_rates,
)
from sandbox.emulator import invoice_items as invoiceitems
from sandbox.emulator import invoice_life as invoicing
from sandbox.emulator.core.call import Call
from sandbox.emulator.core.errors import ApiError, invalid
from sandbox.emulator.core.params import merged_metadata
from sandbox.emulator.core.values import DAY_SECONDS, JsonObject

_FIELDS: Final = (
    "cancel_at", "collection_method", "days_until_due", "default_payment_method",
    "default_source", "description",
)  # fmt: skip


def start(call: Call) -> JsonObject:
    """`POST /v1/subscriptions`: nothing is left of one that is refused."""
    params = call.params
    named = [item["price"] for item in params["items"] if item.get("price") is not None]
    subscription_changes.refuse_same_price(named)
    subscription = call.add(call.noun, _first_fields(call))
    owner = {"customer": params["customer"], "subscription": subscription["id"]}
    try:
        discounts = coupons.discounts(call, params.get("discounts", []), owner)
        call.change(subscription, {"discounts": discounts})
        for place, given in reversed(list(enumerate(params["items"]))):
            item = subscription_changes.add_item(call, subscription, given, place)
            call.change(subscription, {"currency": item["price"]["currency"]})
        _check_anchor(call, subscription)
        _require_method(call, subscription)
    except ApiError:
        _forget(call, subscription)
        raise
    _begin_periods(call, subscription)
    if params.get("cancel_at_period_end", False):
        subscription["cancel_at"] = subscription_cycles.period_of(call, subscription)[1]
        subscription["cancel_at_period_end"] = True
    if subscription["cancel_at"] is not None:
        subscription["canceled_at"] = call.now
        subscription_cycles.watch_cancellation(call, subscription)
    if subscription["status"] == "trialing":
        subscription_cycles.watch_trial(call, subscription)
    _bill_first(call, subscription)
    return call.seen(subscription)


def _first_fields(call: Call) -> JsonObject:
    params = call.params
    trial_end = _trial_end(call)
    start = params.get("backdate_start_date", call.now)
    fields: JsonObject = {name: params[name] for name in _FIELDS if name in params}
    sent = params.get("collection_method") == "send_invoice"
    if sent and "days_until_due" not in params:
        raise invalid("`days_until_due` is required to send invoices.", "days_until_due")
    config = _anchor_config(call)
    anchor = params.get("billing_cycle_anchor")
    if config is not None:
        anchor = subscription_periods.next_named(config, call.now)
    fields |= {
        "billing_mode": _billing_mode(call),
        "billing_cycle_anchor": trial_end or anchor or start,
        "billing_cycle_anchor_config": config if trial_end is None else None,
        "customer": params["customer"],
        "default_tax_rates": tax_rates.found(call, params.get("default_tax_rates", [])),
        "metadata": merged_metadata({}, params.get("metadata")),
        "start_date": start,
        "status": "active" if sent else "incomplete",
    }
    for name in ("payment_settings", "trial_settings"):
        fields[name] = {**call.noun.fields[name], **params.get(name, {})}
    if trial_end is not None:
        fields |= {"status": "trialing", "trial_end": trial_end, "trial_start": call.now}
    return fields


def _anchor_config(call: Call) -> JsonObject | None:
    """The day that is to be the cycle's, instead of an instant (API reference)."""
    config = call.params.get("billing_cycle_anchor_config")
    if config is None:
        return None
    if "billing_cycle_anchor" in call.params:
        raise invalid(
            "You may only specify one of these parameters: billing_cycle_anchor, "
            "billing_cycle_anchor_config."
        )
    names = ("day_of_month", "hour", "minute", "month", "second")
    return {name: config.get(name) for name in names}


def _check_anchor(call: Call, subscription: JsonObject) -> None:
    """An anchor lies ahead, and no later than where each item would be billed by itself.

    That later ones are refused is reported by many ("cannot be later than next natural billing
    date"), and that the very date is taken; that past ones are, too; their words are from memory.
    """
    given = "billing_cycle_anchor" in call.params
    config = subscription["billing_cycle_anchor_config"]
    if (not given and config is None) or subscription["trial_end"] is not None:
        return
    param = "billing_cycle_anchor" if given else "billing_cycle_anchor_config"
    anchor, start = subscription["billing_cycle_anchor"], subscription["start_date"]
    if anchor <= call.now:
        raise invalid("billing_cycle_anchor must be a timestamp in the future.", param)
    for item in subscription_cycles.items_of(call, subscription):
        recurring = item["price"]["recurring"]
        if config is not None and recurring["interval"] not in ("month", "year"):
            raise invalid(
                "billing_cycle_anchor_config is only valid with monthly and yearly prices.", param
            )
        natural = subscription_periods.end_of(start, max(start, call.now), recurring)
        if anchor > natural:
            raise invalid(
                f"billing_cycle_anchor cannot be later than next natural billing date ({natural}) "
                "for plan",
                param,
            )


def _billing_mode(call: Call) -> JsonObject:
    """Flexible, unless classic is asked for (since 2025-09-30.clover)."""
    wanted: JsonObject = call.params.get("billing_mode", {"type": "flexible"})
    if wanted["type"] == "classic":
        return {"flexible": None, "type": "classic"}
    flexible = {"proration_discounts": "included", **wanted.get("flexible", {})}
    return {"flexible": flexible, "type": "flexible", "updated_at": call.now}


def _trial_end(call: Call) -> int | None:
    wanted, days = call.params.get("trial_end"), call.params.get("trial_period_days")
    if wanted == "now" or (wanted is None and not days):
        return None
    if wanted is None:
        return call.now + int(days or 0) * DAY_SECONDS
    return subscription_changes.ahead(call, wanted, "trial_end")


def _require_method(call: Call, subscription: JsonObject) -> None:
    """What is charged by itself needs something to charge, unless it starts free or unpaid."""
    behavior = call.params.get("payment_behavior", "allow_incomplete")
    if subscription["status"] != "incomplete" or behavior == "default_incomplete":
        return
    method = invoicing.method_of(call, {**subscription, "parent": None})
    if method is None:
        raise invalid(
            "This customer has no attached payment source or default payment method. Please "
            "consider adding a default payment method.",
            code="resource_missing",
        )
    if behavior == "error_if_incomplete":
        invoicing.refuse_bad(method, absent=call.params.get("off_session", False))
        invoicing.refuse_authenticating(method)


def _forget(call: Call, subscription: JsonObject) -> None:
    """Nothing is left of a subscription that was refused."""
    for item in subscription_cycles.items_of(call, subscription):
        call.shelf("subscription_item").remove(item["id"], None)
    call.shelf(call.noun).remove(subscription["id"], None)


def _begin_periods(call: Call, subscription: JsonObject) -> None:
    """Until the trial's end, or the first boundary of the cycle."""
    if subscription["trial_end"] is not None:
        subscription_cycles.set_periods(call, subscription, call.now, subscription["trial_end"])
        return
    anchor, start = subscription["billing_cycle_anchor"], subscription["start_date"]
    until = anchor if anchor > start else None
    subscription_cycles.set_periods(call, subscription, start, until)


def _bill_first(call: Call, subscription: JsonObject) -> None:
    """The first invoice is finalized at once, and paid as `payment_behavior` says."""
    sent = subscription["collection_method"] == "send_invoice"
    for place, given in enumerate(call.params.get("add_invoice_items", [])):
        price = prices.chosen(call, given, f"add_invoice_items[{place}]")
        fields = {
            "customer": subscription["customer"],
            "pricing": {"price": price["id"]},
            "quantity": given.get("quantity", 1),
            "subscription": subscription["id"],
        }
        invoiceitems.new(call.on("invoiceitem", fields))
    invoice = subscription_cycles.bill(
        call,
        subscription,
        "subscription_create",
        advances=sent,
        share=lambda item: _share(call, subscription, item),
    )
    call.emit("customer.subscription.created", subscription)
    if sent and subscription["status"] != "trialing":
        return
    invoicing.finalize(call, invoice)
    if invoice["status"] != "open":
        return
    subscription_cycles.watch_first_payment(call, subscription)
    behavior = call.params.get("payment_behavior", "allow_incomplete")
    if behavior == "default_incomplete":
        return
    try:
        invoicing.collect(call, invoice, None, off_session=call.params.get("off_session", False))
    except ApiError:
        if behavior == "error_if_incomplete":
            raise


def _share(call: Call, subscription: JsonObject, item: JsonObject) -> tuple[int, int]:
    """A first period up to an anchor is charged by its share of a whole one."""
    anchor = subscription["billing_cycle_anchor"]
    start, end = item["current_period_start"], item["current_period_end"]
    if subscription["trial_end"] is not None or anchor <= start:
        return subscription_cycles.whole(item)
    if call.params.get("proration_behavior") == "none":
        return (0, 1)
    whole = end - subscription_periods.start_before(anchor, item["price"]["recurring"])
    return (end - start, whole) if whole > end - start else subscription_cycles.whole(item)
