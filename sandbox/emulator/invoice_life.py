"""The life of an invoice (docs, "How invoicing works"): draft, open, then paid, void or
uncollectible; `invoices` has its routes."""

from typing import Final

from sandbox.emulator import (
    charges,
    invoice_lines,
    invoice_payments,
    payment_intents,
    payment_methods,
)
from sandbox.emulator import invoice_items as invoiceitems
from sandbox.emulator.core.call import Call, difference
from sandbox.emulator.core.errors import ApiError, invalid
from sandbox.emulator.core.values import DAY_SECONDS, JsonObject

FINALIZES_AFTER_SECONDS: Final = 3600
"""A draft that advances by itself stays one for about an hour."""

RETRY_DAYS: Final = (3, 5, 7)
"""Waits between the attempts at a subscription's invoice; after the last it is given up."""

_INTENT_DESCRIPTIONS: Final = {
    "subscription_create": "Subscription creation",
    "subscription_cycle": "Subscription update",
    "subscription_update": "Subscription update",
}


def draft(
    call: Call, customer: str, currency: str, fields: JsonObject, lines: list[JsonObject]
) -> JsonObject:
    """A draft that shows these lines in their order, and `invoice.created`.

    Items that wait for an invoice are the caller's to take.
    """
    owner = call.find("customer", customer, "customer")
    account = call.account
    shown = {f"customer_{name}": owner[name] for name in ("address", "email", "name", "phone")}
    invoice = call.add(
        "invoice",
        {
            **shown,
            "account_country": account["country"],
            "account_name": account["settings"]["dashboard"]["display_name"],
            "currency": currency,
            "customer": customer,
            "customer_shipping": owner["shipping"],
            "customer_tax_exempt": owner["tax_exempt"],
            "period_end": call.now,
            "period_start": call.now,
            "starting_balance": owner["balance"],
            **fields,
        },
    )
    for line in reversed(lines):
        invoice_lines.add(call, invoice, line)
    recompute(call, invoice)
    call.emit("invoice.created", invoice)
    if invoice["auto_advance"]:
        call.change(invoice, {"automatically_finalizes_at": call.now + FINALIZES_AFTER_SECONDS})
        call.later(invoice, call.now + FINALIZES_AFTER_SECONDS, _advance)
    return invoice


def take_pending(
    call: Call, customer: str, currency: str, subscription: str | None
) -> tuple[list[JsonObject], list[JsonObject]]:
    """(items, their lines) that wait for this customer's next invoice."""
    items = invoiceitems.pending(call, customer, currency, subscription)
    return items, [invoice_lines.of_item(item) for item in items]


def bind(call: Call, items: list[JsonObject], invoice: JsonObject) -> None:
    """The items stand on the invoice from now on."""
    for item in items:
        call.change(item, {"invoice": invoice["id"]})


def recompute(call: Call, invoice: JsonObject, event: str = "") -> None:
    """Let the amounts fit the lines."""
    lines = invoice_lines.of_invoice(call, invoice)
    call.change(invoice, invoice_lines.totals(call, invoice, lines), event)


def finalize(call: Call, invoice: JsonObject) -> JsonObject:
    """Number a draft and open it; one over nothing is paid at once."""
    if invoice["status"] != "draft":
        raise invalid("This invoice is already finalized: only a draft can be.")
    before = call.seen(invoice)
    owner = call.find("customer", invoice["customer"], "customer")
    call.change(invoice, {"starting_balance": owner["balance"], "status": "open"})
    recompute(call, invoice)
    invoice_lines.share_discounts(call, invoice, invoice_lines.of_invoice(call, invoice))
    patch: JsonObject = {
        "automatically_finalizes_at": None,
        "due_date": _due_date(call, invoice),
        "effective_at": call.now,
        "hosted_invoice_url": f"https://invoice.stripe.com/i/{invoice['id']}",
        "invoice_pdf": f"https://pay.stripe.com/invoice/{invoice['id']}/pdf",
        "number": invoice["number"] or _numbered(call, owner, invoice),
        "status_transitions": {**invoice["status_transitions"], "finalized_at": call.now},
    }
    call.change(invoice, patch)
    if invoice["amount_due"] > 0:
        _request_payment(call, invoice)
    call.emit("invoice.finalized", invoice)
    call.emit("invoice.updated", invoice, difference(before, call.seen(invoice)))
    if invoice["amount_due"] == 0:
        _paid(call, invoice, 0)
    elif invoice["due_date"] is not None:
        call.later(invoice, invoice["due_date"], _overdue)
    return invoice


