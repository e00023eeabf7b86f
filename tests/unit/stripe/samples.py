"""Payloads as Stripe writes them (API reference), in the release that the translation reads."""

import json
from typing import Any

JsonObject = dict[str, Any]

CREATED = 1_700_000_000
API_VERSION = "2026-10-28.endive"


def charge(**changes: Any) -> JsonObject:
    """A captured card charge; a change replaces a field."""
    return {
        "id": "ch_1",
        "object": "charge",
        "amount": 2_500,
        "amount_captured": 2_500,
        "amount_refunded": 100,
        "application_fee": None,
        "balance_transaction": "txn_1",
        "billing_details": {"address": None, "email": "payer@example.com"},
        "captured": True,
        "created": CREATED,
        "currency": "eur",
        "customer": "cus_1",
        "description": "Order 7",
        "disputed": False,
        "failure_code": None,
        "livemode": False,
        "metadata": {"order": "7"},
        "outcome": {
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "risk_score": 12,
            "type": "authorized",
        },
        "payment_intent": "pi_1",
        "payment_method": "pm_1",
        "payment_method_details": {"card": {"brand": "visa", "last4": "4242"}, "type": "card"},
        "refunded": False,
        "status": "succeeded",
        **changes,
    }


def customer(**changes: Any) -> JsonObject:
    """A customer with everything that we read; a change replaces a field."""
    return {
        "id": "cus_1",
        "object": "customer",
        "address": {
            "city": "Ulm",
            "country": "DE",
            "line1": "Gasse 1",
            "line2": None,
            "postal_code": "89073",
            "state": None,
        },
        "balance": 0,
        "created": CREATED,
        "currency": "eur",
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": "ada@example.com",
        "invoice_settings": {"custom_fields": None, "default_payment_method": "pm_1"},
        "livemode": False,
        "metadata": {"tier": "gold"},
        "name": "Ada",
        "phone": "+4912345",
        **changes,
    }


def refund(**changes: Any) -> JsonObject:
    """A succeeded refund; a change replaces a field."""
    return {
        "id": "re_1",
        "object": "refund",
        "amount": 100,
        "balance_transaction": "txn_2",
        "charge": "ch_1",
        "created": CREATED,
        "currency": "eur",
        "metadata": {},
        "payment_intent": "pi_1",
        "reason": "requested_by_customer",
        "status": "succeeded",
        **changes,
    }


def dispute(**changes: Any) -> JsonObject:
    """A dispute that has taken its amount and fee; a change replaces a field."""
    return {
        "id": "du_1",
        "object": "dispute",
        "amount": 2_500,
        "balance_transactions": [
            {"id": "txn_3", "object": "balance_transaction", "amount": -2_500, "fee": 1_500}
        ],
        "charge": "ch_1",
        "created": CREATED,
        "currency": "eur",
        "evidence": {"customer_name": None},
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {"case": "7"},
        "payment_intent": "pi_1",
        "reason": "fraudulent",
        "status": "needs_response",
        **changes,
    }


def payout(**changes: Any) -> JsonObject:
    """An automatic payout under way; a change replaces a field."""
    return {
        "id": "po_1",
        "object": "payout",
        "amount": 9_000,
        "arrival_date": CREATED + 86_400,
        "automatic": True,
        "balance_transaction": "txn_4",
        "created": CREATED,
        "currency": "eur",
        "description": "STRIPE PAYOUT",
        "destination": "ba_1",
        "application_fee_amount": None,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "reconciliation_status": "in_progress",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "trace_id": {"status": "pending", "value": None},
        "status": "in_transit",
        "type": "bank_account",
        **changes,
    }


def payment_intent(**changes: Any) -> JsonObject:
    """A payment intent that failed and was given up; a change replaces a field."""
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 2_500,
        "amount_received": 100,
        "canceled_at": CREATED + 1,
        "cancellation_reason": "abandoned",
        "capture_method": "automatic",
        "client_secret": "pi_1_secret_x",
        "created": CREATED,
        "currency": "eur",
        "customer": "cus_1",
        "description": "Order 7",
        "last_payment_error": {
            "charge": "ch_1",
            "code": "card_declined",
            "decline_code": "insufficient_funds",
            "type": "card_error",
        },
        "latest_charge": "ch_1",
        "livemode": False,
        "metadata": {"order": "7"},
        "payment_method": "pm_1",
        "status": "canceled",
        **changes,
    }


def balance_transaction(**changes: Any) -> JsonObject:
    """What a charge in pounds brought to a balance in euros; a change replaces a field."""
    return {
        "id": "txn_1",
        "object": "balance_transaction",
        "amount": 2_500,
        "available_on": CREATED + 86_400,
        "balance_type": "payments",
        "created": CREATED,
        "currency": "eur",
        "description": "Order 7",
        "exchange_rate": 1.1704,
        "fee": 103,
        "fee_details": [{"amount": 103, "currency": "eur", "type": "stripe_fee"}],
        "net": 2_397,
        "reporting_category": "charge",
        "source": "ch_1",
        "status": "pending",
        "type": "charge",
        **changes,
    }


def account(**changes: Any) -> JsonObject:
    """A connected account that is open for business; a change replaces a field."""
    return {
        "id": "acct_1",
        "object": "account",
        "business_profile": {"mcc": None, "name": "Ada's", "url": None},
        "capabilities": {"card_payments": "active", "transfers": "pending"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": "DE",
        "created": CREATED,
        "default_currency": "eur",
        "details_submitted": True,
        "email": "ada@example.com",
        "metadata": {},
        "payouts_enabled": False,
        "requirements": {"currently_due": [], "disabled_reason": None},
        "type": "standard",
        **changes,
    }


def without(payload: JsonObject, *names: str) -> JsonObject:
    """The payload without some fields."""
    return {name: value for name, value in payload.items() if name not in names}


def event(
    of: JsonObject, type_: str, *, previous: JsonObject | None = None, **changes: Any
) -> JsonObject:
    """An event of a connected account about an object; a change replaces a field.

    `previous` is what the changed attributes were.
    """
    told = {} if previous is None else {"previous_attributes": previous}
    return {
        "id": "evt_1",
        "object": "event",
        "account": "acct_1",
        "api_version": API_VERSION,
        "created": CREATED + 5,
        "data": {"object": of, **told},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type_,
        **changes,
    }


def thin_event(**changes: Any) -> JsonObject:
    """A thin event of a connected account, about a customer; a change replaces a field."""
    return {
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": "v1.customer.updated",
        "livemode": False,
        "created": "2026-11-28T19:00:00.123Z",
        "context": "acct_1",
        "related_object": {"id": "cus_1", "type": "customer", "url": "/v1/customers/cus_1"},
        **changes,
    }


def encoded(payload: JsonObject) -> bytes:
    """The bytes that Stripe sends: indented by two."""
    return json.dumps(payload, indent=2).encode()
