"""What a mirrored row looks like as a document, and the updates that change one.

A row's `_id` is `"<Stripe account>/<id>"`. The columns stand at the top level beside the snapshot,
so that indexes and sums read plain values; those of a row that is not live are null.
"""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any, Final

import msgspec
from pymongo import UpdateOne

from application.mirror.ports import NEWEST_FIRST, Live, Noun, T
from domain.mirror import AHEAD_MS, FOREVER_MS, Facet, Row, Snapshot, Version
from domain.search import terms_of
from infrastructure.befores import EncodedBefore, ReadBefore
from infrastructure.documents import (
    column_values,
    first_known_of,
    index_keys,
    lacking,
    many_values,
    restates,
    search_words,
    to_builtins,
)
from infrastructure.mongo.core.collection import Document
from infrastructure.mongo.core.keys import restored, storable

_DERIVED: Final = "derived."

Guard = Mapping[str, Any]
"""What a row must be like besides, as a part of the filter of a write."""

UNGUARDED: Final[Guard] = {}

BEFORE: Final = "before"
"""The field of a row that holds the state before as bytes, with the revision that it belongs to."""

TERMS: Final = "terms"
"""The field of a searched noun's row that holds all beginnings of its words, each an index key."""

CHANGES: Final = "changes"
"""The field that holds the changes of a row's kept columns, the first known first."""

CHANGED_AT: Final = "changed_at"
"""When the last of them was known; not there where there is none."""

OWN_FIELDS: Final = frozenset(
    (
        f"_id stripe_account id revision snapshot unknown befores {BEFORE} version deleted derived"
        f" writer {TERMS} {CHANGES} {CHANGED_AT}"
    ).split()
)
"""The fields of a mirrored row that are no columns."""

LIVE_FIELDS: Final[Document] = {"snapshot": 1, "unknown": 1}
"""The fields from which `to_live` tells what a row shows."""


def mirror_index(columns: Sequence[str]) -> str:
    """The name of the index of a declared tuple of columns."""
    return "_".join(index_keys(columns))


def key(stripe_account: str, id_: str) -> str:
    """The `_id` of a row."""
    return f"{stripe_account}/{id_}"


def replacement(
    noun: Noun[T],
    snapshot: Snapshot[T],
    seen: int,
    writer: str,
    closing: int | None,
    now: int,
    guard: Guard = UNGUARDED,
) -> UpdateOne:
    """Store a snapshot at `now` if the row has the revision `seen`, and meets `guard`.

    Revision 0: if it is not there; then the guard may name no value that it would be made with.
    `closing` is what its account has closed, in milliseconds.
    """
    fields = {
        "stripe_account": snapshot.stripe_account,
        "id": snapshot.id,
        "revision": seen + 1,
        "snapshot": _told(snapshot.object),
        "unknown": sorted(snapshot.unknown),
        **_befores(snapshot.befores, seen + 1),
        "version": to_builtins(snapshot.version),
        "deleted": snapshot.deleted,
        "writer": writer,
        **_columns(noun, snapshot.object),
        **_terms(noun, snapshot.object),
    }
    update: Any = {"$set": fields, "$setOnInsert": {"derived": {}}}
    if noun.kept:  # an expression anyway: `before` is what is stored
        update = [
            changing(noun, snapshot.object, seen, closing, now),
            {"$replaceWith": {"$mergeObjects": [{"derived": {}}, "$$ROOT", {"$literal": fields}]}},
            *_derived_columns(noun),
        ]
    elif derived := _derived_columns(noun):
        # As an expression (a sixth slower): these columns follow what is stored. In a literal,
        # since metadata is the tenant's own and may begin with a dollar sign.
        update = [
            {"$replaceWith": {"$mergeObjects": [{"derived": {}}, "$$ROOT", {"$literal": fields}]}},
            *derived,
        ]
    # Without a row, revision 0 inserts one; where the row has moved on that is a duplicate key.
    return UpdateOne(
        {"_id": key(snapshot.stripe_account, snapshot.id), "revision": seen, **guard},
        update,
        upsert=seen == 0,
    )


