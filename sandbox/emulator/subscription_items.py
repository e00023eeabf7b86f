"""Subscription items (API reference, "Subscription Items"): what a subscription bills, and since
when its current period runs. Their routes change the subscription (`subscription_changes`)."""

from typing import Final

from sandbox.emulator import prices, subscription_changes
from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.errors import invalid
from sandbox.emulator.core.listing import Filter
from sandbox.emulator.core.params import Boolean, Integer, OneOf, Reference
from sandbox.emulator.core.values import JsonObject
from sandbox.emulator.core.verbs import listed, retrieve
from sandbox.emulator.subscription_changes import ITEM

_HOW: Final = {
    "off_session": Boolean(),
    "payment_behavior": subscription_changes.PAYMENT_BEHAVIOR,
    "proration_behavior": OneOf(values=subscription_changes.PRORATIONS),
    "proration_date": Integer(),
}

_UPDATE: Final = {**ITEM, **_HOW}
_CREATE: Final = {
    **_UPDATE,
    "price": Reference(noun="price"),
    "subscription": Reference(noun="subscription", required=True),
}
_DELETE: Final = {**_HOW, "clear_usage": Boolean()}


def _change(call: Call, subscription: str, item: JsonObject) -> None:
    how = {name: value for name, value in call.params.items() if name in _HOW}
    inner = call.on("subscription", {**how, "items": [item]}, subscription)
    subscription_changes.change(inner, inner.target())


def _create(call: Call) -> JsonObject:
    subscription = call.find("subscription", call.params["subscription"], "subscription")
    known = {item["id"] for item in call.members(subscription, NOUN.object, "subscription")}
    _change(call, subscription["id"], _without_how(call.params))
    for item in call.members(subscription, NOUN.object, "subscription"):
        if item["id"] not in known:
            return call.seen(item)
    raise invalid("The item was not added: the payment for it is pending.", "payment_behavior")


def _update(call: Call) -> JsonObject:
    item = call.target()
    _change(call, item["subscription"], {**_without_how(call.params), "id": item["id"]})
    return call.seen(item)


def _delete(call: Call) -> JsonObject:
    item = call.target()
    _change(call, item["subscription"], {"id": item["id"], "deleted": True})
    return {"id": item["id"], "object": "subscription_item", "deleted": True}


def _without_how(params: JsonObject) -> JsonObject:
    left_out = {*_HOW, "subscription"}
    return {name: value for name, value in params.items() if name not in left_out}


def _view(item: JsonObject, now: int) -> JsonObject:
    """The price as it is now, and the `plan` that is its older form."""
    shown = prices.NOUN.view
    price: JsonObject = item["price"] if shown is None else shown(item["price"], now)
    return {**item, "plan": _plan(price), "price": price}


def _plan(price: JsonObject) -> JsonObject:
    recurring = price["recurring"]
    shared = ("active", "billing_scheme", "created", "currency", "id", "livemode", "metadata",
              "nickname", "product", "tiers_mode")  # fmt: skip
    return {
        **{name: price[name] for name in shared},
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "meter": recurring["meter"],
        "object": "plan",
        "transform_usage": price["transform_quantity"],
        "trial_period_days": recurring["trial_period_days"],
        "usage_type": recurring["usage_type"],
    }


NOUN: Final = Noun(
    object="subscription_item",
    title="subscription item",
    collection="subscription_items",
    prefix="si",
    id_length=14,
    stamps_mode=False,
    fields={
        "billing_thresholds": None,
        "current_period_end": 0,
        "current_period_start": 0,
        "discounts": [],
        "metadata": {},
        "price": None,
        "subscription": "",
        "tax_rates": [],
    },
    view=_view,
    indexed=("subscription",),
    expandable=frozenset({"discounts", "price"}),
    actions=(
        Action("POST", "", _CREATE, _create),
        retrieve(),
        Action("POST", "/{id}", _UPDATE, _update),
        Action("DELETE", "/{id}", _DELETE, _delete),
        listed(
            {"subscription": Filter(Reference(noun="subscription", required=True))}, created=False
        ),
    ),
)
