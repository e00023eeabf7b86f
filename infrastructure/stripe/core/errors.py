"""Stripe's errors in our words (API reference, "Errors"; "Error codes"; "Decline codes").

What Stripe writes for people may repeat an address or a number, so none of it is passed on: only
its codes, the names of parameters and ids are, and our own sentences.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import stripe
from stripe.oauth_error import OAuthError

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
from domain.ids import is_object_id

MAX_RETRY_AFTER_SECONDS: Final = 60

_RULES: Final[Mapping[str, str]] = {
    "parameter_missing": "is required",
    "parameter_unknown": "is not known to Stripe",
    "parameter_invalid_empty": "must not be empty",
    "parameter_invalid_string_empty": "must not be empty",
    "parameter_invalid_string_blank": "must not be blank",
    "parameter_invalid_integer": "must be an integer",
    "parameters_exclusive": "excludes another field that is given",
    "email_invalid": "must be an e-mail address",
    "postal_code_invalid": "must be a postal code",
    "country_code_invalid": "must be an ISO 3166-1 alpha-2 code",
    "country_unsupported": "is a country that Stripe does not serve here",
    "invalid_characters": "holds characters that Stripe does not accept",
    "url_invalid": "must be a URL",
    "amount_too_large": "is above Stripe's maximum",
    "amount_too_small": "is below Stripe's minimum",
    "resource_missing": "names no object of this Stripe account",
}

_NAMES_NOTHING: Final = _RULES["resource_missing"]

_STATE_ADVICE: Final[Mapping[str, str]] = {
    "balance_insufficient": "the Stripe balance is too low; try again when more is available",
    "charge_already_captured": "the charge is captured already",
    "charge_already_refunded": "all of the charge is refunded already",
    "charge_disputed": "the charge is disputed; its money moves with the dispute",
    "charge_exceeds_source_limit": "the source takes no more for now; try later or use another one",
    "charge_expired_for_capture": "the authorisation has expired; a new payment is needed",
    "coupon_expired": "the coupon has expired; use another one",
    "customer_max_payment_methods": "the customer has too many payment methods; detach one first",
    "customer_max_subscriptions": "the customer has too many subscriptions; cancel one first",
    "invoice_no_customer_line_items": "there is nothing to invoice; add items first",
    "invoice_no_payment_method_types": "the Stripe account has no way to pay it; switch one on",
    "invoice_no_subscription_line_items": "there is nothing to invoice for the subscription",
    "invoice_not_editable": "the invoice is not a draft any more",
    "invoice_upcoming_none": "there is no next invoice; name a subscription that continues",
    "no_account": "the bank account does not exist; use another one",
    "payment_intent_unexpected_state": "the payment has another state now; read it again",
    "payment_method_unexpected_state": "the payment method was used before; use a new one",
    "resource_already_exists": "an object with this id exists already",
    "setup_intent_unexpected_state": "the setup intent has another state now; create a new one",
}
"""Codes that tell of the world's state, even where they name a parameter, and what they mean."""

_MISSING_ADVICE: Final = "something is missing, such as a payment method to charge"

_DECLINE_ADVICE: Final[Mapping[str, str]] = {
    "authentication_required": "the payer must confirm the payment with the bank",
    "card_not_supported": "the card does not support this kind of payment; use another one",
    "card_velocity_exceeded": "the card's limit is reached; use another one or try later",
    "currency_not_supported": "the card does not support the currency; use another one",
    "expired_card": "the card has expired; use another one",
    "incorrect_cvc": "the security code is wrong; check it and try again",
    "incorrect_number": "the card number is wrong; check it and try again",
    "incorrect_zip": "the postal code is wrong; check it and try again",
    "insufficient_funds": "the card has too little funds; use another one or try later",
    "invoice_payment_intent_requires_action": (
        "the payer must confirm the payment with the bank, on the invoice's page"
    ),
    "invalid_cvc": "the security code is wrong; check it and try again",
    "invalid_expiry_month": "the expiry date is wrong; check it and try again",
    "invalid_expiry_year": "the expiry date is wrong; check it and try again",
    "invalid_number": "the card number is wrong; check it and try again",
    "issuer_not_available": "the bank could not be reached; try again later",
    "processing_error": "the card could not be processed; try again later",
    "subscription_payment_intent_requires_action": (
        "the payer must confirm the payment with the bank; use the payment_behavior"
        " default_incomplete"
    ),
    "try_again_later": "the bank declined for now; try again later",
}
_ADVICE: Final[Mapping[str, str]] = {
    "confirm_card_data": "check the card's details and try again",
    "do_not_try_again": "the bank declined for good; use another payment method",
    "try_again_later": "the bank declined for now; try again later",
}
_PLAIN_DECLINE: Final = "the payment was declined; use another payment method or ask the bank"

