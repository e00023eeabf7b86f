"""The default payment method, a field of whatever is charged to one."""

from collections.abc import Iterator
from typing import Final, Protocol

from application.requests.fields import Field
from application.requests.violations import METHOD_ID, optional_id_violations
from domain.errors import FieldViolation


class _Charged(Protocol):
    """A mirrored object that has a default: a payment method goes before a legacy source."""

    @property
    def default_payment_method(self) -> str | None: ...

    @property
    def default_source(self) -> str | None: ...


def method_violations(method: str, field: str) -> Iterator[FieldViolation]:
    """A payment method or a legacy source, or empty."""
    return optional_id_violations(method, field, METHOD_ID)


def _shows(charged: _Charged, method: str) -> bool:
    return method == (charged.default_payment_method or charged.default_source or "")


DEFAULT_METHOD: Final = Field("default_payment_method", method_violations, "", shows=_shows)
"""A payment method or a legacy source: each takes the other's place."""
