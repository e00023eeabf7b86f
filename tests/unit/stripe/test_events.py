"""Stored events: what each one says of which object."""

import datetime as dt
from dataclasses import replace
from typing import Any, cast

import pytest
import stripe

from application.events.inbox import ReceivedEvent
from application.events.readings import Deauthorized, Hint, Irrelevant, Observed
from application.mirror.nouns import (
    BALANCE_TRANSACTIONS,
    CHARGES,
    CUSTOMERS,
    DISPUTES,
    INVOICE_PAYMENTS,
    INVOICES,
    NOUNS,
    PAYMENT_INTENTS,
    PAYOUTS,
    PRICES,
    PRODUCTS,
    REFUNDS,
    STRIPE_ACCOUNTS,
    SUBSCRIPTIONS,
)
from domain.mirror import Snapshot, Version
from domain.periods import to_milliseconds
from domain.subscriptions import Subscription
from infrastructure.stripe.core.shapes import Translation
from infrastructure.stripe.readers import envelopes
from infrastructure.stripe.readers.events import RELEASES, StripeEventReader
from infrastructure.stripe.translations import TRANSLATIONS
from tests.unit.stripe import billing_samples, samples

CREATED_MS = (samples.CREATED + 5) * 1000
READER = StripeEventReader()
DISPUTED = "charge.dispute.created"


RECEIVED_AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
VERSION = Version.of_event(CREATED_MS, known_at_ms=to_milliseconds(RECEIVED_AT))


def received(payload: dict[str, Any], /, **changes: Any) -> ReceivedEvent:
    about = payload["data"]["object"]
    values = {
        "id": payload["id"],
        "stripe_account": "acct_1",
        "type": payload["type"],
        "api_version": payload["api_version"] or "",
        "created": payload["created"] * 1000,
        "object_type": about.get("object", ""),
        "object_id": about.get("id", ""),
        "payload": samples.encoded(payload),
        "received_at": RECEIVED_AT,
    }
    return ReceivedEvent(**{**values, **changes})


@pytest.mark.parametrize(
    ("noun", "payload", "type_"),
    [
        (CHARGES, samples.charge(), "charge.refunded"),
        (CUSTOMERS, samples.customer(), "customer.updated"),
        (REFUNDS, samples.refund(), "refund.created"),
        (REFUNDS, samples.refund(), "charge.refund.updated"),
        (DISPUTES, samples.dispute(), "charge.dispute.funds_withdrawn"),
        (INVOICES, billing_samples.invoice(billing_samples.invoice_line()), "invoice.paid"),
        (INVOICE_PAYMENTS, billing_samples.invoice_payment(), "invoice_payment.paid"),
        (SUBSCRIPTIONS, billing_samples.subscription(), "customer.subscription.paused"),
        (PRODUCTS, billing_samples.product(), "product.created"),
        (PRICES, billing_samples.price(), "price.created"),
        (PAYOUTS, samples.payout(), "payout.reconciliation_completed"),
        (PAYMENT_INTENTS, samples.payment_intent(), "payment_intent.canceled"),
        (BALANCE_TRANSACTIONS, samples.balance_transaction(), "whatever.it.were"),
        (STRIPE_ACCOUNTS, samples.account(), "account.updated"),
    ],
)
def test_an_event_tells_its_objects_state(noun: Any, payload: Any, type_: str) -> None:
    said = READER.read(received(samples.event(payload, type_)), "acct_1")
    assert isinstance(said, Observed)
    assert said.noun is noun
    told = TRANSLATIONS[noun.name].observe(samples.encoded(payload), "acct_1", VERSION)
    assert replace(said.snapshot, befores=()) == told
    assert said.snapshot.object is not None
    # What lies deeper is part of a field that is told, as far as it goes.
    expanded = TRANSLATIONS[noun.name].expand
    asked_for = frozenset(name for name in expanded if "." not in name)
    assert said.snapshot.unknown == asked_for, "Stripe tells all else that is read"
    assert not said.incomplete
    # What none of our fields shows has changed: before it was as it is now, field by field.
    elsewhere = samples.event(payload, type_, previous={"unheard_of": {"x": [1]}})
    again = READER.read(received(elsewhere), "acct_1")
    assert isinstance(again, Observed)
    assert again.snapshot.befores == (said.snapshot.object,)