_OTHER_MODE: Final = re.compile(r"exists in (?:live|test) mode")
_SAFE_CODE: Final = re.compile(r"[a-z0-9_]{1,64}", re.ASCII)
_SAFE_PARAM: Final = re.compile(r"[A-Za-z0-9_.\-\[\]]{1,128}", re.ASCII)


class NotSentError(stripe.APIConnectionError):
    """No connection to Stripe was made, so nothing was sent."""


def connection_error(kind: str, *, sent: bool) -> stripe.APIConnectionError:
    """The SDK's error for a connection that failed; `kind` names the cause."""
    error = stripe.APIConnectionError if sent else NotSentError
    return error(kind, should_retry=True)  # type: ignore[no-untyped-call]  # untyped in the SDK


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request is about: the noun and, where it has one, the object's id."""

    noun: str
    id: str = ""


class OauthRefused(Unavailable):
    """Stripe's OAuth refuses a request; `code` is as in RFC 6749, 5.2. Unavailable, since it is the
    platform's own set-up that is wrong, unless who has asked knows better.
    """

    def __init__(self, code: str) -> None:
        super().__init__(
            Reason.STRIPE_UNAVAILABLE,
            "Stripe's OAuth refuses the platform; an operator must check BILLING_CONNECT_CLIENT_ID",
        )
        self.code = code


def translate(error: stripe.StripeError, subject: Subject, *, mutating: bool) -> BillingError:
    """The domain error that says the same. Raise it `from None`: Stripe's text stays inside."""
    translated = _translate(error, subject, mutating=mutating)
    if error.request_id:
        translated.metadata["stripe_request_id"] = error.request_id
    return translated


def is_missing(error: stripe.StripeError) -> bool:
    """Whether Stripe says that the object in the path is not there, nor in the other mode."""
    return (
        isinstance(error, stripe.InvalidRequestError)
        and error.http_status == 404
        and code_of(error) == "resource_missing"
        and not _OTHER_MODE.search(error.user_message or "")
    )


def names_nothing(error: InvalidArgument, field: str) -> bool:
    """Whether Stripe refuses a parameter because it names no object of the Stripe account."""
    return any(one == FieldViolation(field, _NAMES_NOTHING) for one in error.violations)


def unless_unknown(error: InvalidArgument, field: str, noun: str, object_id: str) -> BillingError:
    """The refusal; NotFound where it is that `field` names no object of the Stripe account."""
    return NotFound(noun, object_id) if names_nothing(error, field) else error


def is_replayed(error: stripe.StripeError) -> bool:
    """Whether this is the first answer to the idempotency key, told again."""
    return header_of(error, "Idempotent-Replayed") == "true"


def leaves_open(error: stripe.StripeError) -> bool:
    """Whether the request may have been executed all the same."""
    return isinstance(error, stripe.APIError | stripe.APIConnectionError) and not isinstance(
        error, NotSentError
    )


def retry_after_seconds(error: stripe.StripeError) -> int | None:
    """The seconds of a `Retry-After` header, at most MAX_RETRY_AFTER_SECONDS; None without."""
    value = header_of(error, "Retry-After") or ""
    if not (value.isascii() and value.isdecimal() and len(value) < 10):
        return None
    return min(int(value), MAX_RETRY_AFTER_SECONDS)


def code_of(error: stripe.StripeError) -> str:
    """Stripe's code, empty without. The SDK fills the field of some errors only."""
    return _detail(error, "code")


def header_of(error: stripe.StripeError, name: str) -> str | None:
    """A header of the answer that is the error."""
    return (error.headers or {}).get(name)


