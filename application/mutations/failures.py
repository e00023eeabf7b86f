"""Definite failures of mutations as documents, so that a repeat meets the same error."""

from typing import Any, Final

import msgspec

from domain.errors import (
    AlreadyExists,
    BillingError,
    Conflict,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    OutcomeLost,
    PaymentDeclined,
    PermissionDenied,
    Reason,
    WrongState,
)

_OPEN_REASONS: Final = (
    Reason.STRIPE_NOT_CONNECTED,
    Reason.STRIPE_CONNECTION_REVOKED,
    Reason.STRIPE_NOT_UNDERSTOOD,
)
_DEFINITE_REASONS: Final = (
    Reason.ETAG_MISMATCH,
    Reason.NOT_AUTHOR,
    Reason.CONNECTION_OUTCOME_UNKNOWN,
)
"""No etag comes back, no author changes, and no lost answer is found."""


class _Failure(msgspec.Struct, omit_defaults=True):
    kind: str
    reason: Reason
    message: str
    metadata: dict[str, str] = {}
    subject: str = ""
    violations: list[FieldViolation] = []


def is_definite(error: BillingError) -> bool:
    """Whether an error is an outcome: asking the same again could not end otherwise.

    A missing or revoked connection, a rate limit, an unreachable Stripe or one that a later release
    may understand is none. An outcome that nobody can learn any more is one.
    """
    kinds = (
        InvalidArgument | NotFound | AlreadyExists | FailedPrecondition | PaymentDeclined
        | OutcomeLost
    )  # fmt: skip
    if isinstance(error, kinds):
        return error.reason not in _OPEN_REASONS
    return error.reason in _DEFINITE_REASONS


def encode_failure(error: BillingError) -> bytes:
    """The JSON of a definite error."""
    return msgspec.json.encode(
        _Failure(
            type(error).__name__,
            error.reason,
            error.message,
            error.metadata,
            error.subject if isinstance(error, FailedPrecondition) else "",
            list(error.violations) if isinstance(error, InvalidArgument) else [],
        )
    )


def decode_failure(document: bytes) -> BillingError:
    """The error that `encode_failure` wrote down, with all that it told of."""
    failure = msgspec.json.decode(document, type=_Failure)
    error = _error(failure)
    error.metadata |= failure.metadata
    return error


def _error(failure: _Failure) -> BillingError:
    meta: dict[str, Any] = failure.metadata
    match failure.kind:
        case "InvalidArgument":
            return InvalidArgument(failure.violations, reason=failure.reason)
        case "NotFound":
            return NotFound(meta.get("resource", ""), meta.get("id", ""))
        case "WrongState":
            return WrongState(meta.get("resource", ""), meta.get("id", ""), meta.get("state", ""))
        case "PaymentDeclined":
            return PaymentDeclined(failure.message, decline_code=meta.get("decline_code", ""))
        case "OutcomeLost":
            return OutcomeLost()
        case "Conflict":
            return Conflict(failure.reason, failure.message, metadata=meta)
        case "PermissionDenied":
            return PermissionDenied(failure.reason, failure.message, metadata=meta)
        case "AlreadyExists":
            return AlreadyExists(failure.reason, failure.message, metadata=meta)
        case _:
            return FailedPrecondition(
                failure.reason, failure.message, subject=failure.subject, metadata=meta
            )
