"""Rows of evidence as both stores keep them: a kind, a subject, and what it showed."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from domain.evidence import ClosingEvidence, DiscountEvidence, Evidence, SubscriptionEvidence

_KINDS: Final[Mapping[str, type[Evidence]]] = {
    "subscription": SubscriptionEvidence,
    "discount": DiscountEvidence,
    "closing": ClosingEvidence,
}
_NAMES: Final = {type_: name for name, type_ in _KINDS.items()}
_DECODERS: Final = {name: msgspec.json.Decoder(type_) for name, type_ in _KINDS.items()}


def kind_of(row: Evidence) -> str:
    """Which kind of evidence a row is."""
    return _NAMES[type(row)]


def subject_of(row: Evidence) -> str:
    """Whom a row is evidence of: a customer, or a dispute."""
    match row:
        case SubscriptionEvidence():
            return row.subscription.customer
        case DiscountEvidence():
            return row.customer
        case ClosingEvidence():
            return row.dispute


def read_evidence(kind: str, document: str) -> Evidence:
    """The row of a kind that JSON tells."""
    found: Evidence = _DECODERS[kind].decode(document)
    return found


def converted_evidence(kind: str, data: Mapping[str, Any]) -> Evidence:
    """The row of a kind that plain data tells."""
    found: Evidence = msgspec.convert(data, _KINDS[kind])
    return found
