"""Stripe's errors in our words, and nothing of Stripe's own text with them."""

from typing import Any

import pytest
import stripe

from application.mutations.stripe import Unanswered
from domain.errors import (
    BillingError,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    PaymentDeclined,
    RateLimited,
    Reason,
    Unavailable,
)
from infrastructure.stripe.core.errors import (
    Subject,
    connection_error,
    field_path,
    is_missing,
    retry_after_seconds,
    translate,
)

SUBJECT = Subject("customer", "cus_1")
PERSONAL = "Invalid email address: ada@example.com, card 4242"


def error_of(
    kind: type[stripe.StripeError], status: int, headers: dict[str, str] | None = None, **body: Any
) -> stripe.StripeError:
    """An error as the SDK builds it from an answer."""
    message = body.setdefault("message", PERSONAL)
    envelope = {"error": body}
    headers = headers or {"request-id": "req_1"}
    if kind in (stripe.InvalidRequestError, stripe.CardError):
        known = (message, body.get("param"), body.get("code"))
        make: Any = kind  # the SDK leaves these two untyped
        error = make(*known, "{}", status, envelope, headers)
        assert isinstance(error, stripe.StripeError)
        return error
    return kind(message, "{}", status, envelope, headers)


def invalid(status: int = 400, **body: Any) -> stripe.StripeError:
    return error_of(stripe.InvalidRequestError, status, **body)


def said(error: stripe.StripeError, *, mutating: bool = True) -> BillingError:
    return translate(error, SUBJECT, mutating=mutating)


@pytest.mark.parametrize(
    ("body", "field", "rule"),
    [
        ({"param": "email", "code": "email_invalid"}, "email", "must be an e-mail address"),
        ({"param": "email"}, "email", "is refused by Stripe"),
        ({"param": "items[0][price]", "code": "parameter_missing"}, "items[0].price", "required"),
        ({"param": "metadata[a b]"}, "metadata", "is refused by Stripe"),
        (
            {"param": "payment_method", "code": "resource_missing"},
            "payment_method",
            "names no object",
        ),
    ],
)
def test_a_refused_parameter_names_our_field(body: Any, field: str, rule: str) -> None:
    error = said(invalid(**body))
    assert isinstance(error, InvalidArgument)
    (violation,) = error.violations
    assert violation.field == field
    assert rule in violation.rule
    assert isinstance(violation, FieldViolation)


def test_field_paths() -> None:
    assert field_path("address[line1]") == "address.line1"
    assert field_path("items[0][price_data][currency]") == "items[0].price_data.currency"
    assert field_path("expand[]") == "expand[]"


@pytest.mark.parametrize("param", [None, "id", "customer"])
def test_a_missing_object_is_not_found(param: str | None) -> None:
    error = said(invalid(404, code="resource_missing", param=param))
    assert isinstance(error, NotFound)
    assert error.metadata["resource"] == "customer"
    assert error.metadata["id"] == "cus_1"


def test_an_object_of_the_other_mode_is_not_missing() -> None:
    message = "No such customer: 'cus_1'; a similar object exists in live mode"
    error = invalid(404, code="resource_missing", param="id", message=message)
    assert not is_missing(error)
    translated = said(error)
    assert isinstance(translated, FailedPrecondition)
    assert translated.reason is Reason.STRIPE_REFUSED


def test_an_unknown_address_is_not_a_missing_object() -> None:
    error = invalid(404)
    assert not is_missing(error)
    assert type(said(error)) is Unavailable


@pytest.mark.parametrize(
    "body",
    [
        {"code": "charge_already_refunded"},
        {"code": "payment_intent_unexpected_state", "param": "payment_intent"},
        {},
    ],
)
def test_a_state_that_forbids_it_is_refused(body: Any) -> None:
    error = said(invalid(**body))
    assert isinstance(error, FailedPrecondition)
    assert error.reason is Reason.STRIPE_REFUSED
    assert error.metadata.get("stripe_code") == body.get("code")


