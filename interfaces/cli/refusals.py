"""Refusals as commands say them: what was wrong with which flag, and what to do next."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar, cast

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from domain.errors import BillingError, InvalidArgument, NotFound
from interfaces.cli.exits import ExitCode, Refused

M = TypeVar("M", bound=Message)


FLAGS: Final[Mapping[str, str]] = {
    "account": "--account", "page_size": "--limit", "stripe_account": "--stripe-account",
    "object_id": "--object", "object_type": "OBJECT_TYPE", "type": "--type", "state": "--state",
    "received_after": "--since", "received_before": "--until", "resume_token": "--resume",
    "arrival_after": "--since", "arrival_before": "--until", "statuses": "--status",
    "facts": "--fact", "currency": "--currency", "parent": "--parent", "name": "--name",
    "email": "--email", "phone": "--phone", "label": "--label", "customer": "CUSTOMER",
    "contact": "CONTACT", "id": "the id",
}  # fmt: skip
"""What a command calls a field of the API. What is no flag is an argument, in capitals."""

_NEXT: Final[Mapping[str, str]] = {
    "STRIPE_NOT_CONNECTED":
        "connect it: on your platform, or with billing connections begin",
    "STRIPE_CONNECTION_REVOKED": "the owner of the Stripe account connects it again",
    "STATE_UNKNOWN": "billing connections begin begins anew",
    "CODE_REFUSED": "billing connections begin begins anew",
    "CONNECTION_OUTCOME_UNKNOWN": "billing connections begin begins anew",
    "PROCESSES_OPEN": "--force disconnects all the same",
    "OPERATION_RUNNING": "--follow shows it, --cancel ends it",
    "INVALID_PAGE_TOKEN": "leave out --resume to begin now, or give --oldest",
    "STORE_UNAVAILABLE": "the service's log says why; try again later",
    "STRIPE_UNAVAILABLE": "try again later",
    "STRIPE_RATE_LIMITED": "try again later",
    "SHUTTING_DOWN": "the service restarts: try again",
    "OVERLOADED": "try again later",
    "CALLER_LIMITED": "try again later, or more slowly",
}  # fmt: skip
"""What to do next, by the reason of a refusal."""

_LISTS: Final[Mapping[str, str]] = {
    "account": "billing accounts list shows those that there are",
    "payout": "billing payouts list shows those that there are",
    "event": "billing events list shows those that there are",
    "report": "billing reports shows those that there are",
    "operation": "none was ever started",
    "checkout": "billing checkouts list shows those that there are",
    "stripe_account": "Stripe shows the platform no such account; has its owner given access?",
}
"""What to do next where there is no such thing, by what it is."""

_RESOURCES: Final[Mapping[str, str]] = {
    "stripe_account": "Stripe account",
}
"""What people call a resource, where it is not its name."""

_NO_ANSWER: Final = frozenset({
    "STORE_UNAVAILABLE", "STRIPE_UNAVAILABLE", "STRIPE_RATE_LIMITED", "SHUTTING_DOWN", "OVERLOADED",
    "CALLER_LIMITED",
    "UNAVAILABLE", "DEADLINE_EXCEEDED",
})  # fmt: skip


def refused(error: grpc.aio.AioRpcError, flags: Mapping[str, str] = FLAGS) -> Refused:
    """A failed call as a command says it."""
    status, reason = status_of(error), error.code().name
    if status is None:
        words = error.details() or "the call failed"
        return Refused(f"{words} ({reason})", _code(reason))
    info = _detail(status, ErrorInfo) or ErrorInfo(reason=reason)
    request = _detail(status, BadRequest) or BadRequest()
    violations = [(one.field, one.description) for one in request.field_violations]
    words = "; ".join(_words(status.message, info.reason, info.metadata, violations, flags))
    return Refused(f"{words} ({info.reason})", _code(info.reason))


def refused_here(error: BillingError, flags: Mapping[str, str] = FLAGS) -> Refused:
    """The same of an error of the use cases, which some commands run themselves."""
    found = error.violations if isinstance(error, InvalidArgument) else ()
    violations = [(violation.field, violation.rule) for violation in found]
    reason = error.reason.value
    words = "; ".join(_wrong(error.message, reason, error.metadata, violations, flags))
    missing = isinstance(error, NotFound)
    return Refused(f"{words} ({reason})", ExitCode.NOT_FOUND if missing else ExitCode.FAILED)


def status_of(error: grpc.aio.AioRpcError) -> Status | None:
    """What Billing says of a refusal; None where the error is of somebody else's making."""
    found: Status | None = rpc_status.from_call(cast("Any", error))  # typed for other channels
    return found


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The reason of a refusal; empty where it is of somebody else's making."""
    status = status_of(error)
    info = _detail(status, ErrorInfo) if status is not None else None
    return info.reason if info is not None else ""


def _words(
    message: str,
    reason: str,
    facts: Mapping[str, str],
    violations: list[tuple[str, str]],
    flags: Mapping[str, str],
) -> Iterator[str]:
    """What was wrong, then what to do next."""
    yield from _wrong(message, reason, facts, violations, flags)
    if reason == "SCOPE_MISSING" and facts.get("scope"):
        yield f"billing token ... --scope {facts['scope']} makes one that has it"
    if hint := _NEXT.get(reason):
        yield hint


def _wrong(
    message: str,
    reason: str,
    facts: Mapping[str, str],
    violations: list[tuple[str, str]],
    flags: Mapping[str, str],
) -> Iterator[str]:
    if reason == "NOT_FOUND" and facts.get("id"):
        resource = facts.get("resource", "object")
        yield f"no {_RESOURCES.get(resource, resource)} {facts['id']}"
        if hint := _LISTS.get(facts.get("resource", "")):
            yield hint
    elif violations:
        yield from (_rule(field, rule, flags) for field, rule in violations)
    else:
        yield message


def _rule(field: str, rule: str, flags: Mapping[str, str]) -> str:
    """A rule that was broken, with the flag in the place of the field."""
    if field == "account" and rule.startswith("name the account"):
        return "this command needs --account"
    for name, flag in flags.items():
        if name in _NAMED_IN_RULES:
            rule = rule.replace(f"with {name}", f"with {flag}")
    return f"{flags.get(field, field)}: {rule}"


_NAMED_IN_RULES: Final = frozenset({"object_id"})
"""Fields that another field's rule names."""


def _code(reason: str) -> ExitCode:
    if reason == "NOT_FOUND":
        return ExitCode.NOT_FOUND
    return ExitCode.NO_ANSWER if reason in _NO_ANSWER else ExitCode.FAILED


def _detail(status: Status, kind: type[M]) -> M | None:
    for packed in status.details:
        detail = kind()
        if packed.Unpack(detail):
            return detail
    return None
