"""How domain objects become documents and back: the same for every store.

msgspec turns the dataclasses into plain data and back, so no entity has a mapping of its own. An
instant inside a document stays a datetime where the store has such a type (MongoDB) and is RFC 3339
text where it has not (SQLite's JSON); an instant in a column is integer milliseconds in both.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from itertools import product
from math import prod
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec

from application.mirror.ports import (
    FIRST_KNOWN,
    NEWEST_FIRST,
    Filter,
    Noun,
    Order,
    RowPage,
)
from application.requests.paging import Position, Scalar
from domain.mirror import MirroredObject, Row
from domain.periods import to_milliseconds
from domain.search import MAX_QUERY_WORDS, MAX_READINGS, RULES, flag, object_words

T = TypeVar("T", bound=MirroredObject)

MAX_ROWS: Final = 1_000
"""How many rows one call of the mirror reads or writes at most."""

MAX_LOOKED_AT: Final = 10_000
"""How many entries of an index a list tests for one page."""

MAX_GROUPS: Final = 1_000
MAX_HOLDERS: Final = 100_000

MAX_COMBINATIONS: Final = 100
"""How many combinations of `one_of` values one list may ask for (SQLite merges at most 500)."""

_OBJECT: Final = "object."
_DERIVED: Final = "derived."


def column_values(
    noun: Noun[T], found: T | None, derived: Mapping[str, Mapping[str, Any]]
) -> dict[str, Scalar | None]:
    """The values of a row's columns, in the order of the declaration; null where `found` is None.

    Those of many values are left to `many_values`, when it was first known to the store. `derived`
    maps a facet's name to its values.
    """
    values: dict[str, Scalar | None] = dict.fromkeys(filled_columns(noun))
    if found is not None:
        for name, readers, absent in _readers(noun):
            told = (_read(found, name, read) for read in readers)
            values[name] = next((value for value in told if value is not None), absent)
        values |= derived_values(noun, derived, values)
    return values


def filled_columns(noun: Noun[Any]) -> tuple[str, ...]:
    """The columns of one value that the row's halves fill, in the order of the declaration."""
    return tuple(
        column.name for column in noun.columns if not column.many and column.path != FIRST_KNOWN
    )


def restates(
    closing: int | None,
    before: Mapping[str, Scalar | None] | None,
    after: Mapping[str, Scalar | None] | None,
) -> bool:
    """Whether a change of a row's kept columns is of a time that is closed: below `closing`."""
    dates = [told[NEWEST_FIRST.column] for told in (before, after) if told is not None]
    return closing is not None and any(isinstance(at, int) and at < closing for at in dates)


def first_known_of(known_at: int | None, now: int) -> int:
    """When a row that was stored before that was kept was first known: as far as its version tells.

    Else now, which is when it is filled.
    """
    return now if known_at is None else min(known_at, now)


def many_values(noun: Noun[T], found: T | None) -> dict[str, list[Scalar]]:
    """The distinct values of each column that has many; none where `found` is None."""
    if not noun.many:
        return {}
    return {
        name: [] if found is None else list(dict.fromkeys(_elements(found, name, read, within)))
        for name, read, within in _many_readers(noun)
    }


def derived_values(
    noun: Noun[T],
    derived: Mapping[str, Mapping[str, Any]],
    beside: Mapping[str, Scalar | None],
) -> dict[str, Scalar | None]:
    """The values of those columns of a live row that come from its derived half.

    `beside` holds the columns of the snapshot, those of `fallbacks` at least.
    """
    values = {}
    for name, paths, absent in _derived_paths(noun):
        told = (
            beside[path] if isinstance(path, str) else _follow(derived, name, path)
            for path in paths
        )
        values[name] = next((value for value in told if value is not None), absent)
    return values


@cache
def fallbacks(noun: Noun[Any]) -> tuple[str, ...]:
    """The columns of the snapshot that columns of the derived half fall back on."""
    found = (path for _, paths, _ in _derived_paths(noun) for path in paths)
    return tuple(dict.fromkeys(path for path in found if isinstance(path, str)))


