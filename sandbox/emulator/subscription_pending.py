"""Pending updates (docs, "Pending updates"): changes that wait until they are paid.

A simplification: no invoice is made for one; it is applied by the happening `apply_pending` of
the subscription, which stands for its payment, or it expires.
"""

from typing import Final

from sandbox.emulator import charges
from sandbox.emulator import invoice_life as invoicing
from sandbox.emulator.core.call import Call
from sandbox.emulator.core.values import JsonObject
from sandbox.emulator.subscription_cycles import told

EXPIRES_AFTER_SECONDS: Final = 23 * 3600


def held_back(call: Call, subscription: JsonObject) -> bool:
    """Keep a change of items for later, if it was to wait for its payment and that would fail."""
    params = call.params
    if params.get("payment_behavior") != "pending_if_incomplete" or "items" not in params:
        return False
    method = invoicing.method_of(call, {**subscription, "parent": None})
    if method is not None and charges.refusal(method, absent=True) is None:
        return False
    expires = call.now + EXPIRES_AFTER_SECONDS
    pending = {
        "billing_cycle_anchor": None,
        "expires_at": expires,
        "subscription_items": [_shown(call, given) for given in params["items"]],
        "trial_end": None,
        "trial_from_plan": None,
    }
    with told(call, subscription):
        call.change(subscription, {"pending_update": pending})
    call.later(subscription, expires, _expire)
    return True


def taken(call: Call, subscription: JsonObject) -> list[JsonObject]:
    """The items of the change that waits, as a request would name them; it waits no longer."""
    items: list[JsonObject] = subscription["pending_update"]["subscription_items"]
    call.change(subscription, {"pending_update": None})
    return [{**item, "price": item["price"]["id"]} for item in items]


def _shown(call: Call, given: JsonObject) -> JsonObject:
    """The item as it would be."""
    known = call.shelf("subscription_item").get(given.get("id", "")) or {}
    named = given.get("price")
    price = known.get("price") if named is None else call.find("price", named, "items")
    quantity = given.get("quantity", known.get("quantity", 1))
    identity = {"id": known["id"]} if known else {}
    shown = None if price is None else call.seen(price)
    return {**identity, "price": shown, "quantity": quantity}


def _expire(call: Call) -> None:
    subscription = call.target()
    pending = subscription["pending_update"]
    if pending is None or pending["expires_at"] != call.now:
        return
    with told(call, subscription):
        call.change(subscription, {"pending_update": None})
    call.emit("customer.subscription.pending_update_expired", subscription)
