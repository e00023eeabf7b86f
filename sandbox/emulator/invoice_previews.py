"""Previews of invoices (API reference, "Create a preview invoice"): computed, never kept.

Only the lines of the latest can be read on: a preview shows the first ten.

A simplification: what `subscription_details` would change is billed for a whole period, and
prorations of the change are not previewed.
"""

from typing import Final

from sandbox.emulator import (
    coupons,
    invoice_lines,
    prices,
    subscription_changes,
    subscription_cycles,
)
from sandbox.emulator import invoice_items as invoiceitems
from sandbox.emulator import invoice_life as invoicing
from sandbox.emulator.core.call import NESTED, Call, Noun
from sandbox.emulator.core.errors import invalid, missing_parameter, resource_missing
from sandbox.emulator.core.listing import Filter, page
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
from sandbox.emulator.core.values import JsonObject

_INVOICE_ITEM: Final = Hash(
    fields={
        "amount": Integer(),
        "currency": Currency(),
        "description": Text(),
        "discountable": Boolean(),
        "metadata": Metadata(),
        "period": invoiceitems.PERIOD,
        "price": Reference(noun="price"),
        "quantity": Integer(least=0),
        "unit_amount": Integer(),
    }
)

PREVIEW: Final = {
    "automatic_tax": Anything(),
    "currency": Currency(),
    "customer": Reference(noun="customer"),
    "discounts": coupons.DISCOUNTS,
    "invoice_items": ListOf(kind=_INVOICE_ITEM, most=250),
    "issuer": Anything(),
    "preview_mode": OneOf(values=("next", "recurring")),
    "subscription": Reference(noun="subscription"),
    "subscription_details": Hash(
        fields={
            "billing_cycle_anchor": Text(),
            "billing_mode": Anything(),
            "cancel_at": Integer(clearable=True),
            "cancel_at_period_end": Boolean(),
            "cancel_now": Boolean(),
            "items": ListOf(kind=subscription_changes.ITEM_CHANGE, most=20),
            "metadata": Metadata(),
            "proration_behavior": OneOf(values=subscription_changes.PRORATIONS),
            "proration_date": Integer(),
            "start_date": Integer(),
            "trial_end": Text(),
        }
    ),
}


def preview(call: Call) -> JsonObject:
    """The invoice that a subscription's next period, or a new subscription, would bring."""
    params = call.params
    subscription = _subscription(call)
    customer = params.get("customer") or (subscription or {}).get("customer")
    if customer is None:
        raise missing_parameter("customer")
    lines = _subscription_lines(call, subscription)
    currency = params.get("currency") or (lines[0]["currency"] if lines else None)
    currency = currency or call.account["default_currency"]
    named = None if subscription is None else subscription["id"]
    lines = [*invoicing.take_pending(call, customer, currency, named)[1], *lines]
    lines += [_extra(call, one, currency) for one in params.get("invoice_items", [])]
    if not lines:
        raise invalid(
            f"No upcoming invoices for customer: {customer}", code="invoice_upcoming_none"
        )
    owner = call.find("customer", customer, "customer")
    invoice: JsonObject = {
        "id": f"upcoming_in_{call.world.ids.text(24)}",
        "object": "invoice",
        **call.world.nouns.named("invoice").fields,
        "billing_reason": "upcoming",
        "created": call.now,
        "currency": currency,
        "customer": customer,
        "customer_email": owner["email"],
        "customer_name": owner["name"],
        "discounts": _discounts(call, subscription),
        "livemode": call.scope.livemode,
        "parent": None if subscription is None else invoicing.parent_of(subscription),
        "period_end": call.now,
        "period_start": call.now,
        "starting_balance": owner["balance"],
    }
    shown = [_line(call, invoice, line) for line in lines]
    for line in reversed(shown):
        call.add(LINE, line)
    invoice |= invoice_lines.totals(call, invoice, shown)
    url = f"/v1/invoices/{invoice['id']}/lines"
    first = [{**line, "object": invoice_lines.NOUN.object} for line in shown[:NESTED]]
    listing = {"object": "list", "data": first, "has_more": len(shown) > NESTED}
    invoice.pop("days_until_due")
    return {**invoice, "lines": {**listing, "url": url}}


def previewed_lines(call: Call) -> JsonObject | None:
    """The page of a preview's lines that a call asks for; None where it asks for no preview's."""
    filters = {"invoice": Filter(Text())}
    inner = call.on(LINE.object, {**call.params, "invoice": call.id})
    known = any(call.shelf(LINE).walk(("invoice", call.id), (None, None), None, None))
    return page(inner, inner.noun, filters) if known else None