def test_an_event_of_the_platform_belongs_to_the_account_that_is_named() -> None:
    payload = samples.event(samples.charge(), "charge.succeeded")
    said = READER.read(received(payload, stripe_account=""), "acct_platform")
    assert isinstance(said, Observed)
    assert said.snapshot.stripe_account == "acct_platform"


@pytest.mark.parametrize(
    ("noun", "payload", "type_"),
    [
        (CUSTOMERS, samples.customer(), "customer.deleted"),
        (INVOICES, billing_samples.invoice(status="draft"), "invoice.deleted"),
        (PRODUCTS, {"id": "prod_1", "object": "product", "deleted": True}, "product.deleted"),
        (PRICES, billing_samples.price(active=False), "price.deleted"),
    ],
)
def test_a_deleted_event_is_a_tombstone(noun: Any, payload: Any, type_: str) -> None:
    assert READER.read(received(samples.event(payload, type_)), "acct_1") == Observed(
        noun, Snapshot("acct_1", payload["id"], VERSION, None)
    )


def test_a_deleted_subscription_is_no_deletion_but_a_cancellation() -> None:
    canceled = billing_samples.subscription(status="canceled")
    said = READER.read(received(samples.event(canceled, "customer.subscription.deleted")), "acct_1")
    assert isinstance(said, Observed)
    assert said.snapshot.object is not None
    assert cast("Subscription", said.snapshot.object).status == "canceled"


def test_a_preview_of_an_invoice_is_none() -> None:
    upcoming = samples.without(billing_samples.invoice(), "id")
    said = READER.read(received(samples.event(upcoming, "invoice.upcoming")), "acct_1")
    assert said == Irrelevant("a preview of an object that does not exist yet")


@pytest.mark.parametrize(
    ("payload", "unknown"),
    [
        (billing_samples.invoice(billing_samples.invoice_line(), more=True), {"lines"}),
        (
            billing_samples.subscription(billing_samples.subscription_item(), more=True),
            {"items", "discount_details"},
        ),
    ],
    ids=["invoice", "subscription"],
)
def test_an_event_that_is_cut_short_is_incomplete(payload: Any, unknown: set[str]) -> None:
    said = READER.read(received(samples.event(payload, "whatever.updated")), "acct_1")
    assert isinstance(said, Observed)
    assert said.incomplete
    assert said.snapshot.unknown == unknown
    assert said.snapshot.object is not None


def before(payload: Any, previous: Any) -> Any:
    """The state that an update tells to have followed; None where it does not tell it."""
    event = samples.event(payload, "whatever.updated", previous=previous)
    said = READER.read(received(event), "acct_1")
    assert isinstance(said, Observed)
    (told,) = said.snapshot.befores
    return told


def test_a_discount_of_a_customer_is_a_hint_to_read_him() -> None:
    given = billing_samples.discount(subscription=None)
    said = READER.read(received(samples.event(given, "customer.discount.created")), "acct_1")
    assert isinstance(said, Hint)
    assert (said.noun.name, said.object_id) == ("customer", "cus_1")


def test_an_event_tells_the_state_before() -> None:
    now = samples.charge(amount_refunded=2_500, refunded=True)
    then = samples.charge(amount_refunded=0, refunded=False)
    told = READER.read(received(samples.event(then, "charge.captured")), "acct_1")
    assert isinstance(told, Observed)
    assert before(now, {"amount_refunded": 0, "refunded": False}) == told.snapshot.object