def collect(
    call: Call, invoice: JsonObject, method: JsonObject | None, *, off_session: bool = True
) -> None:
    """Attempt the payment of an open invoice; the 402 of a decline is raised once it is noted.

    method: None takes that of the invoice, its subscription or its customer.
    """
    method = method or method_of(call, invoice)
    if method is None:
        raise invalid(
            "There is no `default_payment_method` set on this Customer or Invoice. Please provide "
            "a payment method.",
            code="resource_missing",
        )
    payment = invoice_payments.of_invoice(call, invoice)
    if payment is None:
        raise invalid("This invoice has no open payment.")
    intent = call.find("payment_intent", payment["intent"], "payment_intent")
    call.change(intent, {"payment_method": method["id"]})
    params = {"off_session": off_session, "return_url": invoice["hosted_invoice_url"]}
    payment_intents.confirm(call.on("payment_intent", params), intent)


def method_of(call: Call, invoice: JsonObject) -> JsonObject | None:
    """What an invoice is charged to by itself, if anything."""
    holders = [invoice]
    subscription = subscription_of(call, invoice)
    if subscription is not None:
        holders.append(subscription)
    owner = call.shelf("customer").get(invoice["customer"])
    named = [holder[field] for holder in holders for field in _METHOD_FIELDS]
    if owner is not None:
        named += [owner["invoice_settings"]["default_payment_method"], owner["default_source"]]
    chosen = next((one for one in named if one is not None), None)
    return None if chosen is None else call.shelf("payment_method").get(chosen)


def refuse_bad(method: JsonObject, *, absent: bool) -> None:
    """ApiError 402 where an attempt would fail: for what must not begin without its payment."""
    error = charges.refusal(method, absent=absent)
    if error is not None:
        raise error


def refuse_authenticating(method: JsonObject) -> None:
    """ApiError 402 where the customer would have to authenticate, so that nothing could begin."""
    if charges.authenticates(method):
        raise ApiError(
            402,
            "Payment for this subscription requires additional user action before it can be "
            "completed successfully.",
            kind="card_error",
            code="subscription_payment_intent_requires_action",
        )


def parent_of(subscription: JsonObject) -> JsonObject:
    """The `parent` of a subscription's invoice, with the metadata as it is now."""
    return {
        "quote_details": None,
        "subscription_details": {
            "metadata": subscription["metadata"],
            "subscription": subscription["id"],
        },
        "type": "subscription_details",
    }


def subscription_of(call: Call, invoice: JsonObject) -> JsonObject | None:
    """The subscription that an invoice bills."""
    parent = invoice["parent"]
    if parent is None:
        return None
    return call.shelf("subscription").get(parent["subscription_details"]["subscription"])


def pay(call: Call, invoice: JsonObject, params: JsonObject) -> JsonObject:
    """`POST /v1/invoices/{id}/pay`: collect, or note that the money came otherwise."""
    if invoice["status"] == "draft":
        finalize(call, invoice)
    elif invoice["status"] == "paid":
        raise invalid("Invoice is already paid")
    require(invoice, ("open", "uncollectible", "paid"), "pay")
    if invoice["status"] == "paid":
        return invoice
    if params.get("paid_out_of_band", False):
        _cancel_payment(call, invoice, _OUT_OF_BAND)
        _paid(call, invoice, invoice["amount_due"], attempted=invoice["attempted"])
        return invoice
    given = params.get("payment_method") or params.get("source")
    method = None
    if given is not None:
        method = payment_methods.resolved(call, given, "payment_method")
    collect(call, invoice, method, off_session=params.get("off_session", True))
    return invoice


