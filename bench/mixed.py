"""Signed events of four nouns, as Stripe tells them of live objects, made up for the benchmarks.

Of each charge, customer, subscription and invoice two events are told: that it is made, and later,
when its row is long there, an update, with the `previous_attributes` that such an update has.
"""

import json
from typing import Any, Final

from bench.events import STRIPE_ACCOUNT

Document = dict[str, Any]

CREATED: Final = 1_780_000_000
KINDS: Final = 8
"""How many events one round has: one object of each noun is made, another one is changed."""

LATER: Final = 100
"""An object is changed so many rounds after it was made: no batch has both of its events."""

FACTS: Final = 3
"""How many events of a round are billing events: a payment, a new customer, a new subscription."""

_MONTH: Final = 2_592_000
_METADATA: Final = {f"key_{i}": "x" * 60 for i in range(8)}


def mixed_event(number: int, *, since: int = CREATED) -> bytes:
    """The body of an event; KINDS of them on end are a round.

    Each round happens a second after the one before, the first one LATER seconds after `since`.
    """
    played, kind = divmod(number, KINDS)
    noun, changed = kind % len(_OBJECTS), kind >= len(_OBJECTS)
    mark = played if changed else played + LATER
    told: Document = _OBJECTS[noun](f"bench{mark:08d}", since + mark)
    type_, previous = _CREATED[noun], None
    if changed:
        type_, now, previous = _CHANGES[noun]
        told |= now
    data = {"object": told} | ({} if previous is None else {"previous_attributes": previous})
    event = {
        "id": f"evt_mixed{number:08d}",
        "object": "event",
        "account": STRIPE_ACCOUNT,
        "api_version": "2026-10-28.endive",
        "created": since + played + LATER,
        "data": data,
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type_,
    }
    return json.dumps(event, indent=2).encode()


def _charge(mark: str, created: int) -> Document:
    return {
        "id": f"ch_{mark}",
        "object": "charge",
        "amount": 2_500,
        "amount_captured": 2_500,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": {"address": _ADDRESS, "email": None, "name": None, "phone": None},
        "calculated_statement_descriptor": "BENCH",
        "captured": True,
        "created": created,
        "currency": "usd",
        "customer": f"cus_{mark}",
        "description": "Subscription update",
        "destination": None,
        "dispute": None,
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": _METADATA,
        "on_behalf_of": None,
        "outcome": {
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "risk_score": 12,
            "seller_message": "Payment complete.",
            "type": "authorized",
        },
        "paid": True,
        "payment_intent": f"pi_{mark}",
        "payment_method": f"pm_{mark}",
        "payment_method_details": {
            "card": {
                "amount_authorized": 2_500,
                "brand": "visa",
                "checks": {"address_line1_check": None, "cvc_check": "pass"},
                "country": "US",
                "exp_month": 8,
                "exp_year": 2031,
                "fingerprint": "benchbenchbench1",
                "funding": "credit",
                "last4": "4242",
                "network": "visa",
                "three_d_secure": None,
                "wallet": None,
            },
            "type": "card",
        },
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": "https://pay.example.com/receipts/" + "r" * 160,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded",
        "transfer_data": None,
        "transfer_group": None,
    }


def _customer(mark: str, created: int) -> Document:
    return {
        "id": f"cus_{mark}",
        "object": "customer",
        "address": _ADDRESS,
        "balance": 0,
        "created": created,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": "A customer of the benchmark",
        "discount": None,
        "email": f"{mark}@example.com",
        "invoice_prefix": "BENCH",
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": _METADATA,
        "name": f"Ada of {mark}",
        "next_invoice_sequence": 1,
        "phone": "+12125550100",
        "preferred_locales": ["en"],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def _subscription(mark: str, created: int) -> Document:
    return {
        "id": f"sub_{mark}",
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": created,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": created,
        "currency": "usd",
        "customer": f"cus_{mark}",
        "days_until_due": None,
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": {
            "object": "list",
            "data": [
                {
                    "id": f"si_{mark}",
                    "object": "subscription_item",
                    "billing_thresholds": None,
                    "created": created,
                    "current_period_end": created + _MONTH,
                    "current_period_start": created,
                    "discounts": [],
                    "metadata": {},
                    "price": _PRICE,
                    "quantity": 1,
                    "subscription": f"sub_{mark}",
                    "tax_rates": [],
                }
            ],
            "has_more": False,
            "total_count": 1,
            "url": f"/v1/subscription_items?subscription=sub_{mark}",
        },
        "latest_invoice": f"in_{mark}",
        "livemode": False,
        "metadata": _METADATA,
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": created,
        "status": "incomplete",
        "test_clock": None,
        "transfer_data": None,
        "trial_end": None,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": None,
    }


