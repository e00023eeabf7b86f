"""What the shapes of all nouns have in common: expandable fields, instants, the unknown.

A shape is a `msgspec.Struct` with the fields of a noun that we read. A field that a payload leaves
out is `UNSET`, which is not null: null is what Stripe said, UNSET what it did not say.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Final, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from application.mirror.ports import Noun
from domain.ids import ID_PATTERN
from domain.mirror import MirroredObject, Snapshot, Version
from domain.money import Money

T = TypeVar("T", bound=MirroredObject)
V = TypeVar("V")
E = TypeVar("E")
ShapeT = TypeVar("ShapeT", bound="Shape")

_LAST_SECOND: Final = 253_402_300_799  # the end of the year 9999, as far as a datetime goes
_INT64: Final = 2**63

Identifier: TypeAlias = Annotated[str, msgspec.Meta(pattern=ID_PATTERN)]
"""An id or a name of Stripe's."""

Seconds: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=_LAST_SECOND)]
"""Stripe's instants: whole seconds since 1970 in UTC."""
Amount: TypeAlias = Annotated[int, msgspec.Meta(ge=-_INT64, le=_INT64 - 1)]
"""Minor units that a database's integer holds."""
DecimalText: TypeAlias = Annotated[
    str, msgspec.Meta(pattern=r"\A-?[0-9]+(\.[0-9]+)?\Z", max_length=64)
]
"""Stripe's exact decimals, which are text in its JSON; they stay text."""


class Reference(msgspec.Struct, frozen=True, gc=False):
    """An expanded object of which only the id is read."""

    id: Identifier


Expandable: TypeAlias = str | Reference | UnsetType | None
"""A field that is an id, or the object itself where the request asked to expand it."""

Metadata: TypeAlias = Mapping[str, str] | UnsetType | None


class NestedList(msgspec.Struct, Generic[E], frozen=True, gc=False):
    """A list inside an object: Stripe shows its beginning, and all of it at `url` ("Pagination").

    An element is told whole wherever it is told at all.
    """

    data: list[E]
    has_more: bool = False
    url: str = ""


