"""Errors of the domain as google.rpc.Status: the one place that knows both."""

from collections.abc import Mapping, Sequence
from typing import Final

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RetryInfo
from google.rpc.status_pb2 import Status

from domain.errors import (
    AlreadyExists,
    BillingError,
    Conflict,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    NotUnderstood,
    NotYet,
    OutcomeLost,
    OutcomeUnknown,
    PaymentDeclined,
    PermissionDenied,
    RateLimited,
    Reason,
    ShuttingDown,
    Unauthenticated,
    Unavailable,
    UnknownMethod,
    WrongState,
)

DOMAIN: Final = "billing.v1"

CODES: Final[Mapping[type[BillingError], grpc.StatusCode]] = {
    InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    NotUnderstood: grpc.StatusCode.FAILED_PRECONDITION,
    NotYet: grpc.StatusCode.FAILED_PRECONDITION,
    WrongState: grpc.StatusCode.FAILED_PRECONDITION,
    PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    Conflict: grpc.StatusCode.ABORTED,
    RateLimited: grpc.StatusCode.RESOURCE_EXHAUSTED,
    PaymentDeclined: grpc.StatusCode.FAILED_PRECONDITION,
    OutcomeUnknown: grpc.StatusCode.DEADLINE_EXCEEDED,
    OutcomeLost: grpc.StatusCode.DEADLINE_EXCEEDED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    ShuttingDown: grpc.StatusCode.UNAVAILABLE,
    UnknownMethod: grpc.StatusCode.UNIMPLEMENTED,
}

# A status travels in HTTP headers, the message in two of them, and gRPC's clients refuse more than
# 8 KiB of headers: what a caller sent must not be able to make its own error unreadable.
_MAX_MESSAGE: Final = 400
_MAX_VALUE: Final = 128
_MAX_VIOLATIONS: Final = 20
_MAX_VIOLATION_BYTES: Final = 2_500


def code_of(error: BillingError) -> grpc.StatusCode:
    """The status code of an error, by its class or the nearest base that has one."""
    for kind in type(error).__mro__:
        if kind in CODES:
            return CODES[kind]
    return grpc.StatusCode.INTERNAL


def status_of(error: BillingError) -> Status:
    """The status of an error: one ErrorInfo, and what else applies beside it."""
    return _status(
        code_of(error),
        error.message,
        ErrorInfo(
            domain=DOMAIN,
            reason=error.reason,
            metadata={key: _cut(value, _MAX_VALUE) for key, value in error.metadata.items()},
        ),
        *_details(error),
    )


def internal_status(request_id: str) -> Status:
    """The status of a defect. It tells nothing but where to look."""
    return _status(
        grpc.StatusCode.INTERNAL,
        f"internal error; the log has it under x-request-id {request_id}",
        ErrorInfo(domain=DOMAIN, reason=Reason.INTERNAL, metadata={"x-request-id": request_id}),
    )


def _status(code: grpc.StatusCode, message: str, *details: Message) -> Status:
    status = Status(code=code.value[0], message=_cut(message, _MAX_MESSAGE))
    for detail in details:
        status.details.add().Pack(detail)
    return status


def _details(error: BillingError) -> Sequence[Message]:
    match error:
        case InvalidArgument():
            return [_bad_request(error.violations)]
        case NotYet():
            return [_precondition_failure(error), _retry_info(error.retry_after_seconds)]
        case FailedPrecondition():
            return [_precondition_failure(error)]
        case RateLimited() | ShuttingDown():
            return [_retry_info(error.retry_after_seconds)]
        case _:
            return []


def _bad_request(violations: Sequence[FieldViolation]) -> BadRequest:
    """Each violation once, as far as they fit; the last one then says how many are left out."""
    once = list(dict.fromkeys(violations))
    request = BadRequest()
    for violation in once:
        request.field_violations.add(
            field=_cut(violation.field, _MAX_VALUE),
            description=_cut(violation.rule, _MAX_MESSAGE),
            reason=violation.reason or "",
        )
        full = len(request.field_violations) > _MAX_VIOLATIONS
        if full or request.ByteSize() > _MAX_VIOLATION_BYTES:
            del request.field_violations[-1]
            left_out = len(once) - len(request.field_violations)
            request.field_violations.add(field="", description=f"and {left_out} more")
            break
    return request


def _retry_info(seconds: int) -> RetryInfo:
    retry = RetryInfo()
    retry.retry_delay.seconds = seconds
    return retry


def _precondition_failure(error: FailedPrecondition) -> PreconditionFailure:
    failure = PreconditionFailure()
    failure.violations.add(
        type=error.reason,
        subject=_cut(error.subject, _MAX_VALUE),
        description=_cut(error.message, _MAX_MESSAGE),
    )
    return failure


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"