def test_an_event_is_read_without_its_state_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked_at(*_: object) -> None:
        pytest.fail("nobody has asked for it")

    monkeypatch.setattr(Translation, "decode_before", looked_at)
    event = samples.event(samples.charge(), "charge.updated", previous={"description": "was"})
    said = READER.read(received(event), "acct_1")
    assert isinstance(said, Observed)
    assert len(said.snapshot.befores) == 1


def test_previous_attributes_that_are_no_text_tell_no_state_before() -> None:
    event = received(samples.event(samples.charge(), "charge.updated", previous={"status": "?"}))
    broken = replace(event, payload=event.payload.replace(b'"?"', b'"\xff"'))
    said = READER.read(broken, "acct_1")
    assert isinstance(said, Observed)
    assert said.snapshot.befores == (None,)


@pytest.mark.parametrize("previous", [None, {}])
@pytest.mark.parametrize(
    ("type_", "befores"),
    [
        ("charge.updated", (None,)),
        ("payment_method.automatically_updated", (None,)),
        ("charge.succeeded", ()),
        ("charge.captured", ()),
    ],
)
def test_an_update_that_does_not_tell_the_state_before_has_an_untold_one(
    previous: Any, type_: str, befores: tuple[None, ...]
) -> None:
    event = samples.event(samples.charge(), type_, previous=previous)
    said = READER.read(received(event), "acct_1")
    assert isinstance(said, Observed)
    assert said.snapshot.befores == befores


@pytest.mark.parametrize(
    "previous",
    [
        {"amount": "much"},  # makes no charge
        {"outcome": {"risk_level": 7}},
        {"currency": "EURO"},
    ],
)
def test_nonsense_before_is_no_reason_to_refuse_an_event(previous: Any) -> None:
    assert before(samples.charge(), previous) is None


def test_a_state_before_that_is_told_less_fully_proves_nothing() -> None:
    listed = billing_samples.nested(url="/v1/invoices/in_1/lines", more=True)
    assert before(billing_samples.invoice(), {"lines": listed}) is None


def test_an_update_of_a_price_is_a_hint_since_its_currency_options_are_not_told() -> None:
    about = received(samples.event(billing_samples.price(), "price.updated"))
    assert READER.read(about, "acct_1") == Hint(PRICES, "price_1", CREATED_MS)
    tiered = billing_samples.price(billing_scheme="tiered")
    said = READER.read(received(samples.event(tiered, "price.created")), "acct_1")
    assert isinstance(said, Observed)
    assert said.incomplete


def test_only_a_declared_type_tells_of_a_deletion() -> None:
    payload = samples.event(samples.customer(), "customer.note.deleted")
    said = READER.read(received(payload), "acct_1")
    assert isinstance(said, Observed)
    assert not said.snapshot.deleted


@pytest.mark.parametrize(
    "version", ["2027-03-25.fuchsia", "2024-06-20", "", "endive", "2026-10-28.endive.preview"]
)
@pytest.mark.parametrize("type_", ["customer.updated", "customer.deleted"])
def test_another_release_is_a_hint(version: str, type_: str) -> None:
    payload = samples.event(samples.customer(), type_, api_version=version)
    assert READER.read(received(payload), "acct_1") == Hint(CUSTOMERS, "cus_1", CREATED_MS)


def test_the_release_that_the_sdk_asks_for_is_one_that_is_read() -> None:
    assert stripe.api_version is not None
    assert stripe.api_version.partition(".")[2] in RELEASES


@pytest.mark.parametrize(
    "about",
    [
        {"object": "balance"},
        {"id": "di_1", "object": "discount"},
        {"id": "di_1", "object": "discount", "customer": "cus_1", "subscription": "sub_1"},
        {"id": "ii_1", "object": "invoiceitem"},
        {"id": "plan_1", "object": "plan"},
        {},
    ],
)
def test_other_objects_are_irrelevant(about: dict[str, str]) -> None:
    said = READER.read(received(samples.event(about, "whatever.happened")), "acct_1")
    assert isinstance(said, Irrelevant)
    assert about.get("object", "") in said.why


