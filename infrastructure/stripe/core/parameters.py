"""Stripe's parameters for the fields of a noun: keyed by the names of the application's table."""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from application.mutations.stripe import REQUEST_TAG
from application.requests.fields import FieldTable
from domain.payment_methods import is_legacy

V = TypeVar("V")

Written = Mapping[str, Callable[[Any], object]]
"""The parameters that one field is written with, and what each is for a value of the field."""


@dataclass(frozen=True, slots=True)
class Parameters(Generic[V]):
    """How each field of a table is written; `of_update` is Stripe's own list of parameters.

    A test holds both against each other: every field is written, by parameters that there are.
    """

    table: FieldTable[V]
    of_update: type
    written: Mapping[str, Written]

    def change(self, values: V) -> dict[str, object]:
        """The parameters of an update: an empty one clears what is there."""
        return {
            parameter: write(value)
            for name, value in self.table.given(values).items()
            for parameter, write in self.written[name].items()
        }

    def create(self, values: V, tag: str) -> dict[str, object]:
        """The parameters of a new object, which bears the mutation's tag.

        Without what is empty: there is nothing yet that it could clear.
        """
        wanted = self.change(values)
        labels = wanted.get("metadata")
        own = labels if isinstance(labels, Mapping) else {}
        return _without_empty({**wanted, "metadata": {**own, REQUEST_TAG: tag}})

    @property
    def fields(self) -> Mapping[str, str]:
        """The name of the field that each parameter is of."""
        return {parameter: name for name, ways in self.written.items() for parameter in ways}

    def field_of(self, path: str) -> str:
        """A path in Stripe's parameters, such as `due_date`, as the table names it: `due_time`.

        The same where it is of no field.
        """
        return _PARAMETER.sub(lambda match: self.fields.get(match[0], match[0]), path, count=1)

    def writes(self, path: str) -> bool:
        """Whether a path in Stripe's parameters is of a field."""
        parameter = _PARAMETER.match(path)
        return parameter is not None and parameter[0] in self.fields


_PARAMETER: Final = re.compile(r"^\w+")


def as_they_are(*names: str) -> Mapping[str, Written]:
    """Fields that Stripe knows by the same name and takes as they are."""
    return {name: {name: lambda value: value} for name in names}


def seconds(instant: dt.datetime) -> int:
    """An instant as Stripe takes it."""
    return int(instant.timestamp())


DEFAULT_METHOD: Final[Written] = {
    "default_payment_method": lambda method: "" if is_legacy(method) else method,
    "default_source": lambda method: method if is_legacy(method) else "",
}
"""A payment method goes before a source at Stripe, so each takes the other's place."""


def _without_empty(params: Mapping[str, object]) -> dict[str, object]:
    nested = {
        name: _without_empty(value) if isinstance(value, Mapping) else value
        for name, value in params.items()
    }
    return {name: value for name, value in nested.items() if value not in ("", {})}