def _invoice(mark: str, created: int) -> Document:
    details = {"metadata": _METADATA, "subscription": f"sub_{mark}"}
    return {
        "id": f"in_{mark}",
        "object": "invoice",
        "account_country": "US",
        "account_name": "Bench",
        "amount_due": 2_500,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": 2_500,
        "amount_shipping": 0,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {"enabled": False, "liability": None, "status": None},
        "automatically_finalizes_at": None,
        "billing_reason": "subscription_create",
        "collection_method": "charge_automatically",
        "created": created,
        "currency": "usd",
        "custom_fields": None,
        "customer": f"cus_{mark}",
        "customer_address": _ADDRESS,
        "customer_email": f"{mark}@example.com",
        "customer_name": f"Ada of {mark}",
        "customer_phone": None,
        "customer_shipping": None,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": None,
        "effective_at": created,
        "ending_balance": 0,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": "https://invoice.example.com/i/" + "h" * 120,
        "invoice_pdf": "https://pay.example.com/invoice/" + "p" * 120,
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": {
            "object": "list",
            "data": [
                {
                    "id": f"il_{mark}",
                    "object": "line_item",
                    "amount": 2_500,
                    "currency": "usd",
                    "description": "1 x Plan (at $25.00 / month)",
                    "discount_amounts": [],
                    "discountable": True,
                    "discounts": [],
                    "invoice": f"in_{mark}",
                    "livemode": False,
                    "metadata": _METADATA,
                    "parent": {
                        "invoice_item_details": None,
                        "subscription_item_details": {
                            "invoice_item": None,
                            "proration": False,
                            "proration_details": {"credited_items": None},
                            "subscription": f"sub_{mark}",
                            "subscription_item": f"si_{mark}",
                        },
                        "type": "subscription_item_details",
                    },
                    "period": {"end": created + _MONTH, "start": created},
                    "pretax_credit_amounts": [],
                    "pricing": {
                        "price_details": {"price": "price_bench", "product": "prod_bench"},
                        "type": "price_details",
                        "unit_amount_decimal": "2500",
                    },
                    "quantity": 1,
                    "taxes": [],
                }
            ],
            "has_more": False,
            "total_count": 1,
            "url": f"/v1/invoices/in_{mark}/lines",
        },
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": None,
        "number": f"BENCH-{mark}",
        "on_behalf_of": None,
        "parent": {
            "quote_details": None,
            "subscription_details": details,
            "type": "subscription_details",
        },
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": created,
        "period_start": created,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": 0,
        "statement_descriptor": None,
        "status": "open",
        "status_transitions": {
            "finalized_at": created,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": 2_500,
        "subtotal_excluding_tax": 2_500,
        "test_clock": None,
        "total": 2_500,
        "total_discount_amounts": [],
        "total_excluding_tax": 2_500,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": created,
    }


_ADDRESS: Final = {
    "city": "New York",
    "country": "US",
    "line1": "1 Main Street",
    "line2": None,
    "postal_code": "10001",
    "state": "NY",
}
_PRICE: Final = {
    "id": "price_bench",
    "object": "price",
    "active": True,
    "billing_scheme": "per_unit",
    "created": CREATED,
    "currency": "usd",
    "custom_unit_amount": None,
    "livemode": False,
    "lookup_key": None,
    "metadata": {},
    "nickname": None,
    "product": "prod_bench",
    "recurring": {
        "interval": "month",
        "interval_count": 1,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    },
    "tax_behavior": "unspecified",
    "tiers_mode": None,
    "transform_quantity": None,
    "type": "recurring",
    "unit_amount": 2_500,
    "unit_amount_decimal": "2500",
}

_OBJECTS: Final = (_charge, _customer, _subscription, _invoice)
_CREATED: Final = (
    "charge.succeeded",
    "customer.created",
    "customer.subscription.created",
    "invoice.created",
)
_CHANGES: Final[tuple[tuple[str, Document, Document], ...]] = (
    (
        "charge.updated",
        {"balance_transaction": "txn_bench"},
        {"balance_transaction": None},
    ),
    (
        "customer.updated",
        {"currency": "usd", "metadata": _METADATA | {"plan": "gold"}},
        {"currency": None, "metadata": {"plan": None}},
    ),
    (
        "customer.subscription.updated",
        {"status": "active", "default_payment_method": "pm_bench"},
        {"status": "incomplete", "default_payment_method": None},
    ),
    (
        "invoice.updated",
        {
            "amount_paid": 2_500,
            "amount_remaining": 0,
            "attempt_count": 1,
            "attempted": True,
            "status": "paid",
            "status_transitions": {
                "finalized_at": CREATED,
                "marked_uncollectible_at": None,
                "paid_at": CREATED,
                "voided_at": None,
            },
        },
        {
            "amount_paid": 0,
            "amount_remaining": 2_500,
            "attempt_count": 0,
            "attempted": False,
            "status": "open",
            "status_transitions": {"paid_at": None},
        },
    ),
)
