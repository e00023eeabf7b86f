"""Adding many lines to a draft at once (API reference, "Bulk add invoice line items").

All or none: every line is looked at before the first is added.
"""

from typing import Final

from sandbox.emulator import invoice_items as invoiceitems
from sandbox.emulator import invoice_life as invoicing
from sandbox.emulator import invoice_lines, prices
from sandbox.emulator.core.call import Call
from sandbox.emulator.core.errors import invalid, missing_parameter
from sandbox.emulator.core.params import (
    Anything,
    Boolean,
    Hash,
    Integer,
    ListOf,
    Metadata,
    Text,
    merged_metadata,
)
from sandbox.emulator.core.values import JsonObject

MOST: Final = 250
"""How many lines an invoice can have."""

_PRICE_DATA: Final = Hash(
    fields={name: kind for name, kind in prices.PRICE_DATA.fields.items() if name != "recurring"}
    | {"unit_amount": Integer(least=0)}
)

_LINE: Final = Hash(
    fields={
        "amount": Integer(),
        "description": Text(),
        "discountable": Boolean(),
        "discounts": Anything(clearable=True),
        "invoice_item": Text(),
        "metadata": Metadata(),
        "period": invoiceitems.PERIOD,
        "price_data": _PRICE_DATA,
        "pricing": Hash(fields={"price": Text()}),
        "quantity": Integer(least=0),
        "tax_amounts": Anything(clearable=True),
        "tax_rates": Anything(clearable=True),
    }
)

ADD_LINES: Final = {
    "invoice_metadata": Metadata(),
    "lines": ListOf(kind=_LINE, most=MOST, required=True),
}

_SOURCES: Final = ("amount", "invoice_item", "price_data", "pricing")
"""What a line is made of: one of these."""


def add_lines(call: Call) -> JsonObject:
    """`POST /v1/invoices/{id}/add_lines`."""
    invoice = call.target()
    if invoice["status"] != "draft":
        # The one refusal of an invoice's state that has a code (recorded).
        message = "Invalid invoice: This invoice is no longer editable"
        raise invalid(message, code="invoice_not_editable")
    lines: list[JsonObject] = call.params["lines"]
    if len(invoice_lines.of_invoice(call, invoice)) + len(lines) > MOST:
        raise invalid(f"An invoice can have at most {MOST} line items.", "lines")
    for place, line in enumerate(lines):
        _check(call, invoice, line, f"lines[{place}]")
    for line in lines:
        _add(call, invoice, line)
    if "invoice_metadata" in call.params:
        merged = merged_metadata(invoice["metadata"], call.params["invoice_metadata"])
        call.change(invoice, {"metadata": merged})
    invoicing.recompute(call, invoice, "invoice.updated")
    return call.seen(invoice)


def _check(call: Call, invoice: JsonObject, line: JsonObject, where: str) -> None:
    """ApiError 400 for a line that could not be added."""
    given = [name for name in _SOURCES if name in line]
    if not given:
        raise missing_parameter(f"{where}[amount]")
    exclusive = given + [name for name in ("quantity",) if name in line and "amount" in line]
    if len(exclusive) > 1:
        raise invalid(
            f"You may only specify one of these parameters: {', '.join(exclusive)}",
            f"{where}[{exclusive[0]}]",
            "parameters_exclusive",
        )
    _CHECKS[given[0]](call, invoice, line, where)


def _check_amount(call: Call, invoice: JsonObject, line: JsonObject, where: str) -> None:
    """Any amount will do, a credit too."""


def _check_item(call: Call, invoice: JsonObject, line: JsonObject, where: str) -> None:
    item = call.find("invoiceitem", line["invoice_item"], f"{where}[invoice_item]")
    mine = (item["customer"], item["currency"]) == (invoice["customer"], invoice["currency"])
    if item["invoice"] is not None or not mine:
        raise invalid("The invoice item cannot be on this invoice.", f"{where}[invoice_item]")


def _check_price(call: Call, invoice: JsonObject, line: JsonObject, where: str) -> None:
    param = f"{where}[pricing][price]"
    if line["pricing"].get("price") is None:
        raise missing_parameter(param)
    price = call.find("price", line["pricing"]["price"], param)
    if price["type"] != "one_time":
        raise invalid("An invoice item takes one-time prices only.", param)
    if price["currency"] != invoice["currency"]:
        raise invalid("The price is in another currency than the invoice.", param)


def _check_price_data(call: Call, invoice: JsonObject, line: JsonObject, where: str) -> None:
    param, data = f"{where}[price_data]", line["price_data"]
    if data["currency"] != invoice["currency"]:
        raise invalid("The invoice is in another currency.", f"{param}[currency]")
    if not {"unit_amount", "unit_amount_decimal"} & data.keys():
        raise missing_parameter(f"{param}[unit_amount]")
    if data.get("product") is not None:
        call.find("product", data["product"], f"{param}[product]")
    elif data.get("product_data") is None:
        raise missing_parameter(f"{param}[product]")


_CHECKS: Final = {
    "amount": _check_amount,
    "invoice_item": _check_item,
    "price_data": _check_price_data,
    "pricing": _check_price,
}


def _add(call: Call, invoice: JsonObject, line: JsonObject) -> None:
    """One line, and the invoice item behind it, unless it takes up one that waits."""
    if "invoice_item" in line:
        item = call.find("invoiceitem", line["invoice_item"], "lines")
        call.change(item, {"invoice": invoice["id"]})
    else:
        item = invoiceitems.of_line(call, invoice, line)
        # The reaction to the event would count the invoice anew for each line.
        call.world.events.emit(
            call.scope, "invoiceitem.created", call.seen(item), None, call.origin
        )
    invoice_lines.add(call, invoice, invoice_lines.of_item(item))