def void(call: Call, invoice: JsonObject) -> JsonObject:
    """Take back an invoice that was finalized."""
    require(invoice, ("open", "uncollectible"), "void")
    _cancel_payment(call, invoice, "void_invoice")
    return _closed(call, invoice, "void", "voided_at", "invoice.voided")


def mark_uncollectible(call: Call, invoice: JsonObject) -> JsonObject:
    """Give an open invoice up as bad debt; it can still be paid."""
    require(invoice, ("open",), "mark uncollectible")
    name = "marked_uncollectible_at"
    return _closed(call, invoice, "uncollectible", name, "invoice.marked_uncollectible")


def require(invoice: JsonObject, allowed: tuple[str, ...], verb: str) -> None:
    """ApiError 400 unless the invoice's status allows what is asked.

    Such refusals have neither a code nor a parameter (recorded).
    """
    if invoice["status"] not in allowed:
        raise invalid(f"You can't {verb} an invoice that is {invoice['status']}.")


def on_intent_succeeded(call: Call, intent: JsonObject) -> None:
    """Reaction: the payment of an invoice came in, whoever confirmed it."""
    payment = invoice_payments.of_intent(call, intent)
    if payment is None or payment["status"] != "open":
        return
    invoice = call.find("invoice", payment["invoice"], "invoice")
    invoice_payments.settle(call, payment)
    _paid(call, invoice, payment["amount_requested"], attempts=1)


def on_intent_failed(call: Call, intent: JsonObject) -> None:
    """Reaction: an attempt at an invoice was declined; a subscription's is made again."""
    payment = invoice_payments.of_intent(call, intent)
    if payment is None or payment["status"] != "open":
        return
    invoice = call.find("invoice", payment["invoice"], "invoice")
    _not_paid(call, invoice)


def on_action_required(call: Call, intent: JsonObject) -> None:
    """Reaction: the customer's bank wants to see him before it pays an invoice."""
    payment = invoice_payments.of_intent(call, intent)
    if payment is not None:
        invoice = call.find("invoice", payment["invoice"], "invoice")
        call.emit("invoice.payment_action_required", invoice)


def on_item(call: Call, item: JsonObject) -> None:
    """Reaction: an item that names a draft was made, changed or deleted: so is its line."""
    invoice = call.shelf("invoice").get(item["invoice"] or "")
    if invoice is None or invoice["status"] != "draft":
        return
    for line in invoice_lines.of_invoice(call, invoice):
        details = line["parent"]["invoice_item_details"]
        if details is not None and details["invoice_item"] == item["id"]:
            call.shelf("line_item").remove(line["id"], None)
    if call.shelf("invoiceitem").get(item["id"]) is not None:
        invoice_lines.add(call, invoice, invoice_lines.of_item(item))
    recompute(call, invoice, "invoice.updated")


def _advance(call: Call) -> None:
    """The hour is over: finalize a draft that advances by itself, and collect it."""
    invoice = call.target()
    if invoice["status"] != "draft" or not invoice["auto_advance"]:
        return
    finalize(call, invoice)
    attempt_quietly(call, invoice)


def attempt_quietly(call: Call, invoice: JsonObject) -> None:
    """Collect where nobody waits for the answer; sending is all there is to `send_invoice`."""
    if invoice["status"] != "open":
        return
    if invoice["collection_method"] == "send_invoice":
        call.emit("invoice.sent", invoice)
        return
    try:
        collect(call, invoice, None)
    except ApiError as error:
        if error.status != 402:
            # Without a method nothing was attempted, which counts as a failure all the same.
            _not_paid(call, invoice)


def _retry(call: Call) -> None:
    invoice = call.target()
    if invoice["status"] == "open" and invoice["next_payment_attempt"] == call.now:
        call.change(invoice, {"next_payment_attempt": None})
        attempt_quietly(call, invoice)


