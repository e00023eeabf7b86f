"""Business facts, jobs and field mappings: the domain's part of the effects."""

import datetime as dt
from dataclasses import replace
from typing import Any, Final

import pytest

from domain.charges import Charge
from domain.contacts import ContactSync, email_forms
from domain.customers import Address, Customer
from domain.disputes import Dispute
from domain.effects import (
    CONNECTION_SLACK,
    Fact,
    FactName,
    effects_since,
    fact_payload,
    facts_of,
    payment_notice,
)
from domain.invoices import Invoice
from domain.jobs import Job, is_watched, job_id
from domain.money import Money
from domain.payouts import Payout
from domain.products import Product
from domain.refunds import Refund
from domain.subscriptions import Subscription

NOON: Final = dt.datetime(2026, 11, 2, 12, tzinfo=dt.UTC)
USD: Final = Money(500, "usd")
NOTHING: Final = Money(0, "usd")

CHARGE: Final = Charge(
    "ch_1", NOON, USD, USD, NOTHING, "succeeded", captured=True, refunded=False, disputed=False,
    customer="cus_1",
)  # fmt: skip
INVOICE: Final = Invoice(
    "in_1", NOON, "usd", "paid", USD, USD, USD, NOTHING, "cus_1", number="A-1", attempt_count=2
)
REFUND: Final = Refund("re_1", NOON, USD, "succeeded")
DISPUTE: Final = Dispute("dp_1", NOON, USD, "needs_response")
SUBSCRIPTION: Final = Subscription("sub_1", NOON, "cus_1", "active")
PAYOUT: Final = Payout("po_1", NOON, USD, "paid", NOON, automatic=True)
CUSTOMER: Final = Customer("cus_1", NOON)

EXPIRED: Final = replace(SUBSCRIPTION, status="incomplete_expired")
OPEN: Final = replace(INVOICE, status="open", amount_paid=NOTHING, amount_remaining=USD)


@pytest.mark.parametrize(
    ("event_type", "found", "name", "subject"),
    [
        ("invoice.paid", INVOICE, FactName.INVOICE_PAID, "in_1"),
        ("invoice.payment_succeeded", INVOICE, FactName.INVOICE_PAID, "in_1"),
        ("invoice.payment_failed", OPEN, FactName.INVOICE_PAYMENT_FAILED, "in_1/2"),
        ("charge.succeeded", CHARGE, FactName.PAYMENT_SUCCEEDED, "ch_1"),
        ("charge.captured", CHARGE, FactName.PAYMENT_SUCCEEDED, "ch_1"),
        ("charge.failed", replace(CHARGE, status="failed"), FactName.PAYMENT_FAILED, "ch_1"),
        ("refund.created", REFUND, FactName.REFUND_SUCCEEDED, "re_1"),
        ("charge.refund.updated", REFUND, FactName.REFUND_SUCCEEDED, "re_1"),
        ("refund.failed", replace(REFUND, status="failed"), FactName.REFUND_FAILED, "re_1"),
        ("charge.dispute.created", DISPUTE, FactName.DISPUTE_OPENED, "dp_1"),
        ("charge.dispute.closed", DISPUTE, FactName.DISPUTE_CLOSED, "dp_1"),
        ("customer.created", CUSTOMER, FactName.CUSTOMER_CREATED, "cus_1"),
        ("customer.subscription.created", SUBSCRIPTION, FactName.SUBSCRIPTION_CREATED, "sub_1"),
        ("customer.subscription.deleted", SUBSCRIPTION, FactName.SUBSCRIPTION_ENDED, "sub_1"),
        ("customer.subscription.updated", EXPIRED, FactName.SUBSCRIPTION_ENDED, "sub_1"),
        ("payout.paid", PAYOUT, FactName.PAYOUT_PAID, "po_1"),
        ("payout.failed", PAYOUT, FactName.PAYOUT_FAILED, "po_1"),
    ],
)
def test_what_events_mean(event_type: str, found: Any, name: FactName, subject: str) -> None:
    (fact,) = facts_of(event_type, found)
    assert (fact.name, fact.subject, fact.object_id) == (name, subject, found.id)


def test_a_refund_succeeds_once_however_often_it_is_edited() -> None:
    pending = replace(REFUND, status="pending")
    assert len(facts_of("refund.updated", REFUND, [pending])) == 1
    assert facts_of("refund.updated", REFUND, [REFUND]) == ()


def test_a_failure_that_is_told_after_the_payment_was_one_of_the_amount_due() -> None:
    (fact,) = facts_of("invoice.payment_failed", INVOICE)
    assert fact.amount == USD
    parted = replace(OPEN, amount_remaining=Money(200, "usd"), amount_paid=Money(300, "usd"))
    (fact,) = facts_of("invoice.payment_failed", parted)
    assert fact.amount == Money(200, "usd")


