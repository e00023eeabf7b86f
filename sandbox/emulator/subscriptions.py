"""Subscriptions (API reference, "Subscriptions"): their routes and fields."""

from typing import Final

from sandbox.emulator import (
    coupons,
    prices,
    subscription_changes,
    subscription_cycles,
    subscription_pending,
)
from sandbox.emulator import invoice_life as invoicing
from sandbox.emulator.core.call import Action, Call, Happening, Noun
from sandbox.emulator.core.errors import invalid
from sandbox.emulator.core.listing import Filter, page, parameters
from sandbox.emulator.core.nouns import Nested
from sandbox.emulator.core.params import (
    Anything,
    Boolean,
    Currency,
    Hash,
    Integer,
    ListOf,
    Metadata,
    OneOf,
    Reference,
    Text,
)
from sandbox.emulator.core.search import searched
from sandbox.emulator.core.values import JsonObject
from sandbox.emulator.core.verbs import act, retrieve
from sandbox.emulator.older_shapes import older_subscription
from sandbox.emulator.subscription_starts import start

_COLLECTION: Final = OneOf(values=("charge_automatically", "send_invoice"))
_PRORATION: Final = OneOf(values=subscription_changes.PRORATIONS)

_DETAILS: Final = Hash(
    fields={"comment": Text(clearable=True), "feedback": Text(clearable=True)}, clearable=True
)

_COMMON: Final = {
    "add_invoice_items": ListOf(
        kind=Hash(
            fields={
                "discountable": Boolean(),
                "metadata": Metadata(),
                "price": Reference(noun="price"),
                "price_data": prices.PRICE_DATA,
                "quantity": Integer(least=0),
            }
        ),
        most=20,
    ),
    "application_fee_percent": Anything(clearable=True),
    "automatic_tax": Anything(),
    "billing_thresholds": Anything(clearable=True),
    "cancel_at": Integer(clearable=True),
    "cancel_at_period_end": Boolean(),
    "collection_method": _COLLECTION,
    "days_until_due": Integer(least=0),
    "default_payment_method": Reference(noun="payment_method", clearable=True),
    "default_source": Reference(noun="payment_method", clearable=True),
    "default_tax_rates": ListOf(kind=Text(), most=20, clearable=True, cleared=[]),
    "description": Text(clearable=True, most=500),
    "discounts": coupons.DISCOUNTS,
    "invoice_settings": Anything(),
    "metadata": Metadata(),
    "off_session": Boolean(),
    "on_behalf_of": Text(clearable=True),
    "payment_behavior": subscription_changes.PAYMENT_BEHAVIOR,
    "payment_settings": Hash(
        fields={
            "payment_method_options": Anything(clearable=True),
            "payment_method_types": Anything(clearable=True),
            "save_default_payment_method": OneOf(values=("off", "on_subscription")),
        }
    ),
    "pending_invoice_item_interval": Anything(clearable=True),
    "proration_behavior": _PRORATION,
    "transfer_data": Anything(clearable=True),
    "trial_end": Text(),
    "trial_from_plan": Boolean(),
    "trial_settings": Hash(
        fields={
            "end_behavior": Hash(
                fields={
                    "missing_payment_method": OneOf(
                        values=("cancel", "create_invoice", "pause"), required=True
                    )
                },
                required=True,
            )
        }
    ),
}

_CREATE: Final = {
    **_COMMON,
    "backdate_start_date": Integer(),
    "billing_cycle_anchor": Integer(),
    "billing_cycle_anchor_config": Hash(
        fields={
            "day_of_month": Integer(required=True, least=1, most=31),
            "hour": Integer(least=0, most=23),
            "minute": Integer(least=0, most=59),
            "month": Integer(least=1, most=12),
            "second": Integer(least=0, most=59),
        }
    ),
    "billing_mode": Hash(
        fields={
            "flexible": Hash(
                fields={"proration_discounts": OneOf(values=("included", "itemized"))}
            ),
            "type": OneOf(values=("classic", "flexible"), required=True),
        }
    ),
    "currency": Currency(),
    "customer": Reference(noun="customer", required=True),
    "items": ListOf(kind=Hash(fields=subscription_changes.ITEM), most=20, required=True),
    "trial_period_days": Integer(least=0, most=730),
}

_UPDATE: Final = {
    **_COMMON,
    "billing_cycle_anchor": OneOf(values=("now", "unchanged")),
    "cancellation_details": _DETAILS,
    "items": ListOf(kind=subscription_changes.ITEM_CHANGE, most=20),
    "pause_collection": Hash(
        fields={
            "behavior": OneOf(
                values=("keep_as_draft", "mark_uncollectible", "void"), required=True
            ),
            "resumes_at": Integer(),
        },
        clearable=True,
    ),
    "proration_date": Integer(),
}

_CANCEL: Final = {"cancellation_details": _DETAILS, "invoice_now": Boolean(), "prorate": Boolean()}

_RESUME: Final = {
    "billing_cycle_anchor": OneOf(values=("now", "unchanged")),
    "payment_behavior": subscription_changes.PAYMENT_BEHAVIOR,
    "proration_behavior": _PRORATION,
    "proration_date": Integer(),
}


def _update(call: Call) -> JsonObject:
    return call.seen(subscription_changes.change(call, call.target()))


