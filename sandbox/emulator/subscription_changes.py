"""Changes of a running subscription: its items, with prorations, its cycle, its trial, its end.

Prorations are a simplification: seconds left of the period over its seconds, of the whole item's
price, rounded half to even; earlier credits and discounts are not looked at.
"""

from typing import Final

from sandbox.emulator import (
    coupons,
    prices,
    subscription_cycles,
    subscription_pending,
    subscription_periods,
    tax_rates,
)
from sandbox.emulator import invoice_items as invoiceitems
from sandbox.emulator import invoice_life as invoicing
from sandbox.emulator.core.call import Call
from sandbox.emulator.core.currencies import divided_half_even
from sandbox.emulator.core.errors import ApiError, invalid
from sandbox.emulator.core.params import (
    Anything,
    Boolean,
    Hash,
    Integer,
    ListOf,
    Metadata,
    OneOf,
    Reference,
    Text,
    merged_metadata,
)
from sandbox.emulator.core.values import JsonObject

PRORATIONS: Final = ("always_invoice", "create_prorations", "none")

PAYMENT_BEHAVIOR: Final = OneOf(
    values=(
        "allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete",
    )
)  # fmt: skip

ITEM: Final = {
    "billing_thresholds": Anything(clearable=True),
    "discounts": coupons.DISCOUNTS,
    "metadata": Metadata(),
    "price": Reference(noun="price"),
    "price_data": prices.PRICE_DATA,
    "quantity": Integer(least=0),
    "tax_rates": ListOf(kind=Text(), clearable=True, cleared=[]),
}

ITEM_CHANGE: Final = Hash(
    fields={**ITEM, "clear_usage": Boolean(), "deleted": Boolean(), "id": Text()}
)

_PLAIN: Final = (
    "collection_method", "days_until_due", "default_payment_method", "default_source",
    "description", "pause_collection", "payment_settings", "trial_settings",
)  # fmt: skip


def ahead(call: Call, instant: str | int, param: str) -> int:
    """An instant that is still to come; ApiError 400 for any other."""
    if not str(instant).isdecimal() or int(instant) <= call.now:
        raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", param)
    return int(instant)


def refuse_same_price(prices_used: list[str]) -> None:
    """ApiError 400 where two items of a subscription have one price (recorded: `plan`)."""
    if len(set(prices_used)) < len(prices_used):
        raise invalid("A subscription cannot have two items with the same price.", "plan")


def refuse_quantity(price: JsonObject, given: JsonObject, param: str) -> None:
    """ApiError 400 for a quantity of what is metered: its use is its quantity.

    From memory: no recording shows how Stripe words it.
    """
    if "quantity" in given and price["recurring"]["usage_type"] == "metered":
        raise invalid("A metered price takes no quantity.", f"{param}[quantity]")


def add_item(call: Call, subscription: JsonObject, given: JsonObject, place: int) -> JsonObject:
    """A new item; its price must recur, in the currency of the others."""
    param = f"items[{place}]"
    price = prices.chosen(call, given, param)
    if price["recurring"] is None:
        raise invalid(
            "The price specified is set to `type=one_time` but this field only accepts prices "
            "with `type=recurring`.",
            f"{param}[price]",
        )
    fits(call, subscription, price, f"{param}[price]")
    refuse_quantity(price, given, param)
    metered = price["recurring"]["usage_type"] == "metered"
    fields = {
        "metadata": merged_metadata({}, given.get("metadata")),
        "price": price,
        "subscription": subscription["id"],
    }
    # A metered item has no quantity; what was used is not reported here, so it bills nothing.
    item = call.add(
        "subscription_item", fields if metered else {**fields, "quantity": given.get("quantity", 1)}
    )
    if given.get("discounts"):
        call.change(item, {"discounts": _discounted(call, subscription, item, given)})
    return item


def _discounted(
    call: Call, subscription: JsonObject, item: JsonObject, given: JsonObject
) -> list[str]:
    """The ids of an item's discounts, of the coupons that it is given."""
    owner = {
        "customer": subscription["customer"],
        "subscription": subscription["id"],
        "subscription_item": item["id"],
    }
    return coupons.discounts(call, given["discounts"], owner)


