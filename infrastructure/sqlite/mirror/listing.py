"""Lists of mirrored rows as SQL that an index answers in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from application.mirror.ports import Filter, Noun, Order
from application.requests.paging import Position, Scalar
from infrastructure.documents import combinations, serving_index
from infrastructure.sqlite.core.names import MIN_INTEGER, quoted


@dataclass(frozen=True, slots=True)
class Query:
    """A statement and the values bound to it."""

    sql: str
    values: Sequence[Scalar]


def list_query(
    noun: Noun[Any],
    columns: str,
    stripe_account: str,
    where: Filter,
    order: Order,
    after: Position | None,
    limit: int,
) -> Query | None:
    """The query of one page, the order column's value last in each row; None: nothing can match.

    Each combination of `one_of` values is a branch that its index range gives in order; SQLite
    merges the branches, so nothing is sorted and `limit` ends the reading. ValueError where no
    declared index serves the list, or it has too many combinations.
    """
    serving_index(noun, where, order)
    branches = combinations(where)
    if not branches:
        return None
    bounds, bound_values = _bounds(where, order, after)
    conditions = ["stripe_account = ?", *(f"{quoted(name)} = ?" for name in branches[0]), *bounds]
    branch = (
        f"SELECT {columns}, {quoted(order.column)} AS position FROM {quoted(noun.collection)}"
        f" WHERE {' AND '.join(conditions)}"
    )
    direction = "DESC" if order.descending else "ASC"
    sql = (
        " UNION ALL ".join([branch] * len(branches))
        + f" ORDER BY position {direction}, id {direction} LIMIT ?"
    )
    values: list[Scalar] = []
    for combination in branches:
        values += [stripe_account, *combination.values(), *bound_values]
    return Query(sql, [*values, limit])


def _bounds(
    where: Filter, order: Order, after: Position | None
) -> tuple[Sequence[str], Sequence[Scalar]]:
    """Conditions on the order column: at most one from below and one from above.

    A second one on the same side would be checked row by row instead of narrowing the range, and
    a late page would read all that come before it.
    """
    low, high = where.ranges.get(order.column, (None, None))
    column = quoted(order.column)
    lower: tuple[str, tuple[Scalar, ...]] = (f"{column} >= {MIN_INTEGER}", ())
    upper: tuple[str, tuple[Scalar, ...]] = ("", ())
    if low is not None:
        lower = (f"{column} >= ?", (low,))
    if high is not None:
        upper = (f"{column} < ?", (high,))
    if after is not None:
        beyond = (
            f"({column}, id) {'<' if order.descending else '>'} (?, ?)",
            (after.value, after.id),
        )
        if order.descending and not _beyond(after.value, high):
            upper = beyond
        elif not order.descending and not _before(after.value, low):
            lower = beyond
    sides = [side for side in (lower, upper) if side[0]]
    return [side[0] for side in sides], [value for side in sides for value in side[1]]


def _beyond(value: Scalar, high: int | None) -> bool:
    return high is not None and not isinstance(value, str) and value >= high


def _before(value: Scalar, low: int | None) -> bool:
    return low is not None and not isinstance(value, str) and value < low