def derived_columns(noun: Noun[Any]) -> tuple[str, ...]:
    """The names of the columns of the derived half."""
    return tuple(name for name, _, _ in _derived_paths(noun))


@cache
def counted_facets(noun: Noun[Any]) -> tuple[str, ...]:
    """The facets that counted columns of a noun come from."""
    names = () if noun.counted is None else noun.counted.names
    paths = (path for column in noun.columns if column.name in names for path in column.paths)
    return tuple(dict.fromkeys(path.split(".")[1] for path in paths if path.startswith(_DERIVED)))


def search_words(noun: Noun[T], found: T | None) -> tuple[str, ...]:
    """The words by which an object is found, then its flags.

    None for a deleted one, or an unsearched noun.
    """
    if found is None or noun.search is None:
        return ()
    texts, phones = (
        [getattr(found, name) or "" for name in names]
        for names in (noun.search.texts, noun.search.phones)
    )
    flags = (flag(name, getattr(found, name)) for name in noun.search.flags)
    return (*object_words(texts, phones), *flags)


def search_stamp(noun: Noun[Any]) -> str:
    """What the stored words of a noun follow from: where it changes they are made anew."""
    if noun.search is None:
        return ""
    found_by = f"{RULES}: {', '.join(noun.search.texts)}; {', '.join(noun.search.phones)}"
    return "; ".join((found_by, *noun.search.flags))


FIELDS: Final = "(fields)"
"""Under this name a store stamps of which fields the objects of a noun were stored: no column has
such a name."""


def fields_stamp(noun: Noun[Any]) -> str:
    """Where this changes, stored objects may lack fields that are read now."""
    return ", ".join(sorted(field.name for field in fields(noun.type)))


def lacking(noun: Noun[Any], stored: Mapping[str, Any]) -> set[str]:
    """The fields that a stored object lacks, since it was stored before they were read.

    Their values are unknown, and not empty as a new object's would be.
    """
    return {field.name for field in fields(noun.type)} - stored.keys()


def search_readings(
    noun: Noun[Any],
    readings: Sequence[Sequence[str]],
    limit: int,
    flags: Mapping[str, bool] | None,
) -> Sequence[Sequence[str]]:
    """What the terms of a row must have one of, whole. ValueError for what the port forbids."""
    if noun.search is None:
        raise ValueError(f"{noun.name}: is not searched")
    if not 1 <= len(readings) <= MAX_READINGS:
        raise ValueError(f"readings: from 1 to {MAX_READINGS}")
    if not all(1 <= len(words) <= MAX_QUERY_WORDS for words in readings):
        raise ValueError(f"words: from 1 to {MAX_QUERY_WORDS} a reading")
    if not 1 <= limit <= MAX_ROWS:
        raise ValueError(f"limit: from 1 to {MAX_ROWS}")
    told = dict(flags or {})
    if unknown := told.keys() - {*noun.search.flags}:
        raise ValueError(f"{noun.name}: no such flag: {sorted(unknown)}")
    narrowed = [flag(name, value) for name, value in told.items()]
    return [[*words, *narrowed] for words in readings]


@dataclass(frozen=True, slots=True)
class Serving:
    """How an index serves a list: the columns before that of the order are narrowed to one value.

    What else is filtered stands behind it, and is tested entry by entry.
    """

    index: tuple[str, ...]
    leads: tuple[str, ...]
    tests: frozenset[str]


ID: Final = "id"
"""What every index ends with, unless its declaration says where it stands."""


def index_keys(index: Sequence[str]) -> tuple[str, ...]:
    """The columns that the index of a declared tuple has."""
    return ("stripe_account", *index, *(() if ID in index else (ID,)))