def fits(call: Call, subscription: JsonObject, price: JsonObject, param: str) -> None:
    """ApiError 400 for a price in another currency than the subscription's; in classic billing
    mode also for one of another interval."""
    if subscription["currency"] not in ("", price["currency"]):
        raise invalid(
            f"The price is in `{price['currency']}`, the subscription in "
            f"`{subscription['currency']}`.",
            param,
        )
    if subscription["billing_mode"]["type"] == "flexible":
        return
    for item in subscription_cycles.items_of(call, subscription):
        if not _same_interval(item["price"], price) and item["price"]["recurring"]:
            raise invalid("All items must have the same billing interval.", param)


def change(call: Call, subscription: JsonObject) -> JsonObject:
    """`POST /v1/subscriptions/{id}`, one `customer.subscription.updated` for all of it."""
    params = call.params
    if subscription["status"] in ("canceled", "incomplete_expired"):
        _refuse_ended(params)
    _check(call, subscription)
    if subscription_pending.held_back(call, subscription):
        return subscription
    behavior = params.get("payment_behavior", "allow_incomplete")
    if behavior == "error_if_incomplete":
        _refuse_unpaid(call, subscription)
    with subscription_cycles.told(call, subscription):
        call.change(subscription, _plain(call, subscription))
        _set_cancellation(call, subscription)
        _watch_pause(call, subscription)
        anew = _items_changed(call, subscription)
        anew = _trial_changed(call, subscription) or anew
        anew = params.get("billing_cycle_anchor") == "now" or anew
        if anew:
            _restart(call, subscription)
        invoice = _billed(call, subscription, anew=anew)
        if invoice is not None:
            invoicing.finalize(call, invoice)
    if invoice is not None and invoice["status"] == "open" and behavior != "default_incomplete":
        _collect(call, invoice, behavior)
    return subscription


def _check(call: Call, subscription: JsonObject) -> None:
    """ApiError 400 for what could not be done whole, before any of it is."""
    pause, trial_end = call.params.get("pause_collection"), call.params.get("trial_end")
    if pause is not None and pause.get("resumes_at") is not None:
        ahead(call, pause["resumes_at"], "pause_collection[resumes_at]")
    if trial_end not in (None, "now"):
        ahead(call, trial_end, "trial_end")
    used = {item["id"]: item["price"] for item in subscription_cycles.items_of(call, subscription)}
    for place, given in enumerate(call.params.get("items", [])):
        param = f"items[{place}]"
        key = given.get("id", param)
        if given.get("deleted", False):
            used.pop(key, None)
            continue
        if given.get("price") is not None:
            used[key] = call.find("price", given["price"], f"{param}[price]")
        if key in used and used[key]["recurring"] is not None:
            refuse_quantity(used[key], given, param)
    refuse_same_price([price["id"] for price in used.values()])


def proration(item: JsonObject, amount: int, now: int) -> int:
    """What of an amount for the whole period falls on the rest of it."""
    start, end = item["current_period_start"], item["current_period_end"]
    return divided_half_even(amount * max(0, end - now), max(1, end - start))


def credit_rest(call: Call, item: JsonObject) -> None:
    """Give back what is left of an item's period."""
    amount = proration(item, prices.amount_of(item["price"], item.get("quantity", 0)), call.now)
    title = f"Unused time on {item['price']['nickname'] or item['price']['product']}"
    invoiceitems.prorated(call, item, -amount, item["current_period_end"], title)


def _plain(call: Call, subscription: JsonObject) -> JsonObject:
    params = call.params
    patch: JsonObject = {name: params[name] for name in _PLAIN if name in params}
    for name in ("payment_settings", "trial_settings"):
        if patch.get(name) is not None:
            patch[name] = {**subscription[name], **patch[name]}
    if patch.get("pause_collection") is not None:
        patch["pause_collection"] = {"resumes_at": None, **patch["pause_collection"]}
    if "metadata" in params:
        patch["metadata"] = merged_metadata(subscription["metadata"], params["metadata"])
    if "discounts" in params:
        owner = {"customer": subscription["customer"], "subscription": subscription["id"]}
        patch["discounts"] = coupons.discounts(call, params["discounts"], owner)
    if "default_tax_rates" in params:
        patch["default_tax_rates"] = tax_rates.found(call, params["default_tax_rates"])
    if "cancellation_details" in params:
        kept = subscription["cancellation_details"]
        patch["cancellation_details"] = {**kept, **params["cancellation_details"]}
    return patch


