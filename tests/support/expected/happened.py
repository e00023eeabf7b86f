"""What has happened on an account at Stripe, and what has to follow from it.

Worked out from the plain JSON of the emulator, without a line of the service's: where both agree,
they are right for different reasons.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]

FactKey: TypeAlias = tuple[str, str]
"""What has happened, and to what: `("invoice_paid", "in_1")`."""

FacetKey: TypeAlias = tuple[str, str, str]
"""Noun, id and name of a part of a derived half: `("charge", "ch_1", "settlement")`."""

Notice: TypeAlias = tuple[str, str]
"""A customer, and the words of a system message to his contact."""

_ENDED: Final = ("canceled", "incomplete_expired")
_CLOSED: Final = ("lost", "prevented", "warning_closed", "won")
_MOVEMENTS: Final = {
    "charge": ("charge", "settlement"),
    "refund": ("refund", "settlement"),
    "charge_failure": ("refund", "settlement"),
    "partial_capture_reversal": ("refund", "release"),
    "refund_failure": ("refund", "reversal"),
    "payout": ("payout", "settlement"),
    "payout_reversal": ("payout", "reversal"),
    "dispute": ("dispute", "settlement"),
    "dispute_reversal": ("dispute", "reversal"),
}
"""What a balance transaction tells about, by its reporting category; others tell about none."""


@dataclass(frozen=True, slots=True)
class Happened:
    """An account as Stripe shows it: its objects by noun, and its events, the oldest first."""

    objects: Mapping[str, Sequence[Json]]
    events: Sequence[Json]

    def facts(self) -> dict[FactKey, Json]:
        """Every business fact once, with what a billing event has to say of it."""
        return {
            **dict(self._invoice_facts()),
            **dict(self._payment_facts()),
            **dict(self._customer_facts()),
            **dict(self._payout_facts()),
        }

    def notices(self) -> dict[str, Notice]:
        """What is to be said about each invoice that was paid, by the invoice's id."""
        return {
            invoice["id"]: (invoice["customer"], _words(invoice))
            for invoice in self.objects["invoice"]
            if invoice["status"] == "paid" and invoice["amount_paid"] > 0
        }

    def facets(self) -> dict[FacetKey, Json]:
        """What other objects tell about charges, refunds, disputes and payouts."""
        facets: dict[FacetKey, Json] = {}
        for moved in self.objects["balance_transaction"]:
            if moved["reporting_category"] not in _MOVEMENTS:
                continue
            noun, name = _MOVEMENTS[moved["reporting_category"]]
            facets[noun, moved["source"], name] = {
                "balance_transaction": moved["id"],
                "amount": moved["amount"],
                "fee": moved["fee"],
                "net": moved["net"],
                "currency": moved["currency"],
                "exchange_rate": moved["exchange_rate"],
                "created": moved["created"] * 1000,
                "available_on": moved["available_on"] * 1000,
            }
            if moved["reporting_category"] in ("refund", "dispute"):
                earlier = facets.get((noun, moved["source"], "first"))
                if earlier is None or moved["created"] * 1000 < earlier["at"]:
                    facets[noun, moved["source"], "first"] = {
                        "at": moved["created"] * 1000,
                        "currency": moved["currency"],
                        "balance_transaction": moved["id"],
                    }
        facets |= {
            ("payment_intent", intent, "attempts"): _attempts(charges)
            for intent, charges in self._charges_by_intent().items()
        }
        invoices = {invoice["id"]: invoice for invoice in self.objects["invoice"]}
        paid_by = {
            payment["payment"]["payment_intent"]: invoices[payment["invoice"]]
            for payment in self.objects["invoice_payment"]
        }
        for charge in self.objects["charge"]:
            if charge["payment_intent"] in paid_by:
                invoice = paid_by[charge["payment_intent"]]
                facets["charge", charge["id"], "invoice"] = _attribution(invoice)
        return facets

    def _charges_by_intent(self) -> dict[str, list[Json]]:
        """The charges of each intent, the first one first."""
        by_intent: dict[str, list[Json]] = {}
        for charge in sorted(self.objects["charge"], key=lambda one: (one["created"], one["id"])):
            if charge["payment_intent"]:
                by_intent.setdefault(charge["payment_intent"], []).append(charge)
        return by_intent

    def kept(self) -> dict[FacetKey, Json]:
        """What is kept of the customers and products that were deleted: what they were called."""
        return {
            (gone["object"], gone["id"], "last"): {"name": gone["name"]}
            for kind in ("customer.deleted", "product.deleted")
            for gone in self.told(kind)
        }

    def changes(self) -> dict[str, Json]:
        """What each event of a subscription told, by the event's id."""
        return {
            event["id"]: {
                "type": event["type"],
                "at": event["created"],
                "subscription": found["id"],
                "status": found["status"],
                "items": [(one["price"]["id"], one["quantity"]) for one in found["items"]["data"]],
            }
            for event in self.events
            if (found := event["data"]["object"])["object"] == "subscription"
        }

    def told(self, kind: str) -> list[Json]:
        """The objects that events of a type told."""
        return [event["data"]["object"] for event in self.events if event["type"] == kind]

    def _invoice_facts(self) -> Iterator[tuple[FactKey, Json]]:
        for invoice in self.objects["invoice"]:
            if invoice["status"] == "paid":
                yield ("invoice_paid", invoice["id"]), _about(invoice, "amount_paid")
        for attempt in self.told("invoice.payment_failed"):
            subject = f"{attempt['id']}/{attempt['attempt_count']}"
            yield ("invoice_payment_failed", subject), _about(attempt, "amount_remaining")

    def _payment_facts(self) -> Iterator[tuple[FactKey, Json]]:
        for charge in self.objects["charge"]:
            if charge["status"] == "failed":
                yield ("payment_failed", charge["id"]), _about(charge, "amount")
            elif charge["captured"]:
                yield ("payment_succeeded", charge["id"]), _about(charge, "amount_captured")
        for refund in self.objects["refund"]:  # here each succeeds first, before it may fail
            yield ("refund_succeeded", refund["id"]), _about(refund, "amount")
            if refund["status"] == "failed":
                yield ("refund_failed", refund["id"]), _about(refund, "amount")
        for dispute in self.objects["dispute"]:
            yield ("dispute_opened", dispute["id"]), _about(dispute, "amount")
            if dispute["status"] in _CLOSED:
                yield ("dispute_closed", dispute["id"]), _about(dispute, "amount")

    def _customer_facts(self) -> Iterator[tuple[FactKey, Json]]:
        for customer in self.told("customer.created"):  # a deleted one is listed nowhere
            about = {**_about(customer), "customer": customer["id"]}
            yield ("customer_created", customer["id"]), about
        for subscription in self.objects["subscription"]:
            yield ("subscription_created", subscription["id"]), _about(subscription)
            if subscription["status"] in _ENDED:
                yield ("subscription_ended", subscription["id"]), _about(subscription)

    def _payout_facts(self) -> Iterator[tuple[FactKey, Json]]:
        for payout in self.told("payout.paid"):  # one that was paid may fail yet
            yield ("payout_paid", payout["id"]), _about(payout, "amount")
        for payout in self.objects["payout"]:
            if payout["status"] == "failed":
                yield ("payout_failed", payout["id"]), _about(payout, "amount")


