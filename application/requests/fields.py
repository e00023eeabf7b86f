"""The fields of a noun that callers may change: one table says all there is to say of each.

The table drives what an update mask may name, the limits of values, what is written to Stripe, and
whether an object shows what was written. A room's table is `FIELDS` in its `fields.py`; the room's
gateway maps the same names to Stripe's parameters (`infrastructure/stripe/core/parameters.py`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from application.requests.violations import (
    mask_violations,
    metadata_violations,
    text_violations,
)
from domain.errors import FieldViolation

V = TypeVar("V")

Limits = Callable[[Any, str], Iterable[FieldViolation]]
"""What is wrong with a value that is not None, and stands at that path of a request."""

Shows = Callable[[Any, Any], bool]
"""Whether a mirrored object shows a value as it was written."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field, by the name that update masks give it.

    `empty` is written where a mask names the field without a value; None: it cannot be cleared.
    `attribute` is what the values and the mirrored object call it, where that is another name.
    `shows` None: the object shows the value in that attribute.
    """

    name: str
    limits: Limits
    empty: Any = None
    attribute: str = ""
    shows: Shows | None = None

    def value(self, holder: object) -> Any:
        """What a holder of values, or a mirrored object, has for the field."""
        return getattr(holder, self.attribute or self.name)

    def shown_by(self, mirrored: object, written: Any) -> bool:
        """Whether a mirrored object shows a value as it was written; empty is shown as None."""
        if self.shows is not None:
            return self.shows(mirrored, written)
        return (self.value(mirrored) or None) == (written or None)


@dataclass(frozen=True, slots=True)
class FieldTable(Generic[V]):
    """The fields of a `noun`; `values` is the class that holds a value for each.

    A value that is None leaves its field alone; an empty one clears it.
    """

    noun: str
    values: type[V]
    fields: tuple[Field, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What an update mask may name."""
        return tuple(field.name for field in self.fields)

    def given(self, values: V) -> Mapping[str, Any]:
        """The values that are not None, by the field's name."""
        return {
            field.name: value for field in self.fields if (value := field.value(values)) is not None
        }

    def violations(self, values: V, *, within: str | None = None) -> Iterator[FieldViolation]:
        """What is wrong with values that stand in a request within `<noun>.`, or `within`."""
        path = f"{self.noun}." if within is None else within
        for field in self.fields:
            if (value := field.value(values)) is not None:
                yield from field.limits(value, f"{path}{field.name}")

    def mask_violations(
        self, values: V, mask: Sequence[str], *, has_more: bool = False
    ) -> Iterator[FieldViolation]:
        """What is wrong with an update mask; an empty one needs a value, or `has_more` to do."""
        has_value = has_more or bool(self._with_value(values))
        yield from mask_violations(mask, self.names, has_value=has_value, noun=self.noun)
        for field in self.fields:
            if field.name in mask and field.empty is None and field.value(values) is None:
                yield FieldViolation(f"{self.noun}.{field.name}", "cannot be cleared")

    def masked(self, values: V, mask: Sequence[str]) -> V:
        """What is to be written: the fields that the mask names (none: all that have a value)."""
        named = mask or self._with_value(values)
        written = {}
        for field in self.fields:
            if field.name in named:
                value = field.value(values)
                written[field.attribute or field.name] = field.empty if value is None else value
        return self.values(**written)

    def shown_by(self, mirrored: object, written: V) -> bool:
        """Whether a mirrored object shows every field as it was written."""
        return all(
            field.shown_by(mirrored, value)
            for field in self.fields
            if (value := field.value(written)) is not None
        )

    def _with_value(self, values: V) -> Sequence[str]:
        return [field.name for field in self.fields if _is_value(field.value(values))]


def text(name: str, most: int, *more: Limits) -> Field:
    """A text of at most so many characters, which can be cleared; `more` are its other rules."""

    def limits(value: str, path: str) -> Iterator[FieldViolation]:
        yield from text_violations(value, path, most)
        for rule in more:
            yield from rule(value, path)

    return Field(name, limits, "")


def choice(name: str, choices: Sequence[str]) -> Field:
    """One of some words; it cannot be cleared."""

    def limits(value: str, path: str) -> Iterator[FieldViolation]:
        if value not in choices:
            yield FieldViolation(path, f"one of: {', '.join(choices)}")

    return Field(name, limits)


def number(name: str, least: int, most: int) -> Field:
    """A whole number from `least` to `most`; it cannot be cleared."""

    def limits(value: int, path: str) -> Iterator[FieldViolation]:
        if not least <= value <= most:
            yield FieldViolation(path, f"{least:,} to {most:,}")

    return Field(name, limits)


def flag(name: str) -> Field:
    """True or false; cleared it is false."""
    return Field(name, no_limits, False)


def metadata() -> Field:
    """The metadata: it is merged key by key, and an empty value removes its key."""

    def shows(mirrored: Any, written: Mapping[str, str]) -> bool:
        return all(mirrored.metadata.get(key, "") == value for key, value in written.items())

    return Field("metadata", metadata_violations, {}, shows=shows)


def no_limits(_: object, path: str) -> Iterable[FieldViolation]:
    """Any value will do."""
    del path
    return ()


def _is_value(value: object) -> bool:
    """Zero and false are values; an empty text or map is none."""
    return bool(value) or isinstance(value, int)