def _refuse_unpaid(call: Call, subscription: JsonObject) -> None:
    """Nothing is changed where the invoice that it makes would not be paid.

    A simplification: every change that is invoiced at once counts, whichever way the money goes.
    """
    at_once = call.params.get("proration_behavior") == "always_invoice" and "items" in call.params
    if not at_once or subscription["collection_method"] == "send_invoice":
        return
    method = invoicing.method_of(call, {**subscription, "parent": None})
    if method is not None:
        invoicing.refuse_bad(method, absent=call.params.get("off_session", False))


def _refuse_ended(params: JsonObject) -> None:
    if not {"cancellation_details", "metadata"}.issuperset(params):
        raise invalid(
            "A canceled subscription can only update its cancellation_details and metadata.",
            code="invalid_canceled_subscription_fields",
        )


def _set_cancellation(call: Call, subscription: JsonObject) -> None:
    """At the period's end, at an instant, or no longer."""
    params = call.params
    if params.get("cancel_at_period_end") is None and "cancel_at" not in params:
        return
    at_end = params.get("cancel_at_period_end", False)
    instant = params.get("cancel_at")
    if at_end:
        instant = subscription_cycles.period_of(call, subscription)[1]
    reason = None if instant is None else "cancellation_requested"
    patch = {
        "cancel_at": instant,
        "cancel_at_period_end": at_end,
        "canceled_at": None if instant is None else call.now,
        "cancellation_details": {**subscription["cancellation_details"], "reason": reason},
    }
    call.change(subscription, patch)
    if instant is not None:
        subscription_cycles.watch_cancellation(call, subscription)


def _watch_pause(call: Call, subscription: JsonObject) -> None:
    """Collect again by itself, where a pause has an end."""
    pause = call.params.get("pause_collection")
    if pause is None or pause.get("resumes_at") is None:
        return

    def resume(job: Call) -> None:
        one = job.target()
        if (one["pause_collection"] or {}).get("resumes_at") == job.now:
            with subscription_cycles.told(job, one):
                job.change(one, {"pause_collection": None})

    call.later(subscription, pause["resumes_at"], resume)


def _items_changed(call: Call, subscription: JsonObject) -> bool:
    """Add, change and remove items, with prorations; whether the interval is another now."""
    prorates = (
        call.params.get("proration_behavior", "create_prorations") != "none"
        and subscription["status"] != "trialing"
    )
    wanted: list[JsonObject] = call.params.get("items", [])
    before = subscription_cycles.items_of(call, subscription)
    standing = {item["id"]: item["price"] for item in before}
    gone = {given.get("id") for given in wanted if given.get("deleted", False)}
    if all("id" in given for given in wanted) and gone.issuperset(item["id"] for item in before):
        raise invalid("A subscription must have at least one active item.", "items")
    for place, given in enumerate(wanted):
        if "id" not in given:
            item = add_item(call, subscription, given, place)
            _join(call, subscription, item, before)
            if prorates:
                _charge_rest(call, item)
            continue
        item = call.find("subscription_item", given["id"], f"items[{place}][id]")
        if item["subscription"] != subscription["id"]:
            raise invalid("The item belongs to another subscription.", f"items[{place}][id]")
        _item_changed(call, item, given, place, prorates=prorates)
    left = subscription_cycles.items_of(call, subscription)
    return any(
        item["id"] in standing and not _same_interval(standing[item["id"]], item["price"])
        for item in left
    )


