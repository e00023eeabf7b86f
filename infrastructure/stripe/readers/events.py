"""Stored events: which object each one is about, and what it says of it."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from typing_extensions import override

from application.events.inbox import ReceivedEvent
from application.events.readings import (
    Deauthorized,
    EventReader,
    Hint,
    Irrelevant,
    Observed,
    Reading,
)
from application.mirror.nouns import CUSTOMERS
from application.mirror.ports import Noun
from application.mirror.stripe import Concern
from domain.mirror import MirroredObject, Snapshot, Version
from domain.periods import to_milliseconds
from infrastructure.befores import EncodedBefore
from infrastructure.stripe.core.shapes import EventData, ShapeT, Translation
from infrastructure.stripe.coupons import DISCOUNT, discount_of
from infrastructure.stripe.readers.envelopes import read_again
from infrastructure.stripe.translations import TRANSLATIONS

T = TypeVar("T", bound=MirroredObject)

RELEASES: Final = frozenset({"endive"})
"""The API releases whose payloads the translations are tested on.

A version is a date and a release name, `2026-10-28.endive`; dated versions within a name are
compatible (Stripe, "API versioning").
"""

_DEAUTHORIZED: Final = "account.application.deauthorized"


class StripeEventReader(EventReader):
    """Reads an event's object in one pass over its bytes, only the fields that are needed.

    What the event tells of the state before is not taken apart.
    """

    @override
    def read(self, event: ReceivedEvent, stripe_account: str) -> Reading:
        if not event.object_type:  # an earlier release may not have understood it
            event = read_again(event)
        if event.type == _DEAUTHORIZED and event.stripe_account:
            return Deauthorized(event.created)  # its object is our application, as always
        if event.object_type == DISCOUNT:
            return _of_discount(event)
        translation = TRANSLATIONS.get(event.object_type)
        if translation is None:
            return Irrelevant(f"not mirrored: {event.object_type or 'it names no object'}")
        if event.type in translation.previewed_by:
            return Irrelevant("a preview of an object that does not exist yet")
        if translation.is_account and event.object_id != stripe_account:
            return Irrelevant("about another Stripe account than its own")
        try:
            if not event.object_id:
                return _read_without_id(translation, event)
            return _read(translation, event, stripe_account)
        except RecursionError as error:
            raise ValueError("data.object: nested too deeply") from error


def _of_discount(event: ReceivedEvent) -> Hint[MirroredObject] | Irrelevant:
    """A discount is part of what bears it: its customer is read, who has it now."""
    told = discount_of(event.payload)
    if told.customer is None:
        return Irrelevant("a discount of no customer")
    if told.subscription is not None or told.subscription_item is not None:
        return Irrelevant("a discount that its subscription tells of")
    noun: Noun[Any] = CUSTOMERS
    return Hint(noun, told.customer, event.created)


def _read_without_id(
    translation: Translation[Any, Any], event: ReceivedEvent
) -> Hint[MirroredObject] | Irrelevant:
    """An object that bears no id, as disputes did not in 2012, cannot be mirrored, nor read again.

    What else it changed can be.
    """
    concerns = _concerns(translation, event)
    if not concerns:
        return Irrelevant(f"its {event.object_type} bears no id")
    noun, named = concerns[0]
    return Hint(noun, named, event.created)


def _read(
    translation: Translation[Any, Any], event: ReceivedEvent, stripe_account: str
) -> Observed[MirroredObject] | Hint[MirroredObject]:
    noun, concerns = translation.noun, _concerns(translation, event)
    if event.api_version.partition(".")[2] not in RELEASES:
        return Hint(noun, event.object_id, event.created, concerns)
    version = Version.of_event(event.created, known_at_ms=to_milliseconds(event.received_at))
    if event.type in translation.deleted_by:
        gone: Snapshot[MirroredObject]
        gone = Snapshot(stripe_account, event.object_id, version, None)
        return Observed(noun, gone, concerns=concerns)
    if event.type in translation.hinted_by:
        return Hint(noun, event.object_id, event.created, concerns)
    snapshot = _snapshot(translation, event, stripe_account, version)
    return Observed(noun, snapshot, translation.incomplete(snapshot), concerns)


def _concerns(translation: Translation[Any, Any], event: ReceivedEvent) -> tuple[Concern, ...]:
    """What an event changes beyond its own object; another release names it as ours does."""
    concern = translation.concerns.get(event.type)
    if concern is None:
        return ()
    noun, field = concern
    named = translation.decode_event_reference(field, event.payload)
    return ((noun, named),) if named else ()


def _snapshot(
    translation: Translation[T, ShapeT], event: ReceivedEvent, stripe_account: str, version: Version
) -> Snapshot[T]:
    """The state that an event tells, and the one that it followed."""
    told = translation.decode_event(event.payload)
    if told.object.id != event.object_id:
        raise ValueError("data.object.id: differs from the object of the stored event")
    befores = _befores(translation, event.type, told)
    return translation.snapshot(told.object, stripe_account, version, befores)


def _befores(
    translation: Translation[T, ShapeT], event_type: str, told: EventData[ShapeT]
) -> Sequence[T | None]:
    """The state before, which nearly nobody asks for.

    An update has followed some state, whether it tells which (`Snapshot.befores`). Other types say
    what has become of the object for the first time, and tell no state before.
    """
    try:
        previous = told.previous
    except ValueError:  # it only saves a read: an event is not refused for it
        return (None,)
    if not previous:
        return (None,) if event_type.endswith("updated") else ()
    return EncodedBefore(
        translation.encode_change(told.object, previous), translation.decode_before
    )
