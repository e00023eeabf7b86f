"""Invoice line items (API reference, "Invoice Line Item"), and what an invoice adds up to."""

from typing import Final

from sandbox.emulator import coupons, prices, tax_rates
from sandbox.emulator.core import currencies
from sandbox.emulator.core.call import Call, Noun
from sandbox.emulator.core.expansion import linked_as
from sandbox.emulator.core.values import JsonObject


def pricing(price: JsonObject) -> JsonObject:
    """The `pricing` hash of a line or of an invoice item; an amount has a price of its own, too."""
    return {
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details",
        "unit_amount_decimal": price["unit_amount_decimal"],
    }


def of_item(item: JsonObject) -> JsonObject:
    """The fields of the line that an invoice item becomes."""
    subscription = _subscription(item)
    shared = ("amount", "currency", "description", "discountable", "metadata", "period", "quantity",
              "quantity_decimal")  # fmt: skip
    return {
        **{name: item[name] for name in shared},
        "parent": {
            "invoice_item_details": {
                "invoice_item": item["id"],
                "proration": item["proration"],
                "proration_details": {"credited_items": None},
                "subscription": subscription,
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
        "pricing": item["pricing"],
        "subscription": subscription,
    }


def of_subscription_item(item: JsonObject, period: tuple[int, int], *, trial: bool) -> JsonObject:
    """The fields of the line for a period of a subscription's item; a trial is free."""
    price, quantity = item["price"], item.get("quantity", 0)
    amount = 0 if trial else prices.amount_of(price, quantity)
    title = "Trial period for" if trial else f"{quantity} x"
    return {
        "amount": amount,
        "currency": price["currency"],
        "description": f"{title} {price['nickname'] or price['product']}",
        "metadata": item["metadata"],
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": item["subscription"],
                "subscription_item": item["id"],
            },
            "type": "subscription_item_details",
        },
        "period": {"start": period[0], "end": period[1]},
        "pricing": pricing(price),
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subscription": item["subscription"],
    }


def add(call: Call, invoice: JsonObject, fields: JsonObject) -> JsonObject:
    """Put a line on an invoice; its totals are the caller's to renew."""
    return call.add(NOUN, {**fields, "invoice": invoice["id"], "subtotal": fields["amount"]})


def of_invoice(call: Call, invoice: JsonObject) -> list[JsonObject]:
    """All lines in Stripe's order, the one added last first."""
    return list(call.members(invoice, NOUN.object, "invoice"))


def totals(call: Call, invoice: JsonObject, lines: list[JsonObject]) -> JsonObject:
    """The patch that makes an invoice's amounts fit its lines, discounts, taxes, and balance.

    A customer's balance counts on finalization and is shown before, as at Stripe.
    """
    subtotal = sum(line["amount"] for line in lines)
    taken = [
        (discount, sum(off for _, off in shares))
        for discount, shares in _taken(call, invoice, lines)
    ]
    taxable = subtotal - sum(off for _, off in taken)
    taxes = tax_rates.taxes(call, (rate["id"] for rate in invoice["default_tax_rates"]), taxable)
    total = taxable + tax_rates.added(taxes)
    due, ending = _due(total, invoice["starting_balance"], currencies.least(invoice["currency"]))
    return {
        "amount_due": due,
        "amount_remaining": due - invoice["amount_paid"],
        "ending_balance": None if invoice["status"] == "draft" else ending,
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal,
        "total": total,
        "total_discount_amounts": [{"amount": off, "discount": one} for one, off in taken],
        "total_excluding_tax": total - sum(tax["amount"] for tax in taxes),
        "total_taxes": taxes,
    }


def share_discounts(call: Call, invoice: JsonObject, lines: list[JsonObject]) -> None:
    """Say on each line what each discount takes off it."""
    for discount, shares in _taken(call, invoice, lines):
        for line, amount in shares:
            entry = {"amount": amount, "discount": discount}
            call.change(line, {"discount_amounts": [*line["discount_amounts"], entry]})


def _taken(
    call: Call, invoice: JsonObject, lines: list[JsonObject]
) -> list[tuple[str, list[tuple[JsonObject, int]]]]:
    """What each discount takes off which lines: the lines' own first, then the invoice's.

    One of the whole invoice is spread over the lines that it may touch, by largest remainder. How
    Stripe rounds where several lines share it is from memory.
    """
    left = {line["id"]: line["amount"] for line in lines if line["discountable"]}
    taken: list[tuple[str, list[tuple[JsonObject, int]]]] = []
    for line in lines:
        for discount in line["discounts"] if line["id"] in left else ():
            ((_, off),) = coupons.taken_off(call, [discount], left[line["id"]])
            left[line["id"]] -= off
            taken.append((discount, [(line, off)]))
    for discount in invoice["discounts"]:
        touched = [
            line
            for line in lines
            if left.get(line["id"], 0) > 0 and coupons.fits(call, discount, _product(line))
        ]
        base = sum(left[line["id"]] for line in touched)
        ((_, off),) = coupons.taken_off(call, [discount], base)
        shares = [divmod(off * left[line["id"]], base) for line in touched]
        rest = off - sum(share for share, _ in shares)
        order = sorted(range(len(touched)), key=lambda place: -shares[place][1])
        spread = []
        for rank, place in enumerate(order):
            amount = shares[place][0] + (1 if rank < rest else 0)
            left[touched[place]["id"]] -= amount
            spread.append((touched[place], amount))
        taken.append((discount, spread))
    return taken


def _product(line: JsonObject) -> str | None:
    details = (line["pricing"] or {}).get("price_details") or {}
    product: str | None = details.get("product")
    return product


def _due(total: int, balance: int, least: int) -> tuple[int, int]:
    """(amount due, balance afterwards): a balance below zero is the customer's credit.

    What cannot be charged because it is less than `least` is owed on the balance (docs,
    "Customer invoice balance").
    """
    if total <= 0 or total + balance < least:
        return 0, balance + total
    return total + balance, 0


def _subscription(item: JsonObject) -> str | None:
    parent = item["parent"]
    return None if parent is None else parent["subscription_details"]["subscription"]


def _view(line: JsonObject, _: int) -> JsonObject:
    return {name: value for name, value in line.items() if name != "created"}


NOUN: Final = Noun(
    object="line_item",
    collection="invoice_line_items",
    prefix="il",
    fields={
        "amount": 0,
        "currency": "",
        "description": None,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "metadata": {},
        "parent": None,
        "period": None,
        "pretax_credit_amounts": [],
        "pricing": None,
        "quantity": None,
        "quantity_decimal": None,
        "subscription": None,
        "subtotal": 0,
        "taxes": [],
    },
    view=_view,
    indexed=("invoice",),
    expandable=frozenset({"discounts", "pricing.price_details.price"}),
    includes={
        "pricing.price_details.product": linked_as("product", "pricing.price_details.product")
    },
    actions=(),
)