@pytest.mark.parametrize(
    ("event_type", "found"),
    [
        ("invoice.updated", INVOICE),  # an edit of what was paid long ago
        ("invoice.payment_succeeded", OPEN),  # one of several payments
        ("charge.succeeded", replace(CHARGE, captured=False)),  # authorised
        ("charge.updated", CHARGE),
        ("refund.created", replace(REFUND, status="pending")),
        ("refund.created", replace(REFUND, status=None)),
        ("charge.dispute.updated", DISPUTE),
        ("customer.updated", CUSTOMER),
        ("customer.subscription.updated", SUBSCRIPTION),
        ("payout.updated", PAYOUT),
        ("product.created", Product("prod_1", NOON, "P", active=True)),
        ("made.up", INVOICE),
    ],
)
def test_what_means_nothing(event_type: str, found: Any) -> None:
    assert facts_of(event_type, found) == ()


@pytest.mark.parametrize(
    ("occurred", "connected", "wanted"),
    [
        (NOON, NOON, True),
        (NOON - CONNECTION_SLACK, NOON, True),
        (NOON - CONNECTION_SLACK - dt.timedelta(seconds=1), NOON, False),
        (NOON - dt.timedelta(days=2), NOON - dt.timedelta(days=9), True),
        (NOON - dt.timedelta(days=2, seconds=1), NOON - dt.timedelta(days=9), False),
    ],
)
def test_effects_are_for_what_is_recent_and_of_the_connection(
    occurred: dt.datetime, connected: dt.datetime, wanted: bool
) -> None:
    since = effects_since(connected_at=connected, now=NOON, max_age=dt.timedelta(days=2))
    assert (occurred >= since) is wanted


@pytest.mark.parametrize(
    ("currency", "number", "words"),
    [
        ("usd", "A-1", "Payment received: 1,234.50 USD for invoice A-1."),
        ("jpy", None, "Payment received: 123,450 JPY for an invoice."),
    ],
)
def test_the_words_of_a_payment_notice(currency: str, number: str | None, words: str) -> None:
    paid, nothing = Money(123_450, currency), Money(0, currency)
    found = Invoice("in_1", NOON, currency, "paid", paid, paid, paid, nothing, number=number)
    assert payment_notice(found) == words


def test_a_fact_as_payload_has_ids_and_amounts() -> None:
    fact = Fact(FactName.PAYOUT_PAID, "po_1", "po_1", None, USD)
    assert fact_payload(fact, "acct_1", 5) == {
        "fact": "payout_paid",
        "stripe_account": "acct_1",
        "object_id": "po_1",
        "customer": None,
        "amount": 500,
        "currency": "usd",
        "occurred_at_ms": 5,
    }
    assert fact_payload(replace(fact, amount=None), "acct_1", 5)["currency"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"id": "a b"},
        {"id": "a\r\nNats-Msg-Id: b"},
        {"id": "é"},
        {"id": "x" * 513},
        {"kind": "notice"},
        {"kind": "support.*"},
        {"kind": "support.>"},
        {"kind": "Support.notice"},
        {"kind": "a." + "b" * 80},
        {"account": ""},
    ],
)
def test_a_job_that_no_transport_takes_is_refused(wrong: dict[str, str]) -> None:
    fields: Any = {"id": "job-1", "kind": "support.payment_notice", "account": "acme"} | wrong
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Job(**fields, created_at=NOON)


def test_a_jobs_id_names_the_fact_and_its_kind_the_transport() -> None:
    assert job_id("events.a", "acme", "a", "in_1") != job_id("support.a", "acme", "a", "in_1")
    assert is_watched("events.invoice_paid")
    assert not is_watched("eventsource.x")


def test_a_mapping_fills_fields_from_the_customer() -> None:
    settings = ContactSync(
        "acme", {"email": "email", "city": "address.city", "vip": "metadata.tier", "n": "name"}
    )
    customer = Customer(
        "cus_1", NOON, email="a@x.test", address=Address(city="Ulm"), metadata={"tier": "gold"}
    )
    assert settings.fields_of(customer) == {"email": "a@x.test", "city": "Ulm", "vip": "gold"}
    assert settings.fields_of(CUSTOMER) == {}


@pytest.mark.parametrize(
    "mapping",
    [
        {"account": "name"},
        {"billing_filled": "name"},
        {"id": "name"},
        {"a.b": "name"},
        {"$set": "name"},
        {"name": "password"},
        {"name": "address.planet"},
        {"name": "metadata."},
        {f"f{number}": "name" for number in range(51)},
    ],
)
def test_a_mapping_that_is_none_is_refused(mapping: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="mapping"):
        ContactSync("acme", mapping)


def test_spellings_of_mail_addresses_and_phone_numbers() -> None:
    assert email_forms("Ada@X.test") == ("Ada@X.test", "ada@x.test")
    assert email_forms("") == email_forms(None) == ()
