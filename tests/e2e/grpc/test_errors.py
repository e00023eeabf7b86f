"""What a caller gets of each error."""

import re

import grpc
import pytest
from billing_client.v1 import customer_service_pb2 as pb
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RetryInfo

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
from tests.support.servers.grpc import Running, details, reason, refusal, rich_status, trailing

GET = pb.GetCustomerRequest(id="cus_1")
Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidArgument([FieldViolation("id", "a rule")]), Code.INVALID_ARGUMENT),
        (NotFound("customer", "cus_1"), Code.NOT_FOUND),
        (AlreadyExists(Reason.STRIPE_ACCOUNT_TAKEN, "taken"), Code.ALREADY_EXISTS),
        (FailedPrecondition(Reason.STRIPE_REFUSED, "no"), Code.FAILED_PRECONDITION),
        (PermissionDenied(Reason.SCOPE_MISSING, "no"), Code.PERMISSION_DENIED),
        (Unauthenticated(Reason.TOKEN_INVALID, "no"), Code.UNAUTHENTICATED),
        (Conflict(Reason.REQUEST_IN_FLIGHT, "busy"), Code.ABORTED),
        (
            RateLimited(Reason.STRIPE_RATE_LIMITED, "slow", retry_after_seconds=7),
            Code.RESOURCE_EXHAUSTED,
        ),
        (PaymentDeclined("declined", decline_code="lost_card"), Code.FAILED_PRECONDITION),
        (OutcomeUnknown("r-1"), Code.DEADLINE_EXCEEDED),
        (Unavailable(Reason.STRIPE_UNAVAILABLE, "down"), Code.UNAVAILABLE),
        (Unanswered("cut"), Code.UNAVAILABLE),
        (BillingError(Reason.INTERNAL, "of no class"), Code.INTERNAL),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BillingError) else "",
)
async def test_an_error_becomes_its_status(
    running: Running, error: BillingError, code: grpc.StatusCode
) -> None:
    running.customers.get.side_effect = error

    got = await refusal(running.customer_stub.GetCustomer(GET, metadata=running.metadata()))

    assert (got.code(), got.details()) == (code, error.message)
    (info,) = details(got, ErrorInfo)
    assert (info.domain, info.reason) == ("billing.v1", error.reason.value)
    assert dict(info.metadata) == error.metadata
    (line,) = await running.log()
    assert (line["code"], line["reason"]) == (code.name, error.reason.value)


async def test_all_violations_come_at_once(running: Running) -> None:
    violations = [FieldViolation("customer.email", "an address"), FieldViolation("b", "rule")]
    running.customers.get.side_effect = InvalidArgument(violations)

    got = await refusal(running.customer_stub.GetCustomer(GET, metadata=running.metadata()))

    (request,) = details(got, BadRequest)
    assert [(v.field, v.description) for v in request.field_violations] == [
        ("customer.email", "an address"),
        ("b", "rule"),
    ]


async def test_a_precondition_names_what_must_change(running: Running) -> None:
    running.customers.get.side_effect = FailedPrecondition(
        Reason.STRIPE_NOT_CONNECTED, "connect it", subject="connection"
    )

    got = await refusal(running.customer_stub.GetCustomer(GET, metadata=running.metadata()))

    ((violation,),) = (d.violations for d in details(got, PreconditionFailure))
    assert (violation.type, violation.subject, violation.description) == (
        "STRIPE_NOT_CONNECTED",
        "connection",
        "connect it",
    )


async def test_a_limit_says_when_to_try_again(running: Running) -> None:
    running.customers.get.side_effect = RateLimited(
        Reason.STRIPE_RATE_LIMITED, "slow", retry_after_seconds=7
    )

    got = await refusal(running.customer_stub.GetCustomer(GET, metadata=running.metadata()))

    (retry,) = details(got, RetryInfo)
    assert retry.retry_delay.seconds == 7


async def test_what_the_caller_sent_cannot_make_its_error_unreadable(running: Running) -> None:
    """gRPC's clients drop headers above 8 KiB, and with them the status."""
    many = [FieldViolation(f"customer.metadata.{n}" * 20, "ü" * 1_000) for n in range(500)]
    running.customers.get.side_effect = InvalidArgument(many)

    got = await refusal(running.customer_stub.GetCustomer(GET, metadata=running.metadata()))

    assert got.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason(got) == "INVALID_FIELDS"
    (request,) = details(got, BadRequest)
    shown = len(request.field_violations) - 1
    assert shown > 0
    assert request.field_violations[-1].description == f"and {500 - shown} more"


async def test_an_unforeseen_error_leaks_nothing(running: Running) -> None:
    running.customers.get.side_effect = ValueError("Jenny Rosen has 4242 in sk_live_abc123")

    got = await refusal(
        running.customer_stub.GetCustomer(
            GET, metadata=(*running.metadata(), ("x-request-id", "call-7"))
        )
    )

    assert got.code() is grpc.StatusCode.INTERNAL
    assert reason(got) == "INTERNAL"
    assert trailing(got)["x-request-id"] == "call-7"
    assert "call-7" in (got.details() or "")
    text = await running.log_text(2)
    for secret in ("Jenny", "4242", "sk_live"):
        assert secret not in text
        assert secret not in str(rich_status(got))
    failure, call = await running.log(2)
    assert (failure["exception"], failure["request_id"]) == ("ValueError", "call-7")
    assert "servicer.py" in failure["traceback"]
    assert (call["code"], call["reason"]) == ("INTERNAL", "INTERNAL")


async def test_the_request_id_comes_back(running: Running) -> None:
    running.customers.delete.return_value = None
    request = pb.DeleteCustomerRequest(id="cus_1", request_id="r-1")

    call = running.customer_stub.DeleteCustomer(
        request, metadata=(*running.metadata(), ("x-request-id", "mine-1"))
    )
    await call

    assert dict(await call.trailing_metadata())["x-request-id"] == "mine-1"


@pytest.mark.parametrize("given", ["", "a" * 65, "with space", "-x", 'q"'])
async def test_a_malformed_request_id_is_replaced(running: Running, given: str) -> None:
    running.customers.get.side_effect = NotFound("customer", "cus_1")

    got = await refusal(
        running.customer_stub.GetCustomer(
            GET, metadata=(*running.metadata(), ("x-request-id", given))
        )
    )

    assert re.fullmatch("[0-9a-f]{32}", trailing(got)["x-request-id"])
