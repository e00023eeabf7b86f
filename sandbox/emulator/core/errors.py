"""Stripe's errors (API reference, "Errors"; "Error codes"): one exception, one maker a kind."""

from collections.abc import Iterable

from typing_extensions import override

from sandbox.emulator.core.values import JsonObject

INVALID_REQUEST = "invalid_request_error"


class ApiError(Exception):
    """An answer other than 200, in Stripe's envelope."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = INVALID_REQUEST,
        code: str | None = None,
        param: str | None = None,
        more: JsonObject | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.code = code
        self.message = message
        self.param = param
        self.more = more or {}
        self.headers = headers or {}

    @override
    def __str__(self) -> str:
        return f"{self.status} {self.code or self.kind}: {self.message}"

    def envelope(self, log_url: str) -> JsonObject:
        """The body; `log_url` is where Stripe's dashboard would show the request."""
        error: JsonObject = {"message": self.message, "type": self.kind}
        if self.code is not None:
            error["code"] = self.code
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        if self.param is not None:
            error["param"] = self.param
        error["request_log_url"] = log_url
        error.update(self.more)
        return {"error": error}


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """400: a request that Stripe refuses."""
    return ApiError(400, message, param=param, code=code)


def unknown_parameter(name: str) -> ApiError:
    """400 `parameter_unknown`."""
    return invalid(f"Received unknown parameter: {name}", name, "parameter_unknown")


def missing_parameter(name: str) -> ApiError:
    """400 `parameter_missing`."""
    return invalid(f"Missing required param: {name}.", name, "parameter_missing")


def empty_parameter(name: str) -> ApiError:
    """400 `parameter_invalid_empty`: an empty string asks to unset what cannot be unset."""
    return invalid(
        f"You passed an empty string for '{name}', which cannot be unset.",
        name,
        "parameter_invalid_empty",
    )


def invalid_integer(value: object, name: str) -> ApiError:
    """400 `parameter_invalid_integer`."""
    return invalid(f"Invalid integer: {value}", name, "parameter_invalid_integer")


def not_one_of(name: str, allowed: Iterable[str]) -> ApiError:
    """400 for a value outside of an enumeration; Stripe gives it no code."""
    return invalid(f"Invalid {name}: must be one of {', '.join(allowed)}", name)


def resource_missing(noun: str, identifier: str, param: str = "id", status: int = 404) -> ApiError:
    """`resource_missing`: 404 for an id in the path, 400 for one in a parameter."""
    return ApiError(status, f"No such {noun}: '{identifier}'", code="resource_missing", param=param)


def unauthenticated(message: str) -> ApiError:
    """401: the key is missing or unknown."""
    return ApiError(401, message, headers={"WWW-Authenticate": 'Basic realm="Stripe"'})


def account_invalid(account: str, key: str = "") -> ApiError:
    """403 `account_invalid`: no such connected account, or its access was revoked."""
    named = f" '{masked(key)}'" if key else ""
    return ApiError(
        403,
        f"The provided key{named} does not have access to account '{account}' "
        "(or that account does not exist). Application access may have been revoked.",
        code="account_invalid",
    )


def masked(key: str) -> str:
    """A key as an error message may show it."""
    head, _, tail = key.rpartition("_")
    return f"{head}_{'*' * max(0, len(tail) - 4)}{tail[-4:]}"
