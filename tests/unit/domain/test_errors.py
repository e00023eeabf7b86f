"""The closed family of errors, and how definite ones are written down and met again."""

import pytest

from application.mutations.failures import decode_failure, encode_failure, is_definite
from application.mutations.stripe import Unanswered
from domain.errors import (
    AlreadyExists,
    BillingError,
    Conflict,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    OutcomeUnknown,
    PaymentDeclined,
    PermissionDenied,
    RateLimited,
    Reason,
    Unauthenticated,
    Unavailable,
)

DEFINITE = [
    InvalidArgument([FieldViolation("customer.email", "an address"), FieldViolation("b", "c")]),
    InvalidArgument([FieldViolation("request_id", "x")], reason=Reason.REQUEST_ID_REUSED),
    NotFound("customer", "cus_1"),
    AlreadyExists(Reason.ALREADY_EXISTS, "there", metadata={"id": "a"}),
    FailedPrecondition(Reason.STRIPE_REFUSED, "no", subject="charge", metadata={"code": "x"}),
    PaymentDeclined("declined", decline_code="insufficient_funds"),
]
OPEN = [
    FailedPrecondition(Reason.STRIPE_NOT_CONNECTED, "none"),
    FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "cut"),
    RateLimited(Reason.STRIPE_RATE_LIMITED, "slow", retry_after_seconds=2),
    Unavailable(Reason.STRIPE_UNAVAILABLE, "down"),
    Unanswered("cut", replayed=True),
    Conflict(Reason.REQUEST_IN_FLIGHT, "busy"),
    OutcomeUnknown("r-1"),
    PermissionDenied(Reason.SCOPE_MISSING, "no"),
    Unauthenticated(Reason.TOKEN_INVALID, "no"),
]


def facts(error: BillingError) -> tuple[object, ...]:
    more = ("subject", "violations", "decline_code")
    return (
        type(error), error.reason, error.message, error.metadata, str(error),
        *(getattr(error, name, None) for name in more),
    )  # fmt: skip


@pytest.mark.parametrize("error", DEFINITE, ids=lambda error: type(error).__name__)
def test_a_definite_failure_is_met_again_as_it_was(error: BillingError) -> None:
    assert is_definite(error)
    assert facts(decode_failure(encode_failure(error))) == facts(error)


@pytest.mark.parametrize("error", OPEN, ids=lambda error: f"{type(error).__name__}-{error.reason}")
def test_what_may_end_otherwise_is_no_outcome(error: BillingError) -> None:
    assert not is_definite(error)


def test_all_violations_are_told_at_once() -> None:
    error = DEFINITE[0]
    assert str(error) == "customer.email: an address; b: c"


def test_an_invalid_argument_names_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="at least one violation"):
        InvalidArgument([])


def test_reasons_are_their_own_names() -> None:
    assert all(reason.value == reason.name for reason in Reason)
