"""The derived half of a mirrored row, as the JSON of one column: facets by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from domain.mirror import Facet, Version

EMPTY: Final = "{}"


@dataclass(frozen=True, slots=True)
class StoredFacet:
    """A facet without its row's key and its name, which stand beside it."""

    values: Mapping[str, Any]
    version: Version


_decode = msgspec.json.Decoder(dict[str, StoredFacet]).decode


def decode_facets(text: str) -> dict[str, StoredFacet]:
    """The facets of a row by name."""
    return {} if text == EMPTY else _decode(text)


def encode_facets(facets: Mapping[str, StoredFacet]) -> str:
    """The facets of a row as its column keeps them."""
    return msgspec.json.encode(facets).decode()


def values_of(facets: Mapping[str, StoredFacet]) -> dict[str, Mapping[str, Any]]:
    """The facets' values by name, from which columns are filled."""
    return {name: facet.values for name, facet in facets.items()}


def to_domain(text: str, stripe_account: str, object_id: str) -> dict[str, Facet]:
    """The facets of a row as the port gives them."""
    if text == EMPTY:
        return {}
    return {
        name: Facet(stripe_account, object_id, name, stored.values, stored.version)
        for name, stored in _decode(text).items()
    }
