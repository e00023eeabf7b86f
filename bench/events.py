"""Signed events of the usual size (5.3 KB), made up for the benchmarks."""

import hashlib
import hmac
import json
import time
from typing import Any

SECRET = "whsec_bench_connect_secret"
STRIPE_ACCOUNT = "acct_1Bench"


def charge_event(number: int, *, created: int = 1_780_000_000) -> bytes:
    """The body of a `charge.succeeded` event about a charge of its own."""
    charge: dict[str, Any] = {
        "id": f"ch_bench{number:08d}",
        "object": "charge",
        "amount": 1_000 + number % 9_000,
        "amount_captured": 1_000 + number % 9_000,
        "amount_refunded": 0,
        "balance_transaction": f"txn_bench{number:08d}",
        "billing_details": {"address": {"country": "US"}, "email": None, "name": None},
        "captured": True,
        "created": created + number // 10,
        "currency": "usd",
        "customer": f"cus_bench{number % 500:06d}",
        "description": "A charge of the benchmark",
        "disputed": False,
        "failure_code": None,
        "livemode": False,
        "metadata": {f"key_{i}": "x" * 120 for i in range(26)},
        "outcome": {"type": "authorized", "reason": None, "risk_level": "normal"},
        "paid": True,
        "payment_intent": f"pi_bench{number:08d}",
        "payment_method": f"pm_bench{number:08d}",
        "payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": "4242"}},
        "receipt_url": "https://pay.example.com/receipts/" + "r" * 160,
        "refunded": False,
        "status": "succeeded",
    }
    event = {
        "id": f"evt_bench{number:08d}",
        "object": "event",
        "account": STRIPE_ACCOUNT,
        "api_version": "2026-10-28.endive",
        "created": created + number // 10,
        "data": {"object": charge},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": "charge.succeeded",
    }
    return json.dumps(event, indent=2).encode()


def signature(body: bytes, *, at: float | None = None) -> str:
    """The Stripe-Signature header of a body."""
    timestamp = int(time.time() if at is None else at)
    mac = hmac.new(SECRET.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"t={timestamp},v1={mac.hexdigest()}"