def _cancel(call: Call) -> JsonObject:
    """At once; what is left of the period is given back if asked for, and billed if asked for."""
    subscription = call.target()
    if subscription["ended_at"] is not None:
        raise call.missing(NOUN, call.id, "id", 404)
    given = call.params.get("cancellation_details") or {}
    kept = {**subscription["cancellation_details"], **given}
    call.change(subscription, {"cancellation_details": kept})
    if call.params.get("prorate", False):
        for item in subscription_cycles.items_of(call, subscription):
            subscription_changes.credit_rest(call, item)
    subscription_cycles.end(call, subscription, "cancellation_requested")
    if call.params.get("invoice_now", False):
        reason = "subscription_update"
        subscription_cycles.bill(call, subscription, reason, charged=())
    return call.seen(subscription)


def _resume(call: Call) -> JsonObject:
    """Run again after a trial's end paused it: a new cycle, unless the old one is kept."""
    subscription = call.target()
    if subscription["status"] != "paused":
        raise invalid("Only a paused subscription can be resumed.")
    with subscription_cycles.told(call, subscription):
        call.change(subscription, {"status": "active"})
        if call.params.get("billing_cycle_anchor", "now") == "now":
            anew = {"billing_cycle_anchor": call.now, "billing_cycle_anchor_config": None}
            call.change(subscription, anew)
        subscription_cycles.set_periods(call, subscription, call.now)
        invoice = subscription_cycles.bill(
            call, subscription, "subscription_update", advances=False
        )
    call.emit("customer.subscription.resumed", subscription)
    invoicing.finalize(call, invoice)
    invoicing.attempt_quietly(call, invoice)
    return call.seen(subscription)


def _apply_pending(call: Call) -> JsonObject:
    """The payment that a pending update waits for comes in."""
    subscription = call.target()
    if subscription["pending_update"] is None:
        raise invalid("No update of this subscription is pending.")
    items = subscription_pending.taken(call, subscription)
    inner = call.on("subscription", {"items": items}, subscription["id"])
    subscription_changes.change(inner, subscription)
    call.emit("customer.subscription.pending_update_applied", subscription)
    return call.seen(subscription)


_ENDED: Final = ("canceled", "incomplete_expired")


def _has_status(subscription: JsonObject, wanted: str) -> bool:
    """Without a filter, canceled ones are left out."""
    status: str = subscription["status"]
    return {"all": True, "ended": status in _ENDED, "": status != "canceled"}.get(
        wanted, status == wanted
    )


_STATUSES: Final = (
    "active", "all", "canceled", "ended", "incomplete", "incomplete_expired", "past_due",
    "paused", "trialing", "unpaid",
)  # fmt: skip

_FILTERS: Final = {
    "collection_method": Filter(_COLLECTION),
    "customer": Filter(Reference(noun="customer")),
    "status": Filter(OneOf(values=_STATUSES), _has_status),
}


def _list(call: Call) -> JsonObject:
    call.params.setdefault("status", "")
    price = call.params.pop("price", None)
    if price is None:
        return page(call, NOUN, _FILTERS)

    def priced(subscription: JsonObject, _: str) -> bool:
        items = subscription_cycles.items_of(call, subscription)
        return any(item["price"]["id"] == price for item in items)

    call.params["price"] = price
    return page(call, NOUN, {**_FILTERS, "price": Filter(Text(), priced)})


NOUN: Final = Noun(
    object="subscription",
    collection="subscriptions",
    prefix="sub",
    fields={
        "application": None, "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": 0, "billing_cycle_anchor_config": None,
        "billing_mode": None,
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None, "cancel_at_period_end": False, "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "currency": "", "customer": "",
        "days_until_due": None,
        "default_payment_method": None, "default_source": None, "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {
            "account_tax_ids": None, "custom_fields": None, "description": None, "footer": None,
            "issuer": {"type": "self"},
        },
        "latest_invoice": None,
        "metadata": {},
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None, "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None, "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": 0,
        "status": "incomplete",
        "test_clock": None, "transfer_data": None,
        "trial_end": None,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": None,
    },
    nested={
        "items": Nested(
            "subscription_item", "subscription", "/v1/subscription_items?subscription={id}"
        )
    },
    indexed=("customer",),
    expandable=frozenset(
        {
            "customer", "default_payment_method", "default_source", "discounts", "items",
            "latest_invoice", "pending_setup_intent",
        }
    ),
    searchable=frozenset({"created", "canceled_at", "status"}),
    reactions={
        "invoice.paid": subscription_cycles.on_invoice_paid,
        "invoice.payment_failed": subscription_cycles.on_payment_failed,
        "customer.deleted": subscription_cycles.on_customer_deleted,
    },
    older=older_subscription,
    happenings={"apply_pending": Happening({}, _apply_pending)},
    actions=(
        Action("POST", "", _CREATE, start),
        retrieve(),
        Action("POST", "/{id}", _UPDATE, _update),
        Action("DELETE", "/{id}", _CANCEL, _cancel),
        Action("GET", "", {**parameters(_FILTERS, created=True), "price": Text()}, _list),
        searched(),
        act("resume", _RESUME, _resume),
    ),
)  # fmt: skip
