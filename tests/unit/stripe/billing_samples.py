"""Payloads of what is sold and billed, as Stripe writes them (API reference)."""

from typing import Any

from tests.unit.stripe.samples import CREATED, JsonObject


def coupon(**changes: Any) -> JsonObject:
    """A coupon as a read tells it; a change replaces a field."""
    return {
        "id": "COUPON",
        "object": "coupon",
        "amount_off": None,
        "applies_to": {"products": ["prod_1"]},
        "created": CREATED,
        "currency": None,
        "currency_options": {},
        "duration": "repeating",
        "duration_in_months": 3,
        "livemode": False,
        "max_redemptions": None,
        "metadata": {"campaign": "7"},
        "name": "A third off",
        "percent_off": 33.33,
        "redeem_by": None,
        "times_redeemed": 0,
        "valid": True,
        **changes,
    }


def discount(**changes: Any) -> JsonObject:
    """A discount of a subscription whose coupon is not expanded; a change replaces a field."""
    return {
        "id": "di_1",
        "object": "discount",
        "checkout_session": None,
        "customer": "cus_1",
        "end": CREATED + 20,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": None,
        "source": {"coupon": "COUPON", "type": "coupon"},
        "start": CREATED + 1,
        "subscription": "sub_1",
        "subscription_item": None,
        **changes,
    }


def invoice_line(**changes: Any) -> JsonObject:
    """The line of a subscription's item; a change replaces a field."""
    return {
        "id": "il_1",
        "object": "line_item",
        "amount": 2_000,
        "currency": "eur",
        "description": "2 x Seat",
        "discount_amounts": [{"amount": 100, "discount": "di_1"}],
        "invoice": "in_1",
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": None,
                "subscription": "sub_1",
                "subscription_item": "si_1",
            },
            "type": "subscription_item_details",
        },
        "period": {"end": CREATED + 2, "start": CREATED + 1},
        "pricing": {
            "price_details": {"price": "price_1", "product": "prod_1"},
            "type": "price_details",
            "unit_amount_decimal": "1000",
        },
        "quantity": 2,
        "quantity_decimal": "2",
        "subtotal": 2_000,
        "taxes": [{"amount": 380, "tax_behavior": "exclusive", "type": "tax_rate_details"}],
        **changes,
    }


def nested(*elements: JsonObject, url: str, more: bool = False) -> JsonObject:
    """A list inside an object."""
    return {"object": "list", "data": list(elements), "has_more": more, "url": url}


def invoice(*lines: JsonObject, more: bool = False, **changes: Any) -> JsonObject:
    """A paid invoice of a subscription; a change replaces a field."""
    return {
        "id": "in_1",
        "object": "invoice",
        "amount_due": 2_000,
        "amount_paid": 1_500,
        "amount_remaining": 500,
        "attempt_count": 1,
        "auto_advance": True,
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "created": CREATED,
        "currency": "eur",
        "customer": "cus_1",
        "customer_email": "ada@example.com",
        "default_payment_method": "pm_1",
        "default_source": "card_1",
        "description": "Thank you",
        "due_date": CREATED + 10,
        "footer": "Ada Ltd",
        "hosted_invoice_url": "https://invoice.example.com/in_1",
        "invoice_pdf": "https://invoice.example.com/in_1.pdf",
        "lines": nested(*lines, url="/v1/invoices/in_1/lines", more=more),
        "livemode": False,
        "metadata": {"order": "7"},
        "next_payment_attempt": CREATED + 7,
        "number": "A-0001",
        "parent": {
            "quote_details": None,
            "subscription_details": {"metadata": {"crm": "9"}, "subscription": "sub_1"},
            "type": "subscription_details",
        },
        "period_end": CREATED + 2,
        "period_start": CREATED + 1,
        "status": "paid",
        "status_transitions": {
            "finalized_at": CREATED + 3,
            "marked_uncollectible_at": CREATED + 4,
            "paid_at": CREATED + 5,
            "voided_at": CREATED + 6,
        },
        "subtotal": 1_900,
        "total": 2_100,
        "total_excluding_tax": 1_850,
        **changes,
    }


def invoice_payment(**changes: Any) -> JsonObject:
    """An invoice's payment by a payment intent; a change replaces a field."""
    return {
        "id": "inpay_1",
        "object": "invoice_payment",
        "amount_paid": 2_000,
        "amount_requested": 2_100,
        "created": CREATED,
        "currency": "eur",
        "invoice": "in_1",
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": "pi_1", "type": "payment_intent"},
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": CREATED + 1},
        **changes,
    }


def price(**changes: Any) -> JsonObject:
    """A monthly price; a change replaces a field."""
    return {
        "id": "price_1",
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": CREATED,
        "currency": "eur",
        "livemode": False,
        "lookup_key": "seat",
        "metadata": {"tier": "gold"},
        "nickname": "Seat",
        "product": "prod_1",
        "recurring": {
            "interval": "month",
            "interval_count": 3,
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        },
        "custom_unit_amount": None,
        "tax_behavior": "exclusive",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring",
        "unit_amount": 1_000,
        "unit_amount_decimal": "1000",
        **changes,
    }


def product(**changes: Any) -> JsonObject:
    """A product; a change replaces a field."""
    return {
        "id": "prod_1",
        "object": "product",
        "active": True,
        "created": CREATED,
        "default_price": "price_1",
        "description": "A seat",
        "images": ["https://files.example.com/seat.png"],
        "livemode": False,
        "marketing_features": [{"name": "Fast"}, {"name": "Warm"}],
        "metadata": {"sku": "7"},
        "name": "Seat",
        "statement_descriptor": "SEAT",
        "tax_code": "txcd_1",
        "type": "service",
        "unit_label": "seat",
        "updated": CREATED + 1,
        "url": "https://example.com/seat",
        **changes,
    }


def subscription_item(**changes: Any) -> JsonObject:
    """Two seats, the month after they were bought; a change replaces a field."""
    return {
        "id": "si_1",
        "object": "subscription_item",
        "created": CREATED,
        "current_period_end": CREATED + 2,
        "current_period_start": CREATED + 1,
        "metadata": {},
        "price": price(),
        "quantity": 2,
        "subscription": "sub_1",
        **changes,
    }


def subscription(*items: JsonObject, more: bool = False, **changes: Any) -> JsonObject:
    """A subscription that will end; a change replaces a field."""
    url = "/v1/subscription_items?subscription=sub_1"
    return {
        "id": "sub_1",
        "object": "subscription",
        "billing_mode": {"flexible": None, "type": "flexible"},
        "cancel_at": CREATED + 3,
        "cancel_at_period_end": True,
        "canceled_at": CREATED + 4,
        "cancellation_details": {
            "comment": None,
            "feedback": "too_expensive",
            "reason": "cancellation_requested",
        },
        "collection_method": "charge_automatically",
        "created": CREATED,
        "currency": "eur",
        "customer": "cus_1",
        "days_until_due": 14,
        "default_payment_method": "pm_1",
        "default_source": "card_1",
        "description": "Seats",
        "discounts": [discount(id="di_1"), discount(id="di_2")],
        "ended_at": CREATED + 5,
        "items": nested(*items, url=url, more=more),
        "latest_invoice": "in_1",
        "livemode": False,
        "metadata": {"crm": "9"},
        "pause_collection": {"behavior": "void", "resumes_at": CREATED + 9},
        "start_date": CREATED + 6,
        "status": "active",
        "trial_end": CREATED + 8,
        "trial_start": CREATED + 7,
        **changes,
    }
