"""What is known of the call being served: the interceptors settle it, servicers read it."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import grpc

from application.requests.callers import Caller
from application.requests.tokens import Token

Context = grpc.aio.ServicerContext[Any, Any]

REQUEST_ID: Final = "x-request-id"
"""The metadata key of a call's name: taken from the caller if well-formed, and returned."""


@dataclass(slots=True)
class Call:
    """One call, filled in by one interceptor after the other.

    `metadata` is the caller's, of equal keys the last. `deadline` is in seconds of the event loop's
    clock. `token` and `account` stay empty until verified, `message` until the request was read.
    `code` and `reason` are its outcome.
    """

    request_id: str
    metadata: Mapping[str, str | bytes]
    deadline: float | None = None
    token: Token | None = None
    account: str = ""
    message: Any = None
    code: grpc.StatusCode = grpc.StatusCode.OK
    reason: str = ""


# grpc.aio serves each call in a task of its own, so neither needs to be reset.
_call: ContextVar[Call] = ContextVar("call")
_caller: ContextVar[Caller] = ContextVar("caller")


def begin(call: Call) -> None:
    """Make `call` the current one, for whatever runs on behalf of it."""
    _call.set(call)


def current_call() -> Call:
    """The call being served. LookupError outside of one."""
    return _call.get()


def current_token() -> Token:
    """The verified token of the call being served. LookupError where there is none."""
    token = _call.get().token
    if token is None:
        raise LookupError("nobody was authenticated")
    return token


def act_as(caller: Caller) -> None:
    """Make `caller` the current one: who it is, and that it may make this call, is settled."""
    _caller.set(caller)


def current_caller() -> Caller:
    """The caller of the call being served. LookupError where nobody was authenticated."""
    return _caller.get()