def serving(noun: Noun[Any], where: Filter, order: Order) -> Serving:
    """The declared index that serves a list with the fewest tests, and of those the shortest.

    ValueError where the noun declares none: a list never scans and never sorts.
    """
    fixed = {*where.equals, *where.one_of}
    many = {*noun.many}
    fits: list[Serving] = []
    if len(fixed) == len(where.equals) + len(where.one_of) and not many & {*where.one_of}:
        for index in noun.indexes:
            if order.column not in index:
                continue
            place = index.index(order.column)
            leads, tie, rest = index[:place], index[place + 1 : place + 2], {*index[place + 2 :]}
            if tie not in ((), (ID,)):
                continue
            tests = (fixed - {*leads}) | ({*where.ranges} - {order.column})
            if {*leads} <= fixed and tests <= rest - many:
                fits.append(Serving(index, leads, frozenset(tests)))
    if not fits:
        words = f"no index serves this filter in the order of {order.column}"
        raise ValueError(f"{noun.name}: {words}")
    return min(fits, key=lambda one: (-len(one.leads), len(one.index)))


def grouping_index(
    noun: Noun[Any], where: Filter, by: Sequence[str], sums: Sequence[str]
) -> tuple[str, ...]:
    """The shortest declared index that has all columns of a grouping, those that narrow it first.

    ValueError where the noun declares none.
    """
    many = {*noun.many}
    fits = [
        index
        for index in noun.indexes
        if {*index[: len(where.equals)]} == {*where.equals}
        and {*where.ranges} <= {*index[len(where.equals) : len(where.equals) + 1]}
        and {*by, *sums} <= {*index}
        and not many & {*index}
    ]
    if not fits or where.one_of or not by or len(where.ranges) > 1:
        raise ValueError(f"{noun.name}: no index serves this grouping by {', '.join(by)}")
    return min(fits, key=len)


def holders_index(
    noun: Noun[Any],
    column: str,
    groups: Mapping[str, Sequence[Scalar]],
    by: str,
    among: Sequence[Scalar],
    most: int,
) -> tuple[str, ...]:
    """The declared index that counts holders. ValueError for what the port does not allow."""
    if not 1 <= most <= MAX_HOLDERS:
        raise ValueError(f"most: from 1 to {MAX_HOLDERS:,}")
    if sum(map(len, groups.values())) > MAX_ROWS or len(among) > MAX_COMBINATIONS:
        raise ValueError(f"groups: at most {MAX_ROWS} values; among: {MAX_COMBINATIONS}")
    for index in noun.indexes:
        if index[:2] == (column, by) and column in noun.many:
            return index
    raise ValueError(f"{noun.name}: no index counts the holders of {column} by {by}")


def having_index(
    noun: Noun[Any], column: str, values: Sequence[Scalar], limit: int
) -> tuple[str, ...]:
    """The shortest declared index by a column. ValueError for what the port does not allow."""
    if not 1 <= limit <= MAX_ROWS:
        raise ValueError(f"limit: from 1 to {MAX_ROWS}")
    if len(values) > MAX_COMBINATIONS:
        raise ValueError(f"values: at most {MAX_COMBINATIONS}")
    many = {each.name for each in noun.columns if each.many}
    fits = [index for index in noun.indexes if index[0] == column and column not in many]
    if not fits:
        raise ValueError(f"{noun.name}: no index begins with {column}")
    return min(fits, key=len)


def combinations(where: Filter, leads: Sequence[str]) -> Sequence[Mapping[str, Scalar]]:
    """Every combination of one value for each leading column; none where nothing can match.

    ValueError for more than MAX_COMBINATIONS, which no store merges well.
    """
    choices = {name: (value,) for name, value in where.equals.items() if name in leads} | {
        name: tuple(dict.fromkeys(values)) for name, values in where.one_of.items() if name in leads
    }
    if not all(where.one_of.values()):
        return []
    if prod(map(len, choices.values())) > MAX_COMBINATIONS:
        raise ValueError(f"one_of: at most {MAX_COMBINATIONS} combinations")
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]


