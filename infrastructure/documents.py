"""How domain objects become documents and back: the same for every store.

msgspec turns the dataclasses into plain data and back, so no entity has a mapping of its own. An
instant inside a document stays a datetime where the store has such a type (MongoDB) and is RFC 3339
text where it has not (SQLite's JSON); an instant in a column is integer milliseconds in both.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import product
from math import prod
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec

from application.mirror.ports import Filter, Noun, Order
from application.requests.paging import Scalar
from domain.mirror import MirroredObject
from domain.periods import to_milliseconds
from domain.search import MAX_QUERY_WORDS, MAX_READINGS, RULES, object_words

T = TypeVar("T", bound=MirroredObject)

MAX_ROWS: Final = 1_000
"""How many rows one call of the mirror reads or writes at most."""

MAX_COMBINATIONS: Final = 100
"""How many combinations of `one_of` values one list may ask for (SQLite merges at most 500)."""

_OBJECT: Final = "object."


def column_values(
    noun: Noun[T], found: T | None, derived: Mapping[str, Mapping[str, Any]]
) -> dict[str, Scalar | None]:
    """The values of a row's columns, in the order of the declaration; null where `found` is None.

    `derived` maps a facet's name to its values.
    """
    values: dict[str, Scalar | None] = dict.fromkeys(column.name for column in noun.columns)
    if found is not None:
        for name, read in _readers(noun):
            values[name] = _read(found, name, read)
        for name, path in _derived_paths(noun):
            values[name] = _follow(derived, name, path)
    return values


def derived_values(
    noun: Noun[T], derived: Mapping[str, Mapping[str, Any]]
) -> dict[str, Scalar | None]:
    """The values of those columns of a live row that come from its derived half."""
    return {name: _follow(derived, name, path) for name, path in _derived_paths(noun)}


def search_words(noun: Noun[T], found: T | None) -> tuple[str, ...]:
    """The words by which an object is found; none for a deleted one, or an unsearched noun."""
    if found is None or noun.search is None:
        return ()
    texts, phones = (
        [getattr(found, name) or "" for name in names]
        for names in (noun.search.texts, noun.search.phones)
    )
    return object_words(texts, phones)


def search_stamp(noun: Noun[Any]) -> str:
    """What the stored words of a noun follow from: where it changes they are made anew."""
    if noun.search is None:
        return ""
    return f"{RULES}: {', '.join(noun.search.texts)}; {', '.join(noun.search.phones)}"


def check_search(noun: Noun[Any], readings: Sequence[Sequence[str]], limit: int) -> None:
    """ValueError for a search that the port does not allow."""
    if noun.search is None:
        raise ValueError(f"{noun.name}: is not searched")
    if not 1 <= len(readings) <= MAX_READINGS:
        raise ValueError(f"readings: from 1 to {MAX_READINGS}")
    if not all(1 <= len(words) <= MAX_QUERY_WORDS for words in readings):
        raise ValueError(f"words: from 1 to {MAX_QUERY_WORDS} a reading")
    if not 1 <= limit <= MAX_ROWS:
        raise ValueError(f"limit: from 1 to {MAX_ROWS}")


def serving_index(noun: Noun[T], where: Filter, order: Order) -> tuple[str, ...]:
    """The declared index that serves a list: its last column orders, those before are filtered.

    A filter with `equals` or `one_of` narrows one of the columns before the last, a range the last
    one. ValueError where the noun declares no such index: a list never scans and never sorts.
    """
    fixed = {*where.equals, *where.one_of}
    if len(fixed) == len(where.equals) + len(where.one_of) and set(where.ranges) <= {order.column}:
        for index in noun.indexes:
            if index[-1] == order.column and set(index[:-1]) == fixed:
                return index
    raise ValueError(f"{noun.name}: no index serves this filter in the order of {order.column}")


def combinations(where: Filter) -> Sequence[Mapping[str, Scalar]]:
    """Every combination of one value for each filtered column; none where nothing can match.

    ValueError for more than MAX_COMBINATIONS, which no store merges well.
    """
    choices = {name: (value,) for name, value in where.equals.items()} | {
        name: tuple(dict.fromkeys(values)) for name, values in where.one_of.items()
    }
    if prod(map(len, choices.values())) > MAX_COMBINATIONS:
        raise ValueError(f"one_of: at most {MAX_COMBINATIONS} combinations")
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]


def check_bounds(count: int) -> None:
    """ValueError for more rows in one call than the port allows."""
    if count > MAX_ROWS:
        raise ValueError(f"at most {MAX_ROWS} rows a call")


@cache
def _readers(noun: Noun[T]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    """The columns of the snapshot, with what reads each from an object."""
    return tuple(
        (column.name, attrgetter(column.path.removeprefix(_OBJECT)))
        for column in noun.columns
        if column.path.startswith(_OBJECT)
    )


@cache
def _derived_paths(noun: Noun[T]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The columns of the derived half, with the path to each below `derived`."""
    return tuple(
        (column.name, tuple(column.path.split(".")[1:]))
        for column in noun.columns
        if not column.path.startswith(_OBJECT)
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