@pytest.mark.parametrize(
    ("type_", "concerned"),
    [
        ("charge.dispute.created", True),
        ("charge.dispute.closed", True),
        ("charge.dispute.updated", False),
        ("charge.dispute.funds_withdrawn", False),
        ("charge.dispute.funds_reinstated", False),
    ],
)
@pytest.mark.parametrize("charge", ["ch_7", {"id": "ch_7", "object": "charge"}])
@pytest.mark.parametrize("version", [samples.API_VERSION, "2027-03-25.fuchsia"])
def test_a_dispute_changes_its_charge_as_it_opens_and_closes(
    type_: str, concerned: bool, charge: Any, version: str
) -> None:
    payload = samples.event(samples.dispute(charge=charge), type_, api_version=version)
    said = READER.read(received(payload), "acct_1")
    assert isinstance(said, Observed | Hint)
    assert said.concerns == (((CHARGES, "ch_7"),) if concerned else ())


@pytest.mark.parametrize(
    "dispute", [samples.dispute(charge=None), samples.without(samples.dispute(), "charge")]
)
def test_a_dispute_without_charge_concerns_none(dispute: Any) -> None:
    said = READER.read(received(samples.event(dispute, "charge.dispute.created")), "acct_1")
    assert isinstance(said, Observed)
    assert said.concerns == ()


@pytest.mark.parametrize("version", [samples.API_VERSION, "2012-11-07"])
def test_the_charge_of_a_dispute_without_id_is_read(version: str) -> None:
    dispute = samples.without(samples.dispute(charge="ch_7"), "id")
    payload = samples.event(dispute, "charge.dispute.created", api_version=version)
    assert READER.read(received(payload), "acct_1") == Hint(CHARGES, "ch_7", CREATED_MS)


@pytest.mark.parametrize(
    ("about", "type_"),
    [
        (samples.without(samples.dispute(), "id"), "charge.dispute.updated"),
        (samples.without(samples.dispute(charge=None), "id"), "charge.dispute.created"),
        (samples.without(samples.charge(), "id"), "charge.updated"),
        (samples.without(samples.customer(), "id"), "customer.deleted"),
    ],
)
def test_an_object_without_id_that_names_no_other_is_irrelevant(about: Any, type_: str) -> None:
    said = READER.read(received(samples.event(about, type_)), "acct_1")
    assert said == Irrelevant(f"its {about['object']} bears no id")


def test_what_was_not_understood_when_it_came_is_not_read() -> None:
    payload = samples.without(samples.event(samples.charge(), "charge.updated"), "livemode")
    event = envelopes.received(samples.encoded(payload), now=RECEIVED_AT, livemode=False)
    with pytest.raises(ValueError, match="livemode"):
        READER.read(event, "acct_1")


def test_what_an_earlier_release_did_not_understand_is_read_again() -> None:
    payload = samples.event(samples.charge(), "charge.updated")
    blank = {"type": "", "api_version": "", "object_type": "", "object_id": ""}
    said = READER.read(received(payload, **blank), "acct_1")
    assert said == READER.read(received(payload), "acct_1")
    with pytest.raises(ValueError, match="account"):  # it was stored for nobody's, and stays so
        READER.read(received(payload, stripe_account="", **blank), "acct_platform")


def test_an_account_that_was_not_understood_takes_no_access_away() -> None:
    payload = samples.event(
        {"id": "ca_1", "object": "application"}, "account.application.deauthorized", account="me"
    )
    event = envelopes.received(samples.encoded(payload), now=RECEIVED_AT, livemode=False)
    with pytest.raises(ValueError, match="account"):
        READER.read(event, "acct_platform")


@pytest.mark.parametrize("version", [samples.API_VERSION, "2020-08-27"])
def test_an_account_takes_access_away(version: str) -> None:
    payload = samples.event(
        {"id": "ca_1", "object": "application", "name": "Us"},
        "account.application.deauthorized", api_version=version,
    )  # fmt: skip
    assert READER.read(received(payload), "acct_1") == Deauthorized(CREATED_MS)