def check_list(after: Position | None, before: Position | None, limit: int) -> None:
    """ValueError for a page that the port does not allow."""
    if not 1 <= limit <= MAX_ROWS:
        raise ValueError(f"limit: from 1 to {MAX_ROWS}")
    if after is not None and before is not None:
        raise ValueError("after, before: at most one of them")


def row_page(
    rows: Sequence[Row[T]],
    positions: Sequence[Position],
    limit: int,
    *,
    after: Position | None,
    before: Position | None,
    end: Position | None,
) -> RowPage[T]:
    """A page from the rows of a scan and their positions, one more than `limit` if there is.

    A scan that `before` began went against the order. `end` is where the scan was to end short.
    """
    beyond = positions[limit - 1] if len(rows) > limit else end
    page, places = list(rows[:limit]), positions[:limit]
    if before is None:
        return RowPage(page, beyond, places[0] if places and after is not None else None)
    return RowPage(page[::-1], places[0] if places else None, beyond)


def check_bounds(count: int) -> None:
    """ValueError for more rows in one call than the port allows."""
    if count > MAX_ROWS:
        raise ValueError(f"at most {MAX_ROWS} rows a call")


@cache
def _readers(
    noun: Noun[T],
) -> tuple[tuple[str, tuple[Callable[[Any], Any], ...], Scalar | None], ...]:
    """The columns of the snapshot, with what reads each from an object, and what it else is."""
    return tuple(
        (
            column.name,
            tuple(attrgetter(path.removeprefix(_OBJECT)) for path in column.paths),
            column.absent,
        )
        for column in noun.columns
        if column.of_snapshot and not column.many
    )


@cache
def _many_readers(
    noun: Noun[T],
) -> tuple[tuple[str, Callable[[Any], Any], Callable[[Any], Any] | None], ...]:
    """The columns of many values, with what reads the sequence, and what its elements (or None)."""
    found = []
    for column in noun.columns:
        if column.many:
            path, _, within = column.paths[0].removeprefix(_OBJECT).partition("[].")
            found.append((column.name, attrgetter(path), attrgetter(within) if within else None))
    return tuple(found)


def _elements(
    found: MirroredObject,
    name: str,
    read: Callable[[Any], Any],
    within: Callable[[Any], Any] | None,
) -> Iterator[Scalar]:
    for element in read(found) or ():
        value = _plain(element if within is None else within(element), name)
        if value is not None:
            yield value


@cache
def _derived_paths(
    noun: Noun[T],
) -> tuple[tuple[str, tuple[str | tuple[str, ...], ...], Scalar | None], ...]:
    """The columns of the derived half: whence each has its value, and what it else is.

    That is steps below `derived`, or the name of a column of the snapshot.
    """
    return tuple(
        (
            column.name,
            tuple(
                tuple(source.split(".")[1:]) if source.startswith(_DERIVED) else source
                for source in noun.beside(column)
            ),
            column.absent,
        )
        for column in noun.columns
        if column.of_derived
    )


def _read(found: MirroredObject, name: str, read: Callable[[Any], Any]) -> Scalar | None:
    try:
        return _plain(read(found), name)
    except AttributeError:
        return None  # something on the way is null


def _follow(derived: Mapping[str, Mapping[str, Any]], name: str, path: Sequence[str]) -> Any:
    value: Any = derived
    for step in path:
        value = value.get(step)
        if value is None:
            return None
    return _plain(value, name)


def _plain(value: Any, name: str) -> Scalar | None:
    if value is None or isinstance(value, (str, int)):  # a boolean is an int
        return value
    if isinstance(value, dt.datetime):
        return to_milliseconds(value)
    raise TypeError(f"{name}: a column holds text, an integer, a boolean or an instant")


def to_json(value: Any) -> bytes:
    """JSON of a dataclass or plain data; instants as RFC 3339 text."""
    return msgspec.json.encode(value)


def to_builtins(value: Any) -> Any:
    """Plain data that keeps datetimes and bytes as they are."""
    return msgspec.to_builtins(value, builtin_types=(dt.datetime, bytes))
