"""Invoices (API reference, "Invoices"): their routes and fields; `invoicing` moves them."""

from typing import Final

from sandbox.emulator import coupons, invoice_lines, invoice_payments, tax_rates
from sandbox.emulator import invoice_life as invoicing
from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.errors import invalid
from sandbox.emulator.core.listing import Filter, page
from sandbox.emulator.core.nouns import Nested
from sandbox.emulator.core.params import (
    Anything,
    Boolean,
    Currency,
    Integer,
    ListOf,
    Metadata,
    OneOf,
    Reference,
    Span,
    Text,
    merged_metadata,
)
from sandbox.emulator.core.search import searched
from sandbox.emulator.core.values import DAY_SECONDS, JsonObject
from sandbox.emulator.core.verbs import act, delete, given, listed, listed_under, patched, retrieve
from sandbox.emulator.invoice_bulk import ADD_LINES, add_lines
from sandbox.emulator.invoice_previews import PREVIEW, preview, previewed_lines
from sandbox.emulator.older_shapes import older_invoice

_COLLECTION: Final = OneOf(values=("charge_automatically", "send_invoice"))
_STATUSES: Final = ("draft", "open", "paid", "uncollectible", "void")

_UPDATE: Final = {
    "account_tax_ids": Anything(clearable=True),
    "application_fee_amount": Integer(least=0),
    "auto_advance": Boolean(),
    "automatic_tax": Anything(),
    "automatically_finalizes_at": Integer(clearable=True),
    "collection_method": _COLLECTION,
    "custom_fields": Anything(clearable=True),
    "days_until_due": Integer(least=0),
    "default_payment_method": Reference(noun="payment_method", clearable=True),
    "default_source": Reference(noun="payment_method", clearable=True),
    "default_tax_rates": ListOf(kind=Text(), most=20, clearable=True, cleared=[]),
    "description": Text(clearable=True),
    "discounts": coupons.DISCOUNTS,
    "due_date": Integer(),
    "effective_at": Integer(clearable=True),
    "footer": Text(clearable=True),
    "issuer": Anything(),
    "metadata": Metadata(),
    "number": Text(clearable=True, most=26),
    "on_behalf_of": Text(clearable=True),
    "payment_settings": Anything(),
    "rendering": Anything(),
    "shipping_cost": Anything(clearable=True),
    "shipping_details": Anything(clearable=True),
    "statement_descriptor": Text(clearable=True, most=22),
    "transfer_data": Anything(clearable=True),
}

_CREATE: Final = {
    **_UPDATE,
    "currency": Currency(),
    "customer": Reference(noun="customer", required=True),
    "from_invoice": Anything(),
    "pending_invoice_items_behavior": OneOf(values=("exclude", "include")),
    "subscription": Reference(noun="subscription"),
}

_PAY: Final = {
    "forgive": Boolean(),
    "mandate": Text(clearable=True),
    "off_session": Boolean(),
    "paid_out_of_band": Boolean(),
    "payment_method": Text(),
    "source": Text(),
}

_WHEN_OPEN: Final = frozenset(
    {
        "auto_advance", "default_payment_method", "default_source", "due_date", "footer",
        "metadata", "payment_settings", "rendering",
    }
)  # fmt: skip
"""What can be changed once an invoice is finalized: from memory, but for `metadata`, which Stripe
takes, and `description`, which it refuses (recorded)."""

_DUE: Final = ("days_until_due", "due_date")

_IGNORED: Final = frozenset(
    {
        "account_tax_ids", "automatic_tax", "issuer", "payment_settings", "rendering",
        "shipping_cost", "shipping_details", "transfer_data",
    }
)  # fmt: skip
"""Parameters that are taken and change nothing."""


def _create(call: Call) -> JsonObject:
    params = call.params
    owner = call.find("customer", params["customer"], "customer")
    currency = params.get("currency") or owner["currency"] or call.account["default_currency"]
    fields = {name: value for name, value in given(call).items() if name not in _IGNORED}
    fields |= _resolved(call, fields)
    fields.pop("currency", None)
    _check_due(fields, fields, call.now)
    if fields.get("days_until_due") is not None and fields.get("due_date") is None:
        fields["due_date"] = call.now + fields["days_until_due"] * DAY_SECONDS
    subscription = params.get("subscription")
    if subscription is not None:
        fields["parent"] = invoicing.parent_of(call.find("subscription", subscription, "id"))
    items: list[JsonObject] = []
    lines: list[JsonObject] = []
    if params.get("pending_invoice_items_behavior") == "include" or subscription is not None:
        items, lines = invoicing.take_pending(call, owner["id"], currency, subscription)
    invoice = invoicing.draft(call, owner["id"], currency, fields, lines)
    invoicing.bind(call, items, invoice)
    return call.seen(invoice)