def test_what_the_platforms_own_account_takes_away_is_no_connection() -> None:
    application = {"id": "ca_9", "object": "application", "name": "Somebody"}
    payload = samples.event(application, "account.application.deauthorized")
    said = READER.read(received(payload, stripe_account=""), "acct_platform")
    assert said == Irrelevant("not mirrored: application")


def test_an_event_about_another_account_than_its_own_is_irrelevant() -> None:
    payload = samples.event(samples.account(id="acct_2"), "account.updated")
    assert isinstance(READER.read(received(payload), "acct_1"), Irrelevant)
    ours = samples.event(samples.account(id="acct_platform"), "account.updated")
    said = READER.read(received(ours, stripe_account=""), "acct_platform")
    assert isinstance(said, Observed)
    assert said.snapshot.stripe_account == said.snapshot.id == "acct_platform"


@pytest.mark.parametrize(
    ("about", "type_"),
    [
        ({"id": "ba_1", "object": "bank_account"}, "account.external_account.updated"),
        ({"id": "card_payments", "object": "capability"}, "capability.updated"),
        ({"id": "person_1", "object": "person"}, "person.updated"),
        ({"id": "ca_1", "object": "application"}, "account.application.authorized"),
    ],
)
def test_what_else_accounts_tell_is_about_other_objects(about: Any, type_: str) -> None:
    assert isinstance(READER.read(received(samples.event(about, type_)), "acct_1"), Irrelevant)


def test_every_mirrored_noun_has_its_translation() -> None:
    assert {name: each.noun for name, each in TRANSLATIONS.items()} == {
        noun.name: noun for noun in NOUNS
    }


@pytest.mark.parametrize(
    "payload",
    [
        samples.event(samples.without(samples.charge(), "amount"), "charge.updated"),
        samples.event(samples.charge(amount=1.5), "charge.updated"),
        samples.event(samples.without(samples.charge(), "currency"), "charge.updated"),
    ],
)
def test_structural_nonsense_is_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\$|data\.object"):
        READER.read(received(payload), "acct_1")


def test_an_object_without_id_is_told_by_what_it_names() -> None:
    """Versions of 2012 show a dispute as a part of its charge."""
    payload = samples.event(samples.without(samples.dispute(charge="ch_1"), "id"), DISPUTED)
    old = received({**payload, "api_version": "2012-11-07"})
    assert READER.read(old, "acct_1") == Hint(cast("Any", CHARGES), "ch_1", CREATED_MS)


def test_an_event_that_was_not_understood_is_read_anew_from_its_bytes() -> None:
    payload = samples.event(samples.charge(), "charge.updated")
    kept = received(payload, type="", api_version="", created=0, object_type="", object_id="")
    assert READER.read(kept, "acct_1") == READER.read(received(payload), "acct_1")


def test_an_event_that_is_still_not_understood_says_why() -> None:
    payload = samples.event(samples.charge(id="ch_\x01"), "charge.updated")
    kept = received(payload, type="", object_type="", object_id="")
    with pytest.raises(ValueError, match=r"^data\.object\.id: is missing or not of its type$"):
        READER.read(kept, "acct_1")


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b'{"data":{"object":' + b'{"x":' * 50_000, b"\xff\xfe", b'{"data":null}'],
    ids=["empty", "cut", "array", "deep", "no text", "no data"],
)
def test_a_body_that_is_no_event_is_refused(raw: bytes) -> None:
    event = received(samples.event(samples.charge(), "charge.updated"), payload=raw)
    with pytest.raises(ValueError, match=r"."):
        READER.read(event, "acct_1")


def test_an_object_that_is_not_the_events_own_is_refused() -> None:
    event = received(samples.event(samples.charge(), "charge.updated"), object_id="ch_2")
    with pytest.raises(ValueError, match=r"data\.object\.id"):
        READER.read(event, "acct_1")