def changing(noun: Noun[T], found: T | None, seen: int, closing: int | None, now: int) -> Document:
    """The stage that keeps how a snapshot changes the kept columns, before it is stored.

    It reads the row as it is stored: that no other snapshot was stored since is the filter's.
    """
    columns = column_values(noun, found, {})
    after = None if found is None else {name: columns[name] for name in noun.kept}
    first = _first_known(str(noun.first_known), now)
    if seen == 0:
        if not restates(closing, None, after):
            return {"$set": first}
        return {
            "$set": {
                **first,
                **_appended(_change(seen, now, first, None, after, restating=True), now),
            }
        }
    live = {"$eq": [{"$type": "$snapshot"}, "object"]}
    before = {name: {"$ifNull": [f"${name}", None]} for name in noun.kept}
    date = f"${NEWEST_FIRST.column}"
    restating: Any = {"$literal": restates(closing, None, after)}
    if closing is not None:
        restating = {"$or": [restating, {"$and": [live, {"$lt": [date, closing]}]}]}
    known = {"$cond": [live, before, None]}
    change = _change(seen, now, first, known, after, restating=restating)
    differs = {"$or": [{"$ne": [before[name], {"$literal": columns[name]}]} for name in noun.kept]}
    kept = {
        name: {"$cond": [differs, value, {"$ifNull": [f"${name}", "$$REMOVE"]}]}
        for name, value in _appended(change, now).items()
    }
    return {"$set": {**first, **kept}}


def _first_known(column: str, now: int) -> Document:
    return {column: {"$ifNull": [f"${column}", now]}}


def _change(
    seen: int, now: int, first: Document, before: Any, after: Document | None, *, restating: Any
) -> Document:
    (first_known,) = first.values()
    return {
        "first_known_at": first_known,
        "revision": seen + 1,
        "known_at": now,
        "before": before,
        "after": {"$literal": after},
        "restates": restating,
    }


def _appended(change: Document, now: int) -> Document:
    """The fields of the changes, with one more."""
    return {
        CHANGES: {"$concatArrays": [{"$ifNull": [f"${CHANGES}", []]}, [change]]},
        CHANGED_AT: now,
    }


def derivation(noun: Noun[T], facet: Facet, guard: Guard = UNGUARDED) -> UpdateOne:
    """Set a facet where the stored one is not later, in a row that is made if need be.

    A row that does not meet `guard` refuses it, as a duplicate of its key.
    """
    blank: Document = {
        "stripe_account": facet.stripe_account,
        "id": facet.id,
        "revision": 0,
        "snapshot": None,
        "unknown": [],
        "befores": [],
        "version": None,
        "deleted": False,
        "derived": {},
        **_columns(noun, None),
    }
    path = f"{_DERIVED}{facet.name}"
    stored_high, stored_low = _place(f"${path}.version")
    high, low = facet.version.place()
    later = {
        "$or": [
            {"$gt": [stored_high, high]},
            {"$and": [{"$eq": [stored_high, high]}, {"$gt": [stored_low, low]}]},
        ]
    }
    told = {"values": _told(facet.values), "version": to_builtins(facet.version)}
    return UpdateOne(
        {"_id": key(facet.stripe_account, facet.id), **guard},
        [
            {"$replaceWith": {"$mergeObjects": [{"$literal": blank}, "$$ROOT"]}},
            {"$set": {path: {"$cond": [later, f"${path}", {"$literal": told}]}}},
            *_derived_columns(noun),
        ],
        upsert=True,
    )


def _place(version: str) -> tuple[Document, Document]:
    """`Version.place` of the stored version at a path, as the server computes it."""
    high, low, known_at = (f"{version}.{name}" for name in ("high", "low", "known_at"))
    believed = {"$add": [{"$ifNull": [known_at, FOREVER_MS]}, AHEAD_MS]}
    later_end = {"$cond": [{"$gt": [high, believed]}, known_at, high]}
    return later_end, {"$min": [low, later_end]}