class Shape(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The fields that every mirrored object of Stripe's has; `metadata` nearly every one."""

    id: Identifier
    created: Seconds
    metadata: Metadata = UNSET


def reference(value: Expandable) -> str | UnsetType | None:
    """The id of an expandable field; empty counts as null."""
    if isinstance(value, Reference):
        return value.id
    return UNSET if value is UNSET else value or None


def instant(seconds: int) -> dt.datetime:
    """The aware UTC datetime of Stripe's seconds."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


class Fields:
    """Reads the fields of a payload, and collects the names of those that it does not tell."""

    __slots__ = ("_missing",)

    def __init__(self) -> None:
        self._missing: list[str] = []

    def __call__(self, name: str, value: V | UnsetType, otherwise: V) -> V:
        """The value; where it was not told, `otherwise`, and the name is noted."""
        if isinstance(value, UnsetType):
            self._missing.append(name)
            return otherwise
        return value

    def metadata(self, value: Metadata, name: str = "metadata") -> Mapping[str, str]:
        """The metadata, or another hash of texts; null is none at all."""
        return self(name, value, None) or {}

    def money(self, name: str, value: int | UnsetType, currency: str) -> Money:
        """An amount in `currency`; zero where it was not told."""
        return Money(self(name, value, 0), currency)

    def instant(self, name: str, value: int | UnsetType | None) -> dt.datetime | None:
        """An instant, where there is one."""
        seconds = self(name, value, None)
        return None if seconds is None else instant(seconds)

    def whole(
        self, name: str, nested: NestedList[E] | UnsetType, read: Callable[[E], V]
    ) -> tuple[V, ...]:
        """What `read` makes of a nested list's elements; only its beginning tells nothing."""
        if isinstance(nested, UnsetType) or nested.has_more:
            self._missing.append(name)
            return ()
        return tuple(read(element) for element in nested.data)

    @property
    def unknown(self) -> frozenset[str]:
        """The names noted so far."""
        return frozenset(self._missing)


_NULL: Final = msgspec.Raw(b"null")


class EventData(msgspec.Struct, Generic[ShapeT], frozen=True, gc=False):
    """What an event tells: its object, and what of it was different before, not decoded yet."""

    object: ShapeT
    previous_attributes: msgspec.Raw = _NULL

    @property
    def previous(self) -> Mapping[str, Any]:
        """The former values, by field; of a hash those that changed. Empty where none is told.

        ValueError for structural nonsense.
        """
        return _PREVIOUS.decode(self.previous_attributes) or {}


class _EventOf(msgspec.Struct, Generic[ShapeT], frozen=True, gc=False):
    data: EventData[ShapeT]


class Gone(msgspec.Struct, frozen=True, gc=False):
    """What Stripe shows of an object that is `deleted`."""

    id: Identifier
    deleted: bool = False


class _Change(msgspec.Struct, frozen=True, gc=False):
    object: dict[str, msgspec.Raw]
    previous_attributes: dict[str, Any]


class _Fields(msgspec.Struct, frozen=True, gc=False):
    object: dict[str, msgspec.Raw]


class _EventFields(msgspec.Struct, frozen=True, gc=False):
    data: _Fields


_GONE: Final = msgspec.json.Decoder(Gone)
_CHANGE: Final = msgspec.json.Decoder(_Change)
_PREVIOUS: Final = msgspec.json.Decoder(dict[str, Any] | None)
_EVENT_FIELDS: Final = msgspec.json.Decoder(_EventFields)
_EXPANDABLE: Final = msgspec.json.Decoder(str | Reference | None)


@dataclass(frozen=True)
class Translation(Generic[T, ShapeT]):
    """How a noun is read from Stripe: all that the rest of this package knows about it.

    `path` is where Stripe lists the noun; an object is at `path/id`. `to_domain` gives the object
    and the names of its fields that the payload did not tell. `deleted_by` names the event types
    that tell of a deletion, `previewed_by` those whose object does not exist (yet), `hinted_by`
    those whose object does not tell all that has changed. `expand` are the fields that Stripe shows
    only where they are asked for; `lacks` tells of an object, and of what a payload did not tell,
    whether it has to be read. `lists` maps
    the shape's fields that are a NestedList to the shape of an element. `list_all` are the
    parameters without which Stripe leaves some objects out of a list. `concerns` maps event types
    to what they change without an event of its own: another noun, and the field of ours that names
    the object. `is_account`: each object is the Stripe account that it belongs to, shown to the
    platform's own key alone.
    """

    noun: Noun[T]
    path: str
    shape: type[ShapeT]
    to_domain: Callable[[ShapeT], tuple[T, frozenset[str]]]
    deleted_by: frozenset[str] = frozenset()
    previewed_by: frozenset[str] = frozenset()
    hinted_by: frozenset[str] = frozenset()
    expand: tuple[str, ...] = ()
    lacks: Callable[[T, frozenset[str]], bool] | None = None
    lists: Mapping[str, type[msgspec.Struct]] = field(default_factory=dict)
    list_all: Mapping[str, str] = field(default_factory=dict)
    concerns: Mapping[str, tuple[Noun[Any], str]] = field(default_factory=dict)
    is_account: bool = False

    def snapshot(
        self,
        shape: ShapeT,
        stripe_account: str,
        version: Version,
        befores: Sequence[T | None] = (),
    ) -> Snapshot[T]:
        """The observation that a decoded object makes. ValueError for structural nonsense."""
        state, unknown = self.to_domain(shape)
        return Snapshot(stripe_account, shape.id, version, state, unknown, befores)

    def observe(self, body: str | bytes, stripe_account: str, version: Version) -> Snapshot[T]:
        """The observation of an API answer: a tombstone where it says `deleted`.

        ValueError for structural nonsense.
        """
        shape = self.decode(body)
        if isinstance(shape, Gone):
            return Snapshot(stripe_account, shape.id, version, None)
        return self.snapshot(shape, stripe_account, version)

    def incomplete(self, snapshot: Snapshot[T]) -> bool:
        """Whether a payload lacks (the end of) a nested list, or else what only a read tells."""
        if not snapshot.unknown.isdisjoint(self.lists):
            return True
        found, lacks = snapshot.object, self.lacks
        return found is not None and lacks is not None and lacks(found, snapshot.unknown)

    def expanding(self, place: str = "") -> Mapping[str, list[str]]:
        """The parameters of a request that has an object of this noun, at a place, told whole."""
        return {"expand": [f"{place}{name}" for name in self.expand]} if self.expand else {}

    def cut_short(self, shape: ShapeT) -> Mapping[str, NestedList[Any]]:
        """The nested lists, by field, of which the payload shows only the beginning."""
        lists = {name: getattr(shape, name) for name in self.lists}
        return {
            name: nested
            for name, nested in lists.items()
            if isinstance(nested, NestedList) and nested.has_more
        }

    def decode(self, body: str | bytes) -> ShapeT | Gone:
        """The object in an API answer. ValueError for structural nonsense."""
        gone = _GONE.decode(body)
        return gone if gone.deleted else self._object.decode(body)

    def decode_event(self, payload: bytes) -> EventData[ShapeT]:
        """What an event tells. ValueError for structural nonsense in its object."""
        return self._event.decode(payload).data

    def decode_event_reference(self, name: str, payload: bytes) -> str | None:
        """The id in an expandable field of an event's object; None where there is none.

        ValueError for structural nonsense.
        """
        field = _EVENT_FIELDS.decode(payload).data.object.get(name)
        return None if field is None else reference(_EXPANDABLE.decode(field)) or None

    def encode_change(self, shape: ShapeT, previous: Mapping[str, Any]) -> bytes:
        """An object and what of it was different before, for `decode_before`.

        Only the fields that we read are in it; nothing is taken apart, which costs nearly nothing.
        """
        return msgspec.json.encode({"object": shape, "previous_attributes": previous})

    def decode_before(self, change: bytes) -> T | None:
        """The object as it was before a change: `previous_attributes` laid over the object.

        None where that is not told as fully as the state after it: it proves nothing then. (API
        reference, "The Event object".)
        """
        try:
            changed = _CHANGE.decode(change)
            before: dict[str, Any] = dict(changed.object)
            for name, previous in changed.previous_attributes.items():
                # Only what changed inside is taken apart; all the rest goes through as it is.
                nested = isinstance(previous, dict) and name in before
                now = msgspec.json.decode(before[name]) if nested else None
                before[name] = _laid_over(name, now, previous)
            state, unknown_before = self._read(before)
            _, unknown = self._read(changed.object)
        except (ValueError, RecursionError):  # it only saves a read: nothing is refused for it
            return None
        return state if unknown_before <= unknown else None

    def _read(self, fields: Mapping[str, Any]) -> tuple[T, frozenset[str]]:
        return self.to_domain(self._object.decode(msgspec.json.encode(fields)))

    def decode_listed(self, element: bytes) -> ShapeT:
        """The object that is an element of a list. ValueError for structural nonsense."""
        return self._object.decode(element)

    def decode_nested(self, name: str, body: str | bytes) -> NestedList[Any]:
        """A page of one of the `lists`. ValueError for structural nonsense."""
        return self._nested[name].decode(body)

    @cached_property
    def _object(self) -> msgspec.json.Decoder[ShapeT]:
        return msgspec.json.Decoder(self.shape)

    @cached_property
    def _event(self) -> msgspec.json.Decoder[_EventOf[ShapeT]]:
        return msgspec.json.Decoder(_EventOf[self.shape])  # type: ignore[name-defined]  # built at run time from the noun's declaration

    @cached_property
    def _nested(self) -> Mapping[str, msgspec.json.Decoder[NestedList[Any]]]:
        return {
            name: msgspec.json.Decoder(NestedList[element])  # type: ignore[valid-type]  # as above
            for name, element in self.lists.items()
        }


def _laid_over(name: str, now: Any, previous: Any) -> Any:
    """An attribute as it was: of a hash Stripe tells the changed keys alone, of an array all."""
    if not (isinstance(now, dict) and isinstance(previous, dict)):
        return previous
    merged = now | {key: _laid_over(key, now.get(key), old) for key, old in previous.items()}
    if name == "metadata":  # a key that was not there yet is told as null
        return {key: value for key, value in merged.items() if value is not None}
    return merged


_AT: Final = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING: Final = re.compile(r"missing required field `([^`]+)`")


def wrong_field(error: msgspec.ValidationError) -> str:
    """The path of the field that msgspec refused, such as `data.object`; empty for the whole."""
    text = str(error)
    at, missing = _AT.search(text), _MISSING.search(text)
    return ".".join(part for part in (at and at[1], missing and missing[1]) if part)


_MAX_WHY: Final = 200


def why_not(error: ValueError | RecursionError) -> str:
    """What is wrong with something that was refused: a field and its rule, without its value."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, msgspec.ValidationError):
        return f"{wrong_field(error) or 'all of it'}: is missing or not of its type"
    if isinstance(error, msgspec.DecodeError | UnicodeError):
        return "holds bytes that are not text"
    return str(error)[:_MAX_WHY]
