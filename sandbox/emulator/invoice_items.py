"""Invoice items (API reference, "Invoice Items"): what the next invoice of a customer charges."""

from typing import Final

from sandbox.emulator import invoice_lines, prices
from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.errors import invalid, missing_parameter
from sandbox.emulator.core.listing import Filter
from sandbox.emulator.core.params import (
    Anything,
    Boolean,
    Currency,
    DecimalText,
    Hash,
    Integer,
    ListOf,
    Metadata,
    Reference,
    Text,
    merged_metadata,
)
from sandbox.emulator.core.values import JsonObject
from sandbox.emulator.core.verbs import delete, listed, patched, retrieve

PERIOD: Final = Hash(fields={"end": Integer(required=True), "start": Integer(required=True)})

_UPDATE: Final = {
    "amount": Integer(),
    "description": Text(clearable=True),
    "discountable": Boolean(),
    "discounts": Anything(clearable=True),
    "metadata": Metadata(),
    "period": PERIOD,
    "price_data": prices.PRICE_DATA,
    "pricing": Hash(fields={"price": Reference(noun="price")}),
    "quantity": Integer(least=0),
    "quantity_decimal": DecimalText(),
    "tax_behavior": Text(),
    "tax_code": Text(clearable=True),
    "tax_rates": ListOf(kind=Text(), clearable=True, cleared=[]),
    "unit_amount_decimal": DecimalText(),
}

_CREATE: Final = {
    **_UPDATE,
    "currency": Currency(),
    "customer": Reference(noun="customer", required=True),
    "invoice": Reference(noun="invoice"),
    "subscription": Reference(noun="subscription"),
}


def new(call: Call) -> JsonObject:
    """An item of the call's parameters with its event; it waits for the customer's next invoice,
    or stands on the draft that it names."""
    params = call.params
    fields = _priced(call, params)
    fields |= {
        "customer": params["customer"],
        "date": call.now,
        "description": params.get("description"),
        "discountable": params.get("discountable", True),
        "metadata": merged_metadata({}, params.get("metadata")),
        "period": params.get("period", {"start": call.now, "end": call.now}),
    }
    subscription = params.get("subscription")
    if subscription is not None:
        fields["parent"] = of_subscription(subscription)
    if params.get("invoice") is not None:
        _require_draft(call, params["invoice"])
        fields["invoice"] = params["invoice"]
    item = call.add(NOUN, fields)
    call.emit("invoiceitem.created", item)
    return item


def of_line(call: Call, invoice: JsonObject, line: JsonObject) -> JsonObject:
    """The item behind a line that is added to a draft; its event is the caller's to emit."""
    item = {**line, "currency": invoice["currency"]}
    fields = {
        **_priced(call, item),
        "customer": invoice["customer"],
        "date": call.now,
        "description": line.get("description"),
        "discountable": line.get("discountable", line.get("amount", 0) >= 0),
        "invoice": invoice["id"],
        "metadata": merged_metadata({}, line.get("metadata")),
        "period": line.get("period", {"start": call.now, "end": call.now}),
    }
    return call.add(NOUN, fields)


def prorated(call: Call, item: JsonObject, amount: int, end: int, description: str) -> JsonObject:
    """The credit or debit of a change of a subscription's item within its period."""
    invoice_item = call.add(
        NOUN,
        {
            "amount": amount,
            "currency": item["price"]["currency"],
            "customer": call.find("subscription", item["subscription"], "id")["customer"],
            "date": call.now,
            "description": description,
            "discountable": False,
            "net_amount": amount,
            "parent": of_subscription(item["subscription"], item["id"]),
            "period": {"start": call.now, "end": end},
            "pricing": invoice_lines.pricing(item["price"]),
            "proration": True,
            "quantity": item.get("quantity", 0),
            "quantity_decimal": str(item.get("quantity", 0)),
        },
    )
    call.emit("invoiceitem.created", invoice_item)
    return invoice_item


def of_subscription(subscription: str, item: str | None = None) -> JsonObject:
    """The `parent` of what a subscription's invoice takes up."""
    details = {"subscription": subscription, "subscription_item": item}
    return {"subscription_details": details, "type": "subscription_details"}


def pending(call: Call, customer: str, currency: str, subscription: str | None) -> list[JsonObject]:
    """The items that wait for an invoice, newest first; those of other subscriptions apart."""
    owner = call.find("customer", customer, "customer")
    return [
        item
        for item in call.members(owner, NOUN.object, "customer")
        if item["invoice"] is None
        and item["currency"] == currency
        and _subscription(item) in (None, subscription)
    ]