def _update(call: Call) -> JsonObject:
    invoice = call.target()
    if invoice["status"] != "draft":
        for name in call.params:
            if name not in _WHEN_OPEN:
                raise invalid("Finalized invoices can't be updated in this way", name)
    patch = patched(invoice, call.params, _UPDATE)
    patch = {name: value for name, value in patch.items() if name not in _IGNORED}
    patch |= _resolved(call, patch)
    patch |= _due(invoice, patch, call.now)
    if invoice["status"] == "draft":
        changed = {**invoice, **patch}
        lines = invoice_lines.of_invoice(call, invoice)
        patch |= invoice_lines.totals(call, changed, lines)
    return call.seen(call.change(invoice, patch, "invoice.updated"))


def _resolved(call: Call, fields: JsonObject) -> JsonObject:
    """The fields that hold other objects: tax rates whole, discounts by id."""
    found: JsonObject = {}
    if "default_tax_rates" in fields:
        found["default_tax_rates"] = tax_rates.found(call, fields["default_tax_rates"])
    if "discounts" in fields:
        found["discounts"] = coupons.discounts(call, fields["discounts"], {})
    if "metadata" in call.params:
        stored = call.shelf(NOUN).get(call.id)
        kept = {} if stored is None else stored["metadata"]
        found["metadata"] = merged_metadata(kept, call.params["metadata"])
    return found


def _due(invoice: JsonObject, patch: JsonObject, now: int) -> JsonObject:
    """When a changed invoice is due: one that is charged automatically again, never."""
    if patch.get("collection_method") == "charge_automatically":
        _check_due(patch, patch, now)
        return {"days_until_due": None, "due_date": None}
    _check_due({**invoice, **patch}, patch, now)
    if patch.get("days_until_due") is not None and "due_date" not in patch:
        return {"due_date": invoice["created"] + patch["days_until_due"] * DAY_SECONDS}
    return {}


def _check_due(fields: JsonObject, given: JsonObject, now: int) -> None:
    """ApiError 400 for an invoice to be sent that is never due, or a due date of another.

    Neither refusal has a code or a parameter (recorded). A due date in the past is refused with
    its parameter (told in the tracker of stripe-python; that an update is alike is supposed).
    """
    sent = fields.get("collection_method") == "send_invoice"
    if sent and all(fields.get(name) is None for name in _DUE):
        raise invalid("An invoice to be sent needs `due_date` or `days_until_due`.")
    if not sent and any(given.get(name) is not None for name in _DUE):
        raise invalid("Only an invoice to be sent takes `due_date` or `days_until_due`.")
    due = given.get("due_date")
    if due is not None and due <= now:
        rule = "Invalid timestamp: must be an integer Unix timestamp in the future."
        raise invalid(rule, "due_date")


def _finalize(call: Call) -> JsonObject:
    invoice = call.target()
    if "auto_advance" in call.params:
        call.change(invoice, {"auto_advance": call.params["auto_advance"]})
    invoicing.finalize(call, invoice)
    if invoice["auto_advance"]:
        later = call.now + invoicing.FINALIZES_AFTER_SECONDS
        call.later(invoice, later, lambda job: invoicing.attempt_quietly(job, job.target()))
    return call.seen(invoice)


def _pay(call: Call) -> JsonObject:
    return call.seen(invoicing.pay(call, call.target(), call.params))


def _void(call: Call) -> JsonObject:
    return call.seen(invoicing.void(call, call.target()))


def _mark_uncollectible(call: Call) -> JsonObject:
    return call.seen(invoicing.mark_uncollectible(call, call.target()))


def _send(call: Call) -> JsonObject:
    """Send the hosted invoice's address, finalizing a draft first."""
    invoice = call.target()
    if invoice["collection_method"] != "send_invoice":
        raise invalid("You can only send invoices with `collection_method=send_invoice`.")
    if invoice["status"] == "draft":
        # One with nothing due is paid by that (recorded); from memory, it is sent all the same.
        invoicing.finalize(call, invoice)
    elif invoice["status"] not in ("open", "uncollectible"):
        raise invalid("This invoice cannot be sent right now.")
    call.emit("invoice.sent", invoice)
    return call.seen(invoice)


def _before_deletion(call: Call) -> None:
    """Only a draft can go, and not one of a subscription; its items wait again."""
    invoice = call.target()
    if invoice["status"] != "draft" or invoice["parent"] is not None:
        raise invalid("You can only delete draft invoices that no subscription made.")
    for line in invoice_lines.of_invoice(call, invoice):
        call.shelf("line_item").remove(line["id"], None)
    for item in list(call.members(invoice, "invoiceitem", "invoice")):
        call.change(item, {"invoice": None})


def _of_subscription(invoice: JsonObject, subscription: str) -> bool:
    parent = invoice["parent"]
    return bool(
        parent is not None and parent["subscription_details"]["subscription"] == subscription
    )


def _due_within(invoice: JsonObject, span: tuple[int | None, int | None]) -> bool:
    first, end = span
    due = invoice["due_date"]
    return due is not None and (first is None or due >= first) and (end is None or due < end)


