"""How objects looked in API versions before 2025-03-31: what an endpoint that still asks for one
is sent (changelog, "Basil"). The objects here have today's shape and are translated back."""

from itertools import islice
from typing import Final

from sandbox.emulator.core.call import Call
from sandbox.emulator.core.values import JsonObject

_REFUNDS_SHOWN: Final = 10


def older_charge(call: Call, charge: JsonObject) -> JsonObject:
    """With its `refunds`, and the `invoice` that it paid."""
    refunds = list(islice(call.members(charge, "refund", "charge"), _REFUNDS_SHOWN + 1))
    return {
        **charge,
        "invoice": _invoice_of(call, charge["payment_intent"]),
        "refunds": {
            "object": "list",
            "data": [call.seen(one) for one in refunds[:_REFUNDS_SHOWN]],
            "has_more": len(refunds) > _REFUNDS_SHOWN,
            "url": f"/v1/charges/{charge['id']}/refunds",
        },
    }


def older_intent(call: Call, intent: JsonObject) -> JsonObject:
    """With the `invoice` that it pays."""
    return {**intent, "invoice": _invoice_of(call, intent["id"])}


def older_invoice(call: Call, invoice: JsonObject) -> JsonObject:
    """With `subscription`, `payment_intent`, `charge`, `paid`, `tax`; without `parent`."""
    kept = {name: value for name, value in invoice.items() if name not in _NEW_IN_INVOICES}
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    payment = next(call.members(invoice, "invoice_payment", "invoice"), None)
    intent = None if payment is None else call.shelf("payment_intent").get(payment["intent"])
    lines = invoice["lines"]
    return {
        **kept,
        "charge": None if intent is None else intent["latest_charge"],
        "discount": None,
        "lines": {**lines, "data": [_older_line(call, line) for line in lines["data"]]},
        "paid": invoice["status"] == "paid",
        "paid_out_of_band": False,
        "payment_intent": None if intent is None else intent["id"],
        "subscription": details.get("subscription"),
        "subscription_details": {"metadata": details.get("metadata")},
        "tax": sum(tax["amount"] for tax in invoice["total_taxes"]) or None,
        "total_tax_amounts": [],
    }


def older_subscription(_: Call, subscription: JsonObject) -> JsonObject:
    """With the period, `plan` and `quantity` of its first item on the subscription itself."""
    items = subscription["items"]
    first = items["data"][0] if items["data"] else {}
    older = [{k: v for k, v in one.items() if k not in _NEW_IN_ITEMS} for one in items["data"]]
    return {
        **subscription,
        "current_period_end": first.get("current_period_end"),
        "current_period_start": first.get("current_period_start"),
        "discount": None,
        "items": {**items, "data": older},
        "plan": first.get("plan"),
        "quantity": first.get("quantity"),
    }


def _older_line(call: Call, line: JsonObject) -> JsonObject:
    kept = {name: value for name, value in line.items() if name not in _NEW_IN_LINES}
    parent, details = line["parent"], line["pricing"]["price_details"]
    of_item = parent["subscription_item_details"] or {}
    of_invoice_item = parent["invoice_item_details"] or {}
    price = None if details is None else call.shelf("price").get(details["price"])
    return {
        **kept,
        "invoice_item": of_invoice_item.get("invoice_item"),
        "price": None if price is None else call.seen(price),
        "proration": bool((of_item or of_invoice_item).get("proration")),
        "subscription_item": of_item.get("subscription_item"),
        "type": "subscription" if of_item else "invoiceitem",
    }


def _invoice_of(call: Call, intent: str | None) -> str | None:
    owner: JsonObject = {"id": intent}
    payment = next(call.members(owner, "invoice_payment", "intent"), None) if intent else None
    return None if payment is None else payment["invoice"]


_NEW_IN_INVOICES: Final = frozenset({"amount_overpaid", "parent", "total_taxes"})
_NEW_IN_ITEMS: Final = frozenset({"current_period_end", "current_period_start"})
_NEW_IN_LINES: Final = frozenset({"parent", "pricing", "taxes"})