def _join(call: Call, subscription: JsonObject, item: JsonObject, others: list[JsonObject]) -> None:
    """The period of a new item: that of one of its interval, else one of its own cycle."""
    for other in others:
        if _same_interval(other["price"], item["price"]):
            period = other["current_period_start"], other["current_period_end"]
            break
    else:
        end = subscription_cycles.period_after(subscription, item, call.now)[1]
        period = subscription_periods.start_before(end, item["price"]["recurring"]), end
    subscription_cycles.begin_period(call, subscription, item, period)


def _item_changed(
    call: Call, item: JsonObject, given: JsonObject, place: int, *, prorates: bool
) -> None:
    param = f"items[{place}]"
    patch: JsonObject = {}
    if "metadata" in given:
        patch["metadata"] = merged_metadata(item["metadata"], given["metadata"])
    if "discounts" in given:
        subscription = call.find("subscription", item["subscription"], "subscription")
        patch["discounts"] = _discounted(call, subscription, item, given)
    if given.get("price") is not None or given.get("price_data") is not None:
        patch["price"] = prices.chosen(call, given, param)
        if patch["price"]["recurring"]["usage_type"] != "metered":
            patch["quantity"] = 1  # where none is given: the old one counted something else
    if "quantity" in given:
        patch["quantity"] = given["quantity"]
    gone = given.get("deleted", False)
    bills = gone or any(patch[name] != item.get(name) for name in ("price", "quantity")
                        if name in patch)  # fmt: skip
    if bills and prorates:
        credit_rest(call, item)
    if gone:
        call.shelf("subscription_item").remove(item["id"], None)
        return
    # A cycle that begins anew is billed whole, so no rest of the old one is charged.
    restarts = call.params.get("billing_cycle_anchor") == "now" or not _same_interval(
        item["price"], patch.get("price") or item["price"]
    )
    call.change(item, patch)
    if bills and prorates and not restarts:
        _charge_rest(call, item)


def _charge_rest(call: Call, item: JsonObject) -> None:
    amount = proration(item, prices.amount_of(item["price"], item.get("quantity", 0)), call.now)
    title = f"Remaining time on {item['price']['nickname'] or item['price']['product']}"
    invoiceitems.prorated(call, item, amount, item["current_period_end"], title)


def _trial_changed(call: Call, subscription: JsonObject) -> bool:
    """Move or end a trial; whether a paid period begins now."""
    wanted = call.params.get("trial_end")
    if wanted is None:
        return False
    if wanted == "now":
        ended: bool = subscription["status"] == "trialing"
        if ended:
            call.change(subscription, {"status": "active", "trial_end": call.now})
        return ended
    instant = ahead(call, wanted, "trial_end")
    patch = {
        "billing_cycle_anchor": instant,
        "billing_cycle_anchor_config": None,
        "status": "trialing",
        "trial_end": instant,
        "trial_start": subscription["trial_start"] or call.now,
    }
    call.change(subscription, patch)
    subscription_cycles.set_periods(call, subscription, call.now, instant)
    subscription_cycles.watch_trial(call, subscription)
    return False


def _restart(call: Call, subscription: JsonObject) -> None:
    """A new cycle of all items begins now.

    A simplification: where one of several intervals changes, the others begin anew, too.
    """
    anew = {"billing_cycle_anchor": call.now, "billing_cycle_anchor_config": None}
    call.change(subscription, anew)
    subscription_cycles.set_periods(call, subscription, call.now)


def _billed(call: Call, subscription: JsonObject, *, anew: bool) -> JsonObject | None:
    """The invoice that a change asks for at once, if it does."""
    at_once = call.params.get("proration_behavior") == "always_invoice" and "items" in call.params
    if not anew and not at_once:
        return None
    bill = subscription_cycles.bill
    charged = None if anew else ()
    return bill(call, subscription, "subscription_update", charged=charged, advances=False)


def _collect(call: Call, invoice: JsonObject, behavior: str) -> None:
    if invoice["collection_method"] == "send_invoice":
        return
    try:
        invoicing.collect(call, invoice, None, off_session=call.params.get("off_session", False))
    except ApiError:
        if behavior == "error_if_incomplete":
            raise


def _same_interval(one: JsonObject, other: JsonObject) -> bool:
    names = ("interval", "interval_count")
    return all(one["recurring"][name] == other["recurring"][name] for name in names)
