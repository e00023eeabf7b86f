"""Kinds of parameters: what a noun declares, how a form value is read, which error it gives."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, TypeAlias

from typing_extensions import override

from sandbox.emulator.core import currencies, errors
from sandbox.emulator.core.values import Form, JsonObject, Upload

Parameters: TypeAlias = "Mapping[str, Kind]"

_INTEGER: Final = re.compile(r"-?\d{1,18}")
_DECIMAL: Final = re.compile(r"-?\d{1,18}(\.\d{1,12})?")
_EMAIL: Final = re.compile(r"[^@\s]{1,256}@[^@\s.]+(\.[^@\s.]+)+")
_URL: Final = re.compile(r"https?://[^\s/]+(/\S*)?")
_BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False}

METADATA_KEYS: Final = 50
METADATA_KEY_CHARACTERS: Final = 40
METADATA_VALUE_CHARACTERS: Final = 500


@dataclass(frozen=True, kw_only=True)
class Kind(ABC):
    """A declared parameter.

    required: its absence is `parameter_missing`.
    clearable: an empty string unsets the field, to `cleared`.
    """

    required: bool = False
    clearable: bool = False
    cleared: Any = None

    def read(self, form: Form, name: str) -> Any:
        """The value, or ApiError 400 that names the parameter as Stripe does (`a[b]`)."""
        if form == "":
            if self.clearable:
                return self.cleared
            raise errors.empty_parameter(name)
        return self.parse(form, name)

    @abstractmethod
    def parse(self, form: Form, name: str) -> Any:
        """Read a value that is not empty."""


@dataclass(frozen=True, kw_only=True)
class Text(Kind):
    """Text of at most `most` characters."""

    most: int = 5000

    @override
    def parse(self, form: Form, name: str) -> str:
        if not isinstance(form, str):
            raise errors.invalid(f"Invalid string: {name}", name)
        if len(form) > self.most:
            raise errors.invalid(
                f"Invalid string: must be at most {self.most} characters",
                name,
                "parameter_invalid_string",
            )
        return form


@dataclass(frozen=True, kw_only=True)
class Reference(Text):
    """The id of another object of the same account; it must exist when the action runs."""

    noun: str


@dataclass(frozen=True, kw_only=True)
class Url(Text):
    """A web address; refused as `url_invalid` (docs, "Error codes")."""

    @override
    def parse(self, form: Form, name: str) -> str:
        text = super().parse(form, name)
        if not _URL.fullmatch(text):
            raise errors.invalid("Not a valid URL", name, "url_invalid")
        return text


@dataclass(frozen=True, kw_only=True)
class Email(Text):
    """An e-mail address; refused as `email_invalid`."""

    @override
    def parse(self, form: Form, name: str) -> str:
        text = super().parse(form, name)
        if not _EMAIL.fullmatch(text):
            raise errors.invalid(f"Invalid email address: {text}", name, "email_invalid")
        return text


@dataclass(frozen=True, kw_only=True)
class Currency(Text):
    """A currency that Stripe presents, in any case; kept in lower case."""

    @override
    def parse(self, form: Form, name: str) -> str:
        text = super().parse(form, name).lower()
        if text not in currencies.PRESENTMENT:
            raise errors.invalid(f"Invalid currency: {text}", name)
        return text


@dataclass(frozen=True, kw_only=True)
class OneOf(Text):
    """A value of an enumeration."""

    values: tuple[str, ...]

    @override
    def parse(self, form: Form, name: str) -> str:
        text = super().parse(form, name)
        if text not in self.values:
            raise errors.not_one_of(name, self.values)
        return text


@dataclass(frozen=True, kw_only=True)
class Integer(Kind):
    """A whole number between `least` and `most`."""

    least: int | None = None
    most: int | None = None

    @override
    def parse(self, form: Form, name: str) -> int:
        if not isinstance(form, str) or not _INTEGER.fullmatch(form):
            raise errors.invalid_integer(form, name)
        value = int(form)
        if self.least is not None and value < self.least:
            raise self._outside(f"greater than or equal to {self.least}", name)
        if self.most is not None and value > self.most:
            raise self._outside(f"less than or equal to {self.most}", name)
        return value

    @staticmethod
    def _outside(bound: str, name: str) -> errors.ApiError:
        return errors.invalid(f"This value must be {bound}.", name, "parameter_invalid_integer")


@dataclass(frozen=True, kw_only=True)
class DecimalText(Kind):
    """A decimal number, kept as text: it never becomes a float."""

    least: int | None = None

    @override
    def parse(self, form: Form, name: str) -> str:
        if not isinstance(form, str) or not _DECIMAL.fullmatch(form):
            raise errors.invalid(
                f"Invalid decimal: {form}; must contain at maximum 12 decimal places.", name
            )
        if self.least is not None and Decimal(form) < self.least:
            raise errors.invalid(f"This value must be greater than or equal to {self.least}.", name)
        return form


@dataclass(frozen=True, kw_only=True)
class Boolean(Kind):
    """`true` or `false`."""

    @override
    def parse(self, form: Form, name: str) -> bool:
        value = _BOOLEANS.get(form) if isinstance(form, str) else None
        if value is None:
            raise errors.invalid(f"Invalid boolean: {form}", name)
        return value


@dataclass(frozen=True, kw_only=True)
class Hash(Kind):
    """A nested object with declared fields; an update changes those that it names.

    whole: it is shown with all of its fields, null where none was given (addresses).
    """

    fields: Mapping[str, Kind] = field(default_factory=dict)
    whole: bool = False

    @override
    def parse(self, form: Form, name: str) -> JsonObject:
        if not isinstance(form, dict):
            raise errors.invalid("Invalid object", name)
        return read(self.fields, form, name)

    def merged(self, stored: JsonObject | None, change: JsonObject) -> JsonObject:
        """What a change leaves of a hash: the leaves that it names change, the others stay."""
        result = {**(dict.fromkeys(self.fields) if self.whole else {}), **(stored or {})}
        for name, value in change.items():
            kind = self.fields[name]
            if isinstance(kind, Hash) and isinstance(value, dict):
                value = kind.merged(result.get(name), value)
            result[name] = value
        return result


@dataclass(frozen=True, kw_only=True)
class Anything(Kind):
    """A parameter that Stripe takes and that changes nothing here: accepted, not looked into."""

    @override
    def parse(self, form: Form, name: str) -> Form:
        return form


@dataclass(frozen=True, kw_only=True)
class File(Kind):
    """A file of a multipart form."""

    @override
    def parse(self, form: Form, name: str) -> Upload:
        if not isinstance(form, Upload):
            raise errors.invalid("Invalid file: send it as multipart/form-data", name)
        return form


@dataclass(frozen=True, kw_only=True)
class ByKey(Kind):
    """A hash whose keys the caller chooses, each read by `key`, its value by `kind`."""

    key: Kind
    kind: Kind

    @override
    def parse(self, form: Form, name: str) -> JsonObject:
        if not isinstance(form, dict):
            raise errors.invalid("Invalid object", name)
        return {
            self.key.read(key, name): self.kind.read(value, f"{name}[{key}]")
            for key, value in form.items()
        }


@dataclass(frozen=True, kw_only=True)
class ListOf(Kind):
    """An array (`a[]`, `a[0]`), in the order of its numbers."""

    kind: Kind
    most: int = 100

    @override
    def parse(self, form: Form, name: str) -> list[Any]:
        items = _elements(form)
        if items is None:
            raise errors.invalid("Invalid array", name)
        if len(items) > self.most:
            raise errors.invalid(f"Array is too long: at most {self.most} items", name)
        return [self.kind.read(item, f"{name}[{place}]") for place, item in enumerate(items)]


@dataclass(frozen=True, kw_only=True)
class Span(Kind):
    """A time filter: a number, or a hash of gt, gte, lt, lte. Read as (first, end), end apart."""

    @override
    def parse(self, form: Form, name: str) -> tuple[int | None, int | None]:
        bound = Integer()
        if isinstance(form, str):
            instant = bound.parse(form, name)
            return instant, instant + 1
        if not isinstance(form, dict):
            raise errors.invalid("Invalid object", name)
        edges = read(dict.fromkeys(("gt", "gte", "lt", "lte"), bound), form, name)
        first = [edges["gte"]] if "gte" in edges else []
        first += [edges["gt"] + 1] if "gt" in edges else []
        end = [edges["lt"]] if "lt" in edges else []
        end += [edges["lte"] + 1] if "lte" in edges else []
        return max(first, default=None), min(end, default=None)


@dataclass(frozen=True, kw_only=True)
class Metadata(Kind):
    """Keys and values of the caller's (API reference, "Metadata").

    Read as the change that it asks for: an empty value removes its key, None removes all keys.
    """

    clearable: bool = True

    @override
    def parse(self, form: Form, name: str) -> dict[str, str]:
        if not isinstance(form, dict):
            raise errors.invalid("Invalid object", name)
        change: dict[str, str] = {}
        for key, value in form.items():
            where = f"{name}[{key}]"
            if not isinstance(value, str):
                raise errors.invalid("Metadata values must be strings", where)
            if len(key) > METADATA_KEY_CHARACTERS:
                raise errors.invalid(
                    f"Metadata keys must be at most {METADATA_KEY_CHARACTERS} characters", where
                )
            if len(value) > METADATA_VALUE_CHARACTERS:
                raise errors.invalid(
                    f"Metadata values must be at most {METADATA_VALUE_CHARACTERS} characters", where
                )
            change[key] = value
        return change


def merged_metadata(stored: Mapping[str, str], change: Mapping[str, str] | None) -> dict[str, str]:
    """Apply a change that `Metadata` has read; ApiError 400 when too many keys would stand."""
    if change is None:
        return {}
    merged = {key: value for key, value in {**stored, **change}.items() if value != ""}
    if len(merged) > METADATA_KEYS:
        raise errors.invalid(f"Metadata can have at most {METADATA_KEYS} keys", "metadata")
    return merged


def read(parameters: Parameters, form: Mapping[str, Form], within: str = "") -> JsonObject:
    """Read a form by its declaration: unknown and missing parameters are errors."""
    for name in form:
        if name not in parameters:
            raise errors.unknown_parameter(_inside(within, name))
    values: JsonObject = {}
    for name, kind in parameters.items():
        if name in form:
            values[name] = kind.read(form[name], _inside(within, name))
        elif kind.required:
            raise errors.missing_parameter(_inside(within, name))
    return values


def references(
    parameters: Parameters, values: JsonObject, within: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Every (parameter, noun, id) that `values` refers to."""
    for name, value in values.items():
        kind = parameters[name]
        if isinstance(kind, Reference) and value is not None:
            yield _inside(within, name), kind.noun, value
        elif isinstance(kind, Hash) and value is not None:
            yield from references(kind.fields, value, _inside(within, name))


def _inside(within: str, name: str) -> str:
    return f"{within}[{name}]" if within else name


def _elements(form: Form) -> list[Form] | None:
    if isinstance(form, list):
        return form
    if isinstance(form, dict) and all(key.isdecimal() and len(key) < 6 for key in form):
        return [form[key] for key in sorted(form, key=int)]
    return None
