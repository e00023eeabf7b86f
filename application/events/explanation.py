"""Explaining: what each event about an object told of it, and which fields it changed.

Only names of fields are told, never their values: these are personal data.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final

from application.events.event_log import EventRecord
from application.events.inbox import EventState, ReceivedEvent
from application.events.readings import Deauthorized, EventReader, Hint, Irrelevant, Observed
from application.mirror.nouns import BALANCE_TRANSACTIONS, INVOICES, PAYOUTS
from application.mirror.ports import Noun
from domain.attribution import FACETS, INVOICE
from domain.balance_transactions import PAYOUT
from domain.mirror import Facet, MirroredObject, Row, Snapshot, Version

_FACET_SOURCES: Final = {
    **dict.fromkeys(FACETS, BALANCE_TRANSACTIONS.name),
    INVOICE: INVOICES.name,
    PAYOUT: PAYOUTS.name,
}
"""The noun that a facet is derived from; its values hold that object's id under the same name."""


class Telling(StrEnum):
    """What an event says of its object."""

    STATE = "state"
    DELETION = "deletion"
    HINT = "hint"
    NOTHING = "nothing"
    UNREADABLE = "unreadable"


class Basis(StrEnum):
    """What an event's state was compared with."""

    PREVIOUS_ATTRIBUTES = "previous_attributes"
    PRECEDING_EVENT = "preceding_event"


class RowState(StrEnum):
    """What the mirror knows of an object. FACETS_ONLY: nothing of itself has arrived yet."""

    LIVE = "live"
    DELETED = "deleted"
    FACETS_ONLY = "facets_only"


@dataclass(frozen=True, slots=True)
class FacetFacts:
    """A facet without its values. `source_type` and `source_id` are empty where not known."""

    name: str
    source_type: str
    source_id: str
    fields: tuple[str, ...]
    version: Version


@dataclass(frozen=True, slots=True)
class RowFacts:
    """A mirrored row without its values; `version` is None where it has no snapshot."""

    state: RowState
    revision: int
    version: Version | None
    unknown: tuple[str, ...]
    facets: tuple[FacetFacts, ...]


@dataclass(frozen=True, slots=True)
class ExplainedEvent:
    """An event about an object. With `basis` None it is not known what it changed."""

    record: EventRecord
    telling: Telling
    changed: tuple[str, ...] = ()
    basis: Basis | None = None


_Told = tuple[Telling, Snapshot[MirroredObject] | None]


def row_facts(row: Row[Any]) -> RowFacts:
    """What a row is, apart from its values."""
    snapshot = row.snapshot
    if snapshot is None:
        state = RowState.FACETS_ONLY
    else:
        state = RowState.DELETED if snapshot.deleted else RowState.LIVE
    return RowFacts(
        state,
        row.revision,
        snapshot.version if snapshot else None,
        tuple(sorted(snapshot.unknown)) if snapshot else (),
        # One without values has nothing to tell any more.
        tuple(_facet_facts(facet) for _, facet in sorted(row.derived.items()) if facet.values),
    )


def explained(
    reader: EventReader,
    noun: Noun[Any],
    stripe_account: str,
    events: Sequence[tuple[ReceivedEvent, EventRecord]],
    before: tuple[ReceivedEvent, EventRecord] | None,
) -> list[ExplainedEvent]:
    """What each event told, in order; `before` is the one that precedes them.

    CPU-bound, a payload an event: for a worker thread.
    """
    preceding = _told(reader, noun, stripe_account, *before)[1] if before else None
    found = []
    for event, record in events:
        telling, snapshot = _told(reader, noun, stripe_account, event, record)
        changed, basis = _changes(snapshot, preceding)
        found.append(ExplainedEvent(record, telling, changed, basis))
        # One that tells no state may hide changes: they are not the next one's.
        preceding = snapshot
    return found


def _told(
    reader: EventReader,
    noun: Noun[Any],
    stripe_account: str,
    event: ReceivedEvent,
    record: EventRecord,
) -> _Told:
    """What an event says; its snapshot where it tells a state."""
    if record.state is EventState.IGNORED:  # it may be of the other mode
        return Telling.NOTHING, None
    try:
        reading = reader.read(event, stripe_account)
    except ValueError:
        return Telling.UNREADABLE, None
    match reading:
        case Observed(read, snapshot) if read.name == noun.name:
            return (Telling.DELETION, None) if snapshot.deleted else (Telling.STATE, snapshot)
        case Hint(read) if read.name == noun.name:
            return Telling.HINT, None
        case Deauthorized() | Irrelevant() | Observed() | Hint():
            return Telling.NOTHING, None


def _changes(
    snapshot: Snapshot[MirroredObject] | None, preceding: Snapshot[MirroredObject] | None
) -> tuple[tuple[str, ...], Basis | None]:
    """The fields in which a state differs from the one that it followed."""
    if snapshot is None:
        return (), None
    before = snapshot.befores[0] if snapshot.befores else None
    if before is not None:
        differing = _differing(snapshot, before, frozenset())
        return differing, Basis.PREVIOUS_ATTRIBUTES
    if preceding is not None and preceding.object is not None:
        differing = _differing(snapshot, preceding.object, preceding.unknown)
        return differing, Basis.PRECEDING_EVENT
    return (), None


def _differing(
    snapshot: Snapshot[MirroredObject], other: MirroredObject, unknown: frozenset[str]
) -> tuple[str, ...]:
    """The fields that both states know and that are not the same in them."""
    if snapshot.object is None:
        return ()
    hidden = snapshot.unknown | unknown
    return tuple(
        field.name
        for field in fields(snapshot.object)
        if field.name not in hidden
        and getattr(snapshot.object, field.name) != getattr(other, field.name)
    )


def _facet_facts(facet: Facet) -> FacetFacts:
    source = _FACET_SOURCES.get(facet.name, "")
    return FacetFacts(
        facet.name, source, str(facet.values.get(source, "")), tuple(facet.values), facet.version
    )