@pytest.mark.parametrize(
    ("body", "code", "advice"),
    [
        ({"decline_code": "insufficient_funds"}, "insufficient_funds", "funds"),
        ({"code": "expired_card"}, "expired_card", "expired"),
        (
            {"code": "invoice_payment_intent_requires_action"},
            "invoice_payment_intent_requires_action",
            "confirm",
        ),
        (
            {"code": "card_declined", "decline_code": "x", "advice_code": "try_again_later"},
            "x",
            "later",
        ),
        ({"code": "card_declined", "decline_code": "stolen_card"}, "stolen_card", "ask the bank"),
        ({}, "card_declined", "ask the bank"),
    ],
)
def test_a_declined_card_comes_with_advice(body: Any, code: str, advice: str) -> None:
    error = said(error_of(stripe.CardError, 402, **body))
    assert isinstance(error, PaymentDeclined)
    assert error.decline_code == code
    assert advice in error.message
    assert "stolen" not in error.message


def test_a_refused_key_is_the_operators_problem() -> None:
    error = said(error_of(stripe.AuthenticationError, 401))
    assert type(error) is Unavailable
    assert "STRIPE_SECRET_KEY" in error.message


def test_a_refused_account_is_a_revoked_connection() -> None:
    error = said(error_of(stripe.PermissionError, 403, code="account_invalid"))
    assert isinstance(error, FailedPrecondition)
    assert error.reason is Reason.STRIPE_CONNECTION_REVOKED


def test_a_key_without_permission_revokes_nothing() -> None:
    assert type(said(error_of(stripe.PermissionError, 403))) is Unavailable


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 0), ("9999", 60), ("-1", None), ("soon", None), ("٣", None), (None, None)],
)
def test_retry_after_is_bounded(header: str | None, seconds: int | None) -> None:
    headers = {} if header is None else {"Retry-After": header}
    error = error_of(stripe.RateLimitError, 429, headers)
    assert retry_after_seconds(error) == seconds
    translated = said(error)
    assert isinstance(translated, RateLimited)
    assert translated.retry_after_seconds == (seconds or 1)


@pytest.mark.parametrize(
    "error",
    [
        connection_error("TimeoutError", sent=True),
        error_of(stripe.APIError, 500),
        error_of(stripe.APIError, 409, code="idempotency_key_in_use"),
        stripe.APIError("no JSON"),
    ],
    ids=["connection", "500", "409", "no JSON"],
)
def test_without_an_answer_a_change_is_open_and_a_read_is_unavailable(error: Any) -> None:
    change = said(error, mutating=True)
    assert isinstance(change, Unanswered)
    assert not change.replayed
    assert type(said(error, mutating=False)) is Unavailable


def test_a_replayed_failure_says_so() -> None:
    error = said(error_of(stripe.APIError, 500, {"Idempotent-Replayed": "true"}))
    assert isinstance(error, Unanswered)
    assert error.replayed


def test_a_key_with_other_parameters_leaves_the_first_send_open() -> None:
    error = said(error_of(stripe.IdempotencyError, 400))
    assert isinstance(error, Unanswered)
    assert error.replayed


def test_what_was_never_sent_is_unavailable() -> None:
    assert type(said(connection_error("ClientConnectorError", sent=False))) is Unavailable


@pytest.mark.parametrize(
    "error",
    [
        invalid(param="email", code="email_invalid"),
        invalid(param="metadata[ada@example.com]"),
        invalid(code="ada@example.com"),
        error_of(stripe.CardError, 402, decline_code="4242 4242"),
        error_of(stripe.AuthenticationError, 401),
        error_of(stripe.PermissionError, 403, code="account_invalid"),
        error_of(stripe.APIError, 500),
    ],
)
def test_stripes_own_text_stays_inside(error: stripe.StripeError) -> None:
    translated = said(error)
    told = f"{translated!r} {translated.message} {translated.metadata}"
    assert "ada@" not in told
    assert "4242" not in told
    assert translated.metadata["stripe_request_id"] == "req_1"
