"""What a write changes of counted columns, known before the row is written.

The server fills columns of the derived half itself, and others write meanwhile. So a write is
guarded: it names in its filter what was read of the row, and where that is no longer so it does
nothing and is begun anew. Then what was reckoned here is what the write does.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pymongo import UpdateOne

from application.mirror.ports import Counted, Noun, T
from domain.mirror import Facet, Snapshot
from infrastructure.day_marks import Marked, changed_marks
from infrastructure.documents import MAX_ROWS, column_values, counted_facets
from infrastructure.mongo.core.collection import Collection, Document
from infrastructure.mongo.core.keys import restored
from infrastructure.mongo.mirror.rows import Guard, derivation, key, object_of

Stores = Callable[[Snapshot[T], int, Guard], UpdateOne]
"""The write that stores a snapshot over a revision where a guard is met."""


@dataclass(frozen=True, slots=True)
class Planned:
    """Guarded writes, and the marks to raise before any of them."""

    writes: list[Any] = field(default_factory=list)
    marks: list[Marked] = field(default_factory=list)


class Counting:
    """Plans the writes of one noun's rows."""

    def __init__(self, noun: Noun[Any], counted: Counted) -> None:
        self._noun = noun
        self._counted = counted
        self._facets = counted_facets(noun)

    def concerns(self, facet: Facet) -> bool:
        """Whether a counted column is made of it."""
        return facet.name in self._facets

    async def replacements(
        self, rows: Collection, snapshots: Sequence[tuple[Snapshot[T], int]], stores: Stores[T]
    ) -> Planned:
        """The writes of `Mirror.replace`, each made by `stores`."""
        # A row without a snapshot counts on no day; what it will count on its facets may say.
        keys = [_key_of(snapshot) for snapshot, seen in snapshots if seen or self._facets]
        stored = await self._stored(rows, keys)
        planned = Planned()
        for snapshot, seen in snapshots:
            row = stored.get(_key_of(snapshot))
            guard = self._guard(row, columns=seen > 0) if seen == 0 or row else {}
            planned.writes.append(stores(snapshot, seen, guard))
            after = column_values(self._noun, snapshot.object, self._derived(row))
            planned.marks.extend(self._marks(snapshot.stripe_account, row, after))
        return planned

    async def derivations(self, rows: Collection, facets: Sequence[Facet]) -> Planned:
        """The writes of `Mirror.derive`: of each row one facet."""
        stored = await self._stored(rows, [_key_of(facet) for facet in facets], whole=True)
        planned = Planned()
        for facet in facets:
            row = stored.get(_key_of(facet))
            absent: Document = {"revision": {"$exists": False}}
            guard = absent if row is None else self._guard(row, columns=True)
            planned.writes.append(derivation(self._noun, facet, guard))
            if row is not None and row["snapshot"] is not None:
                # Where a later one is stored nothing will change: a mark too many.
                derived = {**self._derived(row), facet.name: facet.values}
                after = column_values(self._noun, object_of(self._noun, row["snapshot"]), derived)
                planned.marks.extend(self._marks(facet.stripe_account, row, after))
        return planned

    async def _stored(
        self, rows: Collection, keys: Sequence[str], *, whole: bool = False
    ) -> Mapping[str, Document]:
        if not keys:
            return {}
        names = (*self._counted.names, *(f"derived.{name}" for name in self._facets))
        fields = dict.fromkeys((*names, *(("snapshot",) if whole else ())), 1)
        found = await rows.find({"_id": {"$in": [*keys]}}, fields=fields, limit=MAX_ROWS)
        return {document["_id"]: document for document in found}

    def _guard(self, row: Document | None, *, columns: bool) -> Document:
        """The condition that what was read of a row is so still."""
        facets = {} if row is None else row.get("derived", {})
        # Of a row that is not there: a field that it must not have becomes none of the one made.
        guard: Document = {
            f"derived.{name}": {"$eq": facets[name]} if name in facets else {"$exists": False}
            for name in self._facets
        }
        if row is not None and columns:
            guard |= {name: row.get(name) for name in self._counted.names}
        return guard

    def _derived(self, row: Document | None) -> Mapping[str, Mapping[str, Any]]:
        facets = {} if row is None else row.get("derived", {})
        return {name: restored(facet["values"]) for name, facet in facets.items()}

    def _marks(
        self, stripe_account: str, row: Document | None, after: Mapping[str, Any]
    ) -> Iterator[Marked]:
        return changed_marks(self._noun, self._counted, stripe_account, row or {}, after)


@cache
def counting_of(noun: Noun[Any]) -> Counting | None:
    """What plans the writes of a noun; None where nothing of it is counted."""
    return None if noun.counted is None else Counting(noun, noun.counted)


def _key_of(written: Snapshot[Any] | Facet) -> str:
    return key(written.stripe_account, written.id)