def _not_paid(call: Call, invoice: JsonObject) -> None:
    attempts = invoice["attempt_count"] + 1
    again = _next_attempt(call, invoice, attempts)
    patch = {"attempt_count": attempts, "attempted": True, "next_payment_attempt": again}
    call.change(invoice, patch, "invoice.updated")
    if again is not None:
        call.later(invoice, again, _retry)
    call.emit("invoice.payment_failed", invoice)


def _next_attempt(call: Call, invoice: JsonObject, attempts: int) -> int | None:
    """When a subscription's invoice is tried again; a first invoice waits for the customer."""
    if invoice["billing_reason"] not in ("subscription_cycle", "subscription_update"):
        return None
    if invoice["collection_method"] != "charge_automatically" or attempts > len(RETRY_DAYS):
        return None
    return call.now + RETRY_DAYS[attempts - 1] * DAY_SECONDS


def _overdue(call: Call) -> None:
    invoice = call.target()
    if invoice["status"] == "open":
        call.emit("invoice.overdue", invoice)


def _paid(
    call: Call, invoice: JsonObject, amount: int, attempts: int = 0, *, attempted: bool = True
) -> None:
    """Paid: both names of the event go out, as at Stripe."""
    patch = {
        "attempt_count": invoice["attempt_count"] + attempts,
        "amount_paid": amount,
        "amount_remaining": 0,
        "attempted": attempted,
        "next_payment_attempt": None,
        "status": "paid",
        "status_transitions": {**invoice["status_transitions"], "paid_at": call.now},
    }
    call.change(invoice, patch, "invoice.updated")
    call.emit("invoice.paid", invoice)
    call.emit("invoice.payment_succeeded", invoice)


def _closed(call: Call, invoice: JsonObject, status: str, instant: str, event: str) -> JsonObject:
    transitions = {**invoice["status_transitions"], instant: call.now}
    patch = {"next_payment_attempt": None, "status": status, "status_transitions": transitions}
    call.change(invoice, patch, "invoice.updated")
    call.emit(event, invoice)
    return invoice


def _cancel_payment(call: Call, invoice: JsonObject, reason: str) -> None:
    payment = invoice_payments.of_invoice(call, invoice)
    if payment is None:
        return
    invoice_payments.cancel(call, payment)
    intent = call.find("payment_intent", payment["intent"], "payment_intent")
    payment_intents.cancel(call, intent, reason)


def _request_payment(call: Call, invoice: JsonObject) -> None:
    reason = invoice["billing_reason"]
    fields = {
        "amount": invoice["amount_due"],
        "automatic_payment_methods": None,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "description": _INTENT_DESCRIPTIONS.get(reason, f"Payment for Invoice {invoice['number']}"),
    }
    intent = payment_intents.requested(call, fields)
    invoice_payments.request(call, invoice, intent)


def _numbered(call: Call, owner: JsonObject, invoice: JsonObject) -> str:
    """The next number of the customer's; his currency and balance are settled with it."""
    sequence: int = owner["next_invoice_sequence"]
    call.change(owner, {"next_invoice_sequence": sequence + 1})
    patch: JsonObject = {"currency": owner["currency"] or invoice["currency"]}
    if invoice["ending_balance"] is not None:
        patch["balance"] = invoice["ending_balance"]
    call.change(owner, patch, "customer.updated")
    return f"{owner['invoice_prefix']}-{sequence:04d}"


def _due_date(call: Call, invoice: JsonObject) -> int | None:
    """An invoice that is sent is due: on its date, or in its number of days."""
    if invoice["collection_method"] != "send_invoice":
        return None
    due: int = invoice["due_date"] or call.now + (invoice["days_until_due"] or 0) * DAY_SECONDS
    return due


_METHOD_FIELDS: Final = ("default_payment_method", "default_source")

_OUT_OF_BAND: Final = "void_invoice"
"""Why the payment of an invoice is canceled that was paid otherwise. From memory: of the reasons
that Stripe gives by itself, the one that names the invoice."""