def _priced(call: Call, params: JsonObject) -> JsonObject:
    """Amount, currency, pricing and quantity: by an amount, by a price, or by price data."""
    quantity = params.get("quantity", 1)
    named = {
        "price": params.get("pricing", {}).get("price"),
        "price_data": params.get("price_data"),
    }
    if "amount" not in params and any(named.values()):
        price = prices.chosen(call, named, "pricing")
        if price["type"] != "one_time":
            raise invalid("An invoice item takes one-time prices only.", "pricing[price]")
        amount = prices.amount_of(price, quantity)
        currency, shown = price["currency"], invoice_lines.pricing(price)
    else:
        if "amount" not in params:
            raise missing_parameter("amount")
        amount, currency = params["amount"], params.get("currency")
        if currency is None:
            raise missing_parameter("currency")
        shown = invoice_lines.pricing(priced(call, amount, currency, params.get("description")))
    return {
        "amount": amount,
        "currency": currency,
        "net_amount": amount,
        "pricing": shown,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
    }


def priced(call: Call, amount: int, currency: str, description: str | None) -> JsonObject:
    """The one-off price, of a one-off product, that Stripe puts behind an amount (recorded).

    An equal one serves again (recorded: items of equal texts and amounts, made minutes apart,
    name the same ids). From memory: the product is named by the description, both are inactive,
    and events tell of them as of other prices made in passing.
    """
    key = (call.scope, description or _UNNAMED, amount, currency)
    known = call.world.one_off_prices.get(key)
    if known is not None:
        return call.find("price", known, "price")
    product = {"active": False, "name": description or _UNNAMED}
    params = {"active": False, "currency": currency, "product_data": product, "unit_amount": amount}
    price = prices.new(call.on("price", params))
    call.world.one_off_prices[key] = price["id"]
    return price


_UNNAMED: Final = "Invoice item"


def _require_draft(call: Call, identifier: str) -> None:
    if call.find("invoice", identifier, "invoice")["status"] != "draft":
        raise invalid("Invoice items can only be added to draft invoices.", "invoice")


def _create(call: Call) -> JsonObject:
    return call.seen(new(call))


def _update(call: Call) -> JsonObject:
    item = call.target()
    if item["invoice"] is not None:
        _require_draft(call, item["invoice"])
    patch = patched(item, call.params, _UPDATE)
    for name in ("amount", "pricing", "quantity", "quantity_decimal"):
        patch.pop(name, None)
    if {"amount", "price_data", "pricing", "quantity"} & call.params.keys():
        kept = {name: item[name] for name in ("quantity", "currency", "description")}
        named = {**kept, **call.params}
        if "amount" not in call.params and "price_data" not in call.params:
            named = {"pricing": {"price": item["pricing"]["price_details"]["price"]}, **named}
        patch |= _priced(call, named)
    call.change(item, patch)
    # Stripe has no event of it, but a draft that the item stands on changes with it.
    call.react("invoiceitem.updated", item)
    return call.seen(item)


def _before_deletion(call: Call) -> None:
    item = call.target()
    if item["invoice"] is not None:
        _require_draft(call, item["invoice"])


def _subscription(item: JsonObject) -> str | None:
    parent = item["parent"]
    return None if parent is None else parent["subscription_details"]["subscription"]


def _is_pending(item: JsonObject, wanted: bool) -> bool:
    return (item["invoice"] is None) == wanted


def _view(item: JsonObject, _: int) -> JsonObject:
    return {name: value for name, value in item.items() if name != "created"}


NOUN: Final = Noun(
    object="invoiceitem",
    collection="invoiceitems",
    prefix="ii",
    title="invoice item",
    fields={
        "amount": 0,
        "currency": "",
        "customer": "",
        "date": 0,
        "description": None,
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "metadata": {},
        "net_amount": 0,
        "parent": None,
        "period": None,
        "pricing": None,
        "proration": False,
        "quantity": 1,
        "quantity_decimal": "1",
        "tax_rates": [],
        "test_clock": None,
    },
    view=_view,
    indexed=("customer", "invoice"),
    expandable=frozenset({"customer", "invoice", "pricing.price_details.price"}),
    sums=("amount",),
    actions=(
        Action("POST", "", _CREATE, _create),
        retrieve(),
        Action("POST", "/{id}", _UPDATE, _update),
        delete(before=_before_deletion),
        listed(
            {
                "customer": Filter(Reference(noun="customer")),
                "invoice": Filter(Reference(noun="invoice")),
                "pending": Filter(Boolean(), _is_pending),
            }
        ),
    ),
)
