"""Business facts: what an event means, and when it is worth acting on.

Several events tell one fact (`invoice.paid` and `invoice.payment_succeeded`), and one event may
tell none. A fact is named by what happened and to what, never by the event, so that whatever
follows from it happens once.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from domain.charges import Charge
from domain.customers import Customer
from domain.disputes import Dispute
from domain.invoices import Invoice
from domain.mirror import MirroredObject
from domain.money import Money
from domain.payouts import Payout
from domain.refunds import Refund
from domain.subscriptions import Subscription

CONNECTION_SLACK: Final = dt.timedelta(minutes=10)
"""How long before `connected_at` a fact may be and still be the connection's.

The owner authorises at Stripe, whose events start then, before the link is stored here; and Stripe
tells whole seconds of its own clock.
"""

DEFAULT_MAX_AGE: Final = dt.timedelta(days=7)
"""Older facts have no effects: Stripe delivers for three days, what is later is history."""


class FactName(StrEnum):
    """What may have happened. WatchEvents and the ids of jobs use these names."""

    INVOICE_PAID = "invoice_paid"
    INVOICE_PAYMENT_FAILED = "invoice_payment_failed"
    PAYMENT_SUCCEEDED = "payment_succeeded"
    PAYMENT_FAILED = "payment_failed"
    REFUND_SUCCEEDED = "refund_succeeded"
    REFUND_FAILED = "refund_failed"
    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_CLOSED = "dispute_closed"
    CUSTOMER_CREATED = "customer_created"
    SUBSCRIPTION_CREATED = "subscription_created"
    SUBSCRIPTION_ENDED = "subscription_ended"
    PAYOUT_PAID = "payout_paid"
    PAYOUT_FAILED = "payout_failed"


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened once.

    `subject` identifies it among the facts of its name: the object's id, and more where it may
    happen to an object again. `object_id` is that of the object itself.
    """

    name: FactName
    subject: str
    object_id: str
    customer: str | None = None
    amount: Money | None = None


def facts_of(
    event_type: str, found: MirroredObject, befores: Sequence[MirroredObject | None] = ()
) -> tuple[Fact, ...]:
    """The business facts that an event of a type tells of an object; total, most tell none.

    `befores` are the states that the event says it followed, as far as it does.

    The type alone does not do: an invoice may be paid in parts, each a `payment_succeeded`. Nor
    does the object: a later edit of a paid invoice shows it paid too.
    """
    match found:
        case Invoice():
            return _invoice_facts(event_type, found)
        case Charge():
            return _charge_facts(event_type, found)
        case Refund():
            return _refund_facts(event_type, found, befores)
        case Dispute():
            return _dispute_facts(event_type, found)
        case Customer() if event_type == "customer.created":
            return (Fact(FactName.CUSTOMER_CREATED, found.id, found.id, found.id),)
        case Subscription():
            return _subscription_facts(event_type, found)
        case Payout():
            return _payout_facts(event_type, found)
        case _:
            return ()


def effects_since(
    *, connected_at: dt.datetime, now: dt.datetime, max_age: dt.timedelta = DEFAULT_MAX_AGE
) -> dt.datetime:
    """From when on facts have effects: not those from before the connection, not too old ones."""
    return max(connected_at - CONNECTION_SLACK, now - max_age)


def payment_notice(invoice: Invoice) -> str:
    """The words of the system message about a paid invoice. No name, no address of mail."""
    named = f"invoice {invoice.number}" if invoice.number else "an invoice"
    return f"Payment received: {invoice.amount_paid.formatted()} for {named}."


def fact_payload(fact: Fact, stripe_account: str, occurred_at_ms: int) -> Mapping[str, Any]:
    """A fact as the payload of a job: ids and amounts, no personal data."""
    return {
        "fact": fact.name.value,
        "stripe_account": stripe_account,
        "object_id": fact.object_id,
        "customer": fact.customer,
        "amount": None if fact.amount is None else fact.amount.amount,
        "currency": None if fact.amount is None else fact.amount.currency,
        "occurred_at_ms": occurred_at_ms,
    }


def _invoice_facts(event_type: str, invoice: Invoice) -> tuple[Fact, ...]:
    if event_type in ("invoice.paid", "invoice.payment_succeeded"):
        if invoice.status != "paid":
            return ()
        return (_fact(FactName.INVOICE_PAID, invoice, invoice.amount_paid),)
    if event_type == "invoice.payment_failed":
        name = FactName.INVOICE_PAYMENT_FAILED
        attempt = f"{invoice.id}/{invoice.attempt_count or 0}"
        # Told late, an invoice may be paid by now: what then failed was no payment of nothing.
        remaining = invoice.amount_remaining
        amount = remaining if remaining.amount else invoice.amount_due
        return (Fact(name, attempt, invoice.id, invoice.customer, amount),)
    return ()


def _charge_facts(event_type: str, charge: Charge) -> tuple[Fact, ...]:
    # What is only authorised has succeeded too, but is not paid before it is captured.
    taken = event_type in ("charge.succeeded", "charge.captured")
    if taken and charge.status == "succeeded" and charge.captured:
        return (_fact(FactName.PAYMENT_SUCCEEDED, charge, charge.amount_captured),)
    if event_type == "charge.failed":
        return (_fact(FactName.PAYMENT_FAILED, charge, charge.amount),)
    return ()


def _refund_facts(
    event_type: str, refund: Refund, befores: Sequence[MirroredObject | None]
) -> tuple[Fact, ...]:
    known = ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated")
    names = {"succeeded": FactName.REFUND_SUCCEEDED, "failed": FactName.REFUND_FAILED}
    name = names.get(refund.status or "")
    if event_type not in known or name is None:
        return ()
    if any(isinstance(one, Refund) and one.status == refund.status for one in befores):
        return ()  # something else was edited, maybe long after
    return (Fact(name, refund.id, refund.id, None, refund.amount),)


def _dispute_facts(event_type: str, dispute: Dispute) -> tuple[Fact, ...]:
    names = {
        "charge.dispute.created": FactName.DISPUTE_OPENED,
        "charge.dispute.closed": FactName.DISPUTE_CLOSED,
    }
    name = names.get(event_type)
    return () if name is None else (Fact(name, dispute.id, dispute.id, None, dispute.amount),)


def _subscription_facts(event_type: str, subscription: Subscription) -> tuple[Fact, ...]:
    facts = []
    if event_type == "customer.subscription.created":
        facts.append(FactName.SUBSCRIPTION_CREATED)
    if event_type == "customer.subscription.deleted" or (
        event_type == "customer.subscription.updated"
        and subscription.status == "incomplete_expired"
    ):
        facts.append(FactName.SUBSCRIPTION_ENDED)
    return tuple(_fact(name, subscription, None) for name in facts)


def _payout_facts(event_type: str, payout: Payout) -> tuple[Fact, ...]:
    names = {"payout.paid": FactName.PAYOUT_PAID, "payout.failed": FactName.PAYOUT_FAILED}
    name = names.get(event_type)
    return () if name is None else (Fact(name, payout.id, payout.id, None, payout.amount),)


def _fact(name: FactName, found: Invoice | Charge | Subscription, amount: Money | None) -> Fact:
    return Fact(name, found.id, found.id, found.customer, amount)
