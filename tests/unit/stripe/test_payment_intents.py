"""Payment intents: from Stripe's payload to the domain's payment intent."""

import datetime as dt
from typing import Any

import pytest

from domain.mirror import Snapshot, Version
from domain.money import Money
from domain.payment_intents import PaymentIntent
from infrastructure.stripe.payment_intents.translation import PAYMENT_INTENT
from tests.unit.stripe.samples import CREATED, encoded, payment_intent, without

VERSION = Version.of_event(1)


def observed(payload: dict[str, Any]) -> Snapshot[PaymentIntent]:
    return PAYMENT_INTENT.observe(encoded(payload), "acct_1", VERSION)


def read(payload: dict[str, Any]) -> PaymentIntent:
    found = observed(payload).object
    assert found is not None
    return found


def at(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(CREATED + seconds, dt.UTC)


def test_every_field_is_read() -> None:
    assert observed(payment_intent()) == Snapshot(
        "acct_1",
        "pi_1",
        VERSION,
        PaymentIntent(
            id="pi_1",
            created=at(0),
            amount=Money(2_500, "eur"),
            amount_received=Money(100, "eur"),
            status="canceled",
            customer="cus_1",
            payment_method="pm_1",
            latest_charge="ch_1",
            capture_method="automatic",
            description="Order 7",
            canceled_at=at(1),
            cancellation_reason="abandoned",
            last_error_code="card_declined",
            metadata={"order": "7"},
        ),
    )


UNDER_THEIR_OWN_NAME = """
    amount_received status customer payment_method latest_charge capture_method description
    canceled_at cancellation_reason metadata
""".split()


@pytest.mark.parametrize(
    ("absent", "unknown"),
    [
        *((name, {name}) for name in UNDER_THEIR_OWN_NAME),
        ("last_payment_error", {"last_error_code"}),
    ],
)
def test_an_absent_field_is_unknown(absent: str, unknown: set[str]) -> None:
    assert observed(without(payment_intent(), absent)).unknown == unknown


@pytest.mark.parametrize("field", ["customer", "payment_method", "latest_charge"])
def test_an_expanded_object_counts_by_its_id(field: str) -> None:
    expanded = {"id": "obj_9", "object": "whatever", "nested": {"id": "no"}}
    assert getattr(read(payment_intent(**{field: expanded})), field) == "obj_9"


@pytest.mark.parametrize("error", [None, {"type": "api_error"}, {"type": "x", "code": None}])
def test_an_intent_without_an_errors_code_has_none(error: dict[str, Any] | None) -> None:
    snapshot = observed(payment_intent(last_payment_error=error))
    assert snapshot.object is not None
    assert snapshot.object.last_error_code is None
    assert not snapshot.unknown


def test_the_clients_secret_is_not_kept() -> None:
    assert "secret" not in repr(observed(payment_intent()))


def test_an_unknown_status_is_kept() -> None:
    assert read(payment_intent(status="teleported")).status == "teleported"


@pytest.mark.parametrize(
    "nonsense",
    [
        without(payment_intent(), "id"),
        without(payment_intent(), "amount"),
        without(payment_intent(), "currency"),
        payment_intent(amount_received=None),
        payment_intent(canceled_at=1.5),
        payment_intent(last_payment_error="card_declined"),
    ],
)
def test_structural_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\$|required|currency:"):
        observed(nonsense)