def refilling(noun: Noun[Any], document: Document, now: int) -> UpdateOne:
    """Fill the columns anew from the row's own halves, if no snapshot has come meanwhile.

    A row whose object was stored before a field of it was read names that field unknown. One that
    was stored before it was kept when a row is first known has that from its version, or `now`.
    """
    told = document["snapshot"]
    found = None if told is None else object_of(noun, told)
    columns = {**_columns(noun, found), **_terms(noun, found)}
    if told is not None and (names := lacking(noun, told)):
        columns["unknown"] = sorted({*document["unknown"], *names})
    first = noun.first_known
    if first is not None and document["revision"] and document.get(first) is None:
        columns[first] = first_known_of(document["version"].get("known_at"), now)
    return UpdateOne(
        {"_id": document["_id"], "revision": document["revision"]},
        [
            {"$set": {name: {"$literal": columns[name]} for name in columns}},
            *_derived_columns(noun),
        ],
    )


def _columns(noun: Noun[T], found: T | None) -> Document:
    """The columns of the snapshot; those of many values are arrays, each element an index key."""
    return {**column_values(noun, found, {}), **many_values(noun, found)}


def _told(value: Any) -> Document | None:
    """An object, or a facet's values, as a part of a row."""
    return None if value is None else storable(to_builtins(value))


def object_of(noun: Noun[T], told: Document) -> T:
    """The object of a row's snapshot, as it is stored."""
    return msgspec.convert(restored(told), noun.type)


def _terms(noun: Noun[T], found: T | None) -> Document:
    """The terms of a row in a fixed order, so that a snapshot with the same ones changes none."""
    return {} if noun.search is None else {TERMS: sorted(terms_of(search_words(noun, found)))}


@cache
def _derived_columns(noun: Noun[Any]) -> tuple[Document, ...]:
    """The stage that fills the columns of the derived half, which only the server knows in full."""
    columns: Document = {}
    for column in noun.columns:
        if column.of_derived:
            value: Any = {"$literal": column.absent}
            for source in reversed(noun.beside(column)):
                value = {"$ifNull": [_source(source), value]}
            live = {"$eq": [{"$type": "$snapshot"}, "object"]}
            columns[column.name] = {"$cond": [live, value, None]}
    return ({"$set": columns},) if columns else ()


def _source(source: str) -> Any:
    """The value of a column beside, or of a path into the derived half."""
    if not source.startswith(_DERIVED):
        return f"${source}"
    facet, _, path = source.removeprefix(_DERIVED).partition(".")
    value = f"${_DERIVED}{facet}.values.{path}"
    return {"$cond": [{"$eq": [{"$type": value}, "date"]}, {"$toLong": value}, value]}


def _befores(befores: Sequence[Any], revision: int) -> Document:
    """The states before, as a row of a revision keeps them.

    One that came as bytes stays so, and `befores` has it as untold for a process of an earlier
    release. That writes a revision of its own, and leaves ours as they are.
    """
    if isinstance(befores, EncodedBefore):
        return {"befores": [None], BEFORE: {"revision": revision, "told": befores.told}}
    return {"befores": [_told(before) for before in befores], BEFORE: None}


def _read_befores(noun: Noun[T], document: Document, read: ReadBefore) -> Sequence[T | None]:
    before = document.get(BEFORE)
    if before is not None and before["revision"] == document["revision"]:
        return EncodedBefore(before["told"], partial(read, noun))
    states = document["befores"]
    return tuple(None if state is None else object_of(noun, state) for state in states)


def to_live(noun: Noun[T], document: Document) -> Live[T]:
    """What the live row shows whose LIVE_FIELDS a document holds."""
    return Live(object_of(noun, document["snapshot"]), frozenset(document["unknown"]))


def to_row(noun: Noun[T], document: Document, read_before: ReadBefore) -> Row[T]:
    """The row that a document holds."""
    stripe_account, id_, revision = (
        document["stripe_account"],
        document["id"],
        document["revision"],
    )
    snapshot = None
    if revision:
        found = document["snapshot"]
        snapshot = Snapshot(
            stripe_account,
            id_,
            msgspec.convert(document["version"], Version),
            None if found is None else object_of(noun, found),
            frozenset(document["unknown"]),
            _read_befores(noun, document, read_before),
        )
    derived = {
        name: Facet(
            stripe_account,
            id_,
            name,
            restored(facet["values"]),
            msgspec.convert(facet["version"], Version),
        )
        for name, facet in document["derived"].items()
    }
    return Row(stripe_account, id_, revision, snapshot, derived)