def _payments(call: Call, invoice: JsonObject) -> JsonObject:
    inner = call.on("invoice_payment", {"invoice": invoice["id"]})
    inner.path = "/v1/invoice_payments"
    return page(inner, inner.noun, {"invoice": Filter(Text())})


def _confirmation_secret(call: Call, invoice: JsonObject) -> JsonObject | None:
    """What the customer's browser confirms the payment of an open invoice with."""
    payment = invoice_payments.of_invoice(call, invoice)
    if payment is None or payment["status"] != "open":
        return None
    intent = call.find("payment_intent", payment["intent"], "expand")
    return {"client_secret": intent["client_secret"], "type": "payment_intent"}


def _view(invoice: JsonObject, _: int) -> JsonObject:
    """`days_until_due` is what the due date was asked for by; Stripe shows the date alone."""
    return {name: value for name, value in invoice.items() if name != "days_until_due"}


_LINES: Final = listed_under("/{id}/lines", "line_item", "invoice")


def _lines(call: Call) -> JsonObject:
    """The lines of an invoice, or of a preview."""
    return previewed_lines(call) or _LINES.run(call)


NOUN: Final = Noun(
    object="invoice",
    collection="invoices",
    prefix="in",
    other_prefixes=("upcoming",),
    fields={
        "account_country": None, "account_name": None, "account_tax_ids": None,
        "amount_due": 0, "amount_overpaid": 0, "amount_paid": 0, "amount_remaining": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0, "attempted": False,
        "auto_advance": False,
        "automatic_tax": {
            "disabled_reason": None, "enabled": False, "liability": None, "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": None,
        "billing_reason": "manual",
        "collection_method": "charge_automatically",
        "currency": "",
        "custom_fields": None,
        "customer": "", "customer_address": None, "customer_email": None, "customer_name": None,
        "customer_phone": None, "customer_shipping": None, "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "days_until_due": None,
        "default_payment_method": None, "default_source": None, "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": None, "effective_at": None, "ending_balance": None,
        "footer": None, "from_invoice": None,
        "hosted_invoice_url": None, "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None, "latest_revision": None,
        "metadata": {},
        "next_payment_attempt": None, "number": None, "on_behalf_of": None,
        "parent": None,
        "payment_settings": {
            "default_mandate": None, "payment_method_options": None, "payment_method_types": None,
        },
        "period_end": 0, "period_start": 0,
        "post_payment_credit_notes_amount": 0, "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None, "shipping_details": None,
        "starting_balance": 0, "statement_descriptor": None,
        "status": "draft",
        "status_transitions": {
            "finalized_at": None, "marked_uncollectible_at": None, "paid_at": None,
            "voided_at": None,
        },
        "subtotal": 0, "subtotal_excluding_tax": 0,
        "test_clock": None,
        "total": 0, "total_discount_amounts": [], "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [], "total_taxes": [],
        "webhooks_delivered_at": None,
    },
    nested={"lines": Nested("line_item", "invoice", "/v1/invoices/{id}/lines")},
    indexed=("customer", "status"),
    expandable=frozenset(
        {
            "customer", "default_payment_method", "discounts", "lines",
            "parent.subscription_details.subscription",
        }
    ),
    includes={"confirmation_secret": _confirmation_secret, "payments": _payments},
    searchable=frozenset(
        {"created", "currency", "customer", "number", "receipt_number", "status", "total"}
    ),
    sums=("amount_due", "amount_paid", "total"),
    reactions={
        "payment_intent.succeeded": invoicing.on_intent_succeeded,
        "payment_intent.payment_failed": invoicing.on_intent_failed,
        "payment_intent.requires_action": invoicing.on_action_required,
        "invoiceitem.created": invoicing.on_item,
        "invoiceitem.updated": invoicing.on_item,
        "invoiceitem.deleted": invoicing.on_item,
    },
    view=_view,
    older=older_invoice,
    actions=(
        Action("POST", "", _CREATE, _create),
        Action("POST", "/create_preview", PREVIEW, preview),
        retrieve(),
        Action("POST", "/{id}", _UPDATE, _update),
        delete(before=_before_deletion, tombstone=False),
        listed(
            {
                "collection_method": Filter(_COLLECTION),
                "customer": Filter(Reference(noun="customer")),
                "due_date": Filter(Span(), _due_within),
                "status": Filter(OneOf(values=_STATUSES)),
                "subscription": Filter(Reference(noun="subscription"), _of_subscription),
            }
        ),
        searched(),
        Action("GET", "/{id}/lines", _LINES.parameters, _lines),
        act("add_lines", ADD_LINES, add_lines),
        act("finalize", {"auto_advance": Boolean()}, _finalize),
        act("pay", _PAY, _pay),
        act("void", {}, _void),
        act("mark_uncollectible", {}, _mark_uncollectible),
        act("send", {}, _send),
    ),
)  # fmt: skip