def _about(found: Json, amount: str = "") -> Json:
    return {
        "object_id": found["id"],
        "customer": found.get("customer"),
        "amount": found[amount] if amount else None,
        "currency": found["currency"] if amount else None,
    }


def _attempts(charges: Sequence[Json]) -> Json:
    taken = [one["status"] == "succeeded" and one["amount_captured"] > 0 for one in charges]
    failed = [one["status"] == "failed" for one in charges]
    blocked = [(one["outcome"] or {}).get("type") == "blocked" for one in charges]
    declined = [bad and not by_stripe for bad, by_stripe in zip(failed, blocked, strict=True)]
    if any(taken):
        outcome = "paid"
    elif not all(failed):
        outcome = "open"
    else:
        outcome = "failed" if any(declined) else "blocked"
    return {
        "first_attempt": charges[0]["created"] * 1000,
        "currency": charges[0]["currency"],
        "outcome": outcome,
        "recovered": any(taken) and any(declined[: taken.index(True)]),
        "count": len(charges),
        "captured": sum(
            one["amount_captured"] for one, paid in zip(charges, taken, strict=True) if paid
        ),
    }


def _attribution(invoice: Json) -> Json:
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    lines = invoice["lines"]["data"]
    priced = [(line["pricing"] or {}).get("price_details") or {} for line in lines]
    return {
        "invoice": invoice["id"],
        "subscription": details.get("subscription"),
        "products": list(dict.fromkeys(one["product"] for one in priced if one.get("product"))),
        "billing_reason": invoice["billing_reason"],
        "subscription_metadata": details.get("metadata") or {},
    }


def _words(invoice: Json) -> str:
    units, cents = divmod(invoice["amount_paid"], 100)
    amount = f"{units:,}.{cents:02} {invoice['currency'].upper()}"
    return f"Payment received: {amount} for invoice {invoice['number']}."