def _subscription(call: Call) -> JsonObject | None:
    named = call.params.get("subscription")
    if named is None:
        return None
    subscription = call.find("subscription", named, "subscription")
    if subscription["ended_at"] is not None:
        raise invalid("The subscription is canceled.", "subscription", "invoice_upcoming_none")
    return subscription


def _subscription_lines(call: Call, subscription: JsonObject | None) -> list[JsonObject]:
    changes: list[JsonObject] = call.params.get("subscription_details", {}).get("items", [])
    changed = {one["id"]: one for one in changes if "id" in one}
    items: list[JsonObject] = []
    standing = [] if subscription is None else subscription_cycles.items_of(call, subscription)
    due = [] if subscription is None else subscription_cycles.due_first(call, subscription)
    for place, one in enumerate(changes):
        if "id" in one and one["id"] not in [item["id"] for item in standing]:
            param = f"subscription_details[items][{place}][id]"
            raise resource_missing("subscription item", one["id"], param, 400)
        if "id" in one and one.get("price") is not None:
            call.find("price", one["price"], f"subscription_details[items][{place}][price]")
    for item in standing:
        wanted = changed.get(item["id"], {})
        if wanted.get("deleted", False) or item not in due:
            continue
        picked = {name: wanted[name] for name in ("quantity",) if name in wanted}
        if wanted.get("price") is not None:
            picked["price"] = call.find("price", wanted["price"], "subscription_details")
        items.append({**item, **picked})
    fresh: JsonObject = {"metadata": {}, "subscription": (subscription or {}).get("id")}
    for place, one in enumerate(changes):
        if "id" not in one:
            price = prices.chosen(call, one, f"subscription_details[items][{place}]")
            identifier = call.world.ids.mint("si", 14)
            given = {"id": identifier, "price": price, "quantity": one.get("quantity", 1)}
            items.append({**fresh, **given})
    if not items:
        return []
    if any(item["price"]["recurring"] is None for item in items):
        raise invalid("The price does not recur.", "subscription_details[items]")
    start = call.now
    cycle = {"billing_cycle_anchor": start, "billing_cycle_anchor_config": None}
    if subscription is not None:
        cycle, start = subscription, subscription_cycles.period_of(call, subscription)[1]
    return [
        invoice_lines.of_subscription_item(
            item, subscription_cycles.period_after(cycle, item, start), trial=False
        )
        for item in items
    ]


def _extra(call: Call, given: JsonObject, currency: str) -> JsonObject:
    """The line of an invoice item that exists in the request only."""
    quantity = given.get("quantity", 1)
    price = None
    if given.get("price") is not None:
        price = call.find("price", given["price"], "invoice_items")
    amount = given.get("amount", given.get("unit_amount", 0) * quantity)
    item = {
        "id": f"ii_{call.world.ids.text(24)}",
        "amount": amount if price is None else prices.amount_of(price, quantity),
        "currency": currency,
        "description": given.get("description"),
        "discountable": given.get("discountable", True),
        "metadata": given.get("metadata", {}),
        "parent": None,
        "period": given.get("period", {"start": call.now, "end": call.now}),
        "pricing": invoice_lines.pricing(price or _unkept_price(call, amount)),
        "proration": False,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
    }
    return invoice_lines.of_item(item)


def _unkept_price(call: Call, amount: int) -> JsonObject:
    """What stands for the one-off price of an amount: a preview keeps none."""
    ids = call.world.ids
    unit = str(amount)
    return {
        "id": ids.mint("price", 24),
        "product": ids.mint("prod", 14),
        "unit_amount_decimal": unit,
    }


def _discounts(call: Call, subscription: JsonObject | None) -> list[str]:
    if "discounts" in call.params:
        return coupons.discounts(call, call.params["discounts"], {}, redeem=False)
    if subscription is None:
        return []
    start = subscription_cycles.period_of(call, subscription)[1]
    return subscription_cycles.discounts_of(call, subscription, start)


def _line(call: Call, invoice: JsonObject, fields: JsonObject) -> JsonObject:
    return {
        "id": f"il_tmp_{call.world.ids.text(24)}",
        **invoice_lines.NOUN.fields,
        **fields,
        "invoice": invoice["id"],
        "livemode": call.scope.livemode,
        "subtotal": fields["amount"],
    }


def _view(line: JsonObject, _: int) -> JsonObject:
    shown = {name: value for name, value in line.items() if name != "created"}
    return {**shown, "object": invoice_lines.NOUN.object}


LINE: Final = Noun(
    object="previewed_line_item",
    collection="previewed_line_items",
    prefix="il_tmp",
    fields=invoice_lines.NOUN.fields,
    view=_view,
    indexed=("invoice",),
    most=1_000,
    actions=(),
)
"""A line of a preview; the noun is the emulator's own, on the wire it is a line item."""