def _translate(error: stripe.StripeError, subject: Subject, *, mutating: bool) -> BillingError:
    match error:
        case NotSentError():
            return _unavailable("Stripe could not be reached; nothing was sent")
        case stripe.RateLimitError():
            return RateLimited(
                Reason.STRIPE_RATE_LIMITED,
                "Stripe accepts no more requests for this Stripe account at present",
                retry_after_seconds=retry_after_seconds(error) or 1,
            )
        case OAuthError():
            return OauthRefused(str(error.code))
        case stripe.AuthenticationError():
            return _unavailable(
                "Stripe refuses the platform's key; the operator must set a valid STRIPE_SECRET_KEY"
            )
        case stripe.PermissionError():
            return _no_access(error)
        case stripe.CardError():
            return _declined(error)
        case stripe.InvalidRequestError():
            return _refused(error, subject)
        case _ if mutating:
            # An IdempotencyError is here too: what came of the key's first request is not told.
            repeats = is_replayed(error) or isinstance(error, stripe.IdempotencyError)
            return Unanswered("Stripe gave no definite answer", replayed=repeats)
        case _:
            return _unavailable("Stripe does not answer")


def _no_access(error: stripe.StripeError) -> BillingError:
    if code_of(error) == "account_invalid":
        return FailedPrecondition(
            Reason.STRIPE_CONNECTION_REVOKED,
            "the platform has no access to this Stripe account; connect it again",
            subject="connection",
        )
    return _unavailable(
        "Stripe does not permit this with the platform's key; an operator must change the key"
    )


def _declined(error: stripe.StripeError) -> PaymentDeclined:
    code = _detail(error, "decline_code") or code_of(error) or "card_declined"
    advice = _DECLINE_ADVICE.get(code) or _ADVICE.get(_detail(error, "advice_code"))
    return PaymentDeclined(
        advice or _PLAIN_DECLINE, decline_code=code, payment=_id_of(error, "payment_intent")
    )


def _refused(error: stripe.InvalidRequestError, subject: Subject) -> BillingError:
    code, param = code_of(error), _param_of(error)
    if is_missing(error) and param in ("", "id", subject.noun):
        return NotFound(subject.noun, subject.id)
    if _OTHER_MODE.search(error.user_message or ""):
        return _precondition("the object belongs to Stripe's other mode", code)
    if error.http_status == 404 and code != "resource_missing":
        return _unavailable("Stripe does not know the address; check the base addresses")
    if param and code not in _STATE_ADVICE:
        return InvalidArgument(
            [FieldViolation(field_path(param), _RULES.get(code, "is refused by Stripe"))]
        )
    advice = _MISSING_ADVICE if code == "resource_missing" else _STATE_ADVICE.get(code)
    because = f": {advice}" if advice else ""
    return _precondition(f"Stripe refuses this in the object's present state{because}", code)


def _precondition(message: str, code: str) -> FailedPrecondition:
    return FailedPrecondition(
        Reason.STRIPE_REFUSED,
        message,
        subject="stripe",
        metadata={"stripe_code": code} if code else None,
    )


def field_path(param: str) -> str:
    """Stripe's `items[0][price]` as our `items[0].price`."""
    return re.sub(r"\[([^\]\d][^\]]*)\]", r".\1", param)


def _param_of(error: stripe.InvalidRequestError) -> str:
    param = error.param or ""
    return param if _SAFE_PARAM.fullmatch(param) else param.partition("[")[0][:64]


def _detail(error: stripe.StripeError, name: str) -> str:
    """A code in the error's body; empty where there is none, or it is no code."""
    body = error.json_body
    inner = body.get("error") if isinstance(body, Mapping) else None
    value = inner.get(name) if isinstance(inner, Mapping) else None
    return value if isinstance(value, str) and _SAFE_CODE.fullmatch(value) else ""


def _id_of(error: stripe.StripeError, name: str) -> str:
    """The id of an object in the error's body; empty where there is none."""
    body = error.json_body
    inner = body.get("error") if isinstance(body, Mapping) else None
    value = inner.get(name) if isinstance(inner, Mapping) else None
    found = value.get("id") if isinstance(value, Mapping) else None
    return found if isinstance(found, str) and is_object_id(found) else ""


def _unavailable(message: str) -> Unavailable:
    return Unavailable(Reason.STRIPE_UNAVAILABLE, message)
