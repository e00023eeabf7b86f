"""Lists of mirrored rows as SQL that an index answers in order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from application.mirror.ports import Filter, Noun, Order
from application.requests.paging import Position, Scalar
from infrastructure import documents
from infrastructure.documents import combinations, grouping_index, serving
from infrastructure.sqlite.core.names import MIN_INTEGER, quoted
from infrastructure.sqlite.mirror.columns import index_name
from infrastructure.sqlite.mirror.many import leading_many, many_table

_ROW: Final = "revision, low, high, sent_at, known_at, unknown, befores, object, facets"


@dataclass(frozen=True, slots=True)
class Query:
    """A statement and the values bound to it."""

    sql: str
    values: Sequence[Scalar]


class ListQuery:
    """The statements of one page: each row's own columns, and the order column's value last.

    Each combination of leading `one_of` values is a branch that its index range gives in order;
    SQLite merges the branches, so nothing is sorted and `limit` ends the reading. `empty`: nothing
    can match. ValueError where no declared index serves the list, or it has too many combinations.
    """

    def __init__(
        self,
        noun: Noun[Any],
        stripe_account: str,
        where: Filter,
        order: Order,
        after: Position | None,
        before: Position | None,
    ) -> None:
        self._noun = noun
        self._stripe_account = stripe_account
        self._where = where
        self._order = order.column
        # Before a position the list is read against its order, and the page turned round.
        self._descending = order.descending != (before is not None)
        self._start = after if before is None else before
        self._serving = serving(noun, where, order)
        self._branches = combinations(where, self._serving.leads)
        self.empty: Final = not self._branches

    @property
    def looks(self) -> Query | None:
        """What gives the position of the last entry that may be looked at; None if all may.

        Nothing but the index is read for it.
        """
        if not self._serving.tests:
            return None
        key = "k.id AS id"
        return self._query(key, None, [], [], 1, documents.MAX_LOOKED_AT - 1)

    def page(self, end: Position | None, limit: int) -> Query:
        """What gives at most `limit` rows, up to the position of the last entry to look at."""
        tests, values = _tests(self._where, self._serving.tests)
        rows = "k" if leading_many(self._noun, self._serving.index) is None else "r"
        columns = ", ".join(["k.id AS id", *(f"{rows}.{name}" for name in _ROW.split(", "))])
        return self._query(columns, end, tests, values, limit, 0)

    def _query(
        self,
        columns: str,
        end: Position | None,
        tests: Sequence[str],
        tested: Sequence[Scalar],
        limit: int,
        offset: int,
    ) -> Query:
        bounds, bound_values = self._bounds(end)
        conditions = [
            "k.stripe_account = ?",
            *(f"k.{quoted(name)} = ?" for name in self._branches[0]),
            *bounds,
            *tests,
        ]
        branch = (
            f"SELECT {columns}, k.{quoted(self._order)} AS position FROM {self._source(columns)}"
            f" WHERE {' AND '.join(conditions)}"
        )
        direction = "DESC" if self._descending else "ASC"
        sql = (
            " UNION ALL ".join([branch] * len(self._branches))
            + f" ORDER BY position {direction}, id {direction} LIMIT ?"
            + (" OFFSET ?" if offset else "")
        )
        values: list[Scalar] = []
        for combination in self._branches:
            values += [self._stripe_account, *combination.values(), *bound_values, *tested]
        return Query(sql, [*values, limit, *([offset] if offset else [])])

    def _source(self, columns: str) -> str:
        """Where the keys `k` come from, and the rows `r` where those stand in another table.

        The index is named: between several that might do SQLite would guess.
        """
        table, index = quoted(self._noun.collection), self._serving.index
        by = f"INDEXED BY {quoted(index_name(self._noun, index))}"
        many = leading_many(self._noun, index)
        if many is None:
            return f"{table} AS k {by}"
        keys = f"{quoted(many_table(self._noun, many))} AS k {by}"
        if "r." not in columns:
            return keys
        same = "r.stripe_account = k.stripe_account AND r.id = k.id"
        return f"{keys} CROSS JOIN {table} AS r ON {same}"

    def _bounds(self, end: Position | None) -> tuple[Sequence[str], Sequence[Scalar]]:
        """Conditions on the order column: at most one from below and one from above.

        A second one on the same side would be checked row by row instead of narrowing the range,
        and a late page would read all that come before it.
        """
        low, high = self._where.ranges.get(self._order, (None, None))
        start, descending = self._start, self._descending
        column = f"k.{quoted(self._order)}"
        lower: tuple[str, tuple[Scalar, ...]] = (f"{column} >= {MIN_INTEGER}", ())
        upper: tuple[str, tuple[Scalar, ...]] = ("", ())
        if low is not None:
            lower = (f"{column} >= ?", (low,))
        if high is not None:
            upper = (f"{column} < ?", (high,))
        if start is not None and descending and not _beyond(start.value, high):
            upper = (f"({column}, k.id) < (?, ?)", (start.value, start.id))
        elif start is not None and not descending and not _before(start.value, low):
            lower = (f"({column}, k.id) > (?, ?)", (start.value, start.id))
        if end is not None and descending:
            lower = (f"({column}, k.id) >= (?, ?)", (end.value, end.id))
        elif end is not None:
            upper = (f"({column}, k.id) <= (?, ?)", (end.value, end.id))
        sides = [side for side in (lower, upper) if side[0]]
        return [side[0] for side in sides], [value for side in sides for value in side[1]]


def group_query(
    noun: Noun[Any], stripe_account: str, where: Filter, by: Sequence[str], sums: Sequence[str]
) -> Query:
    """A grouping, from an index alone. ValueError where no declared one has all its columns."""
    index = grouping_index(noun, where, by, sums)
    conditions = ["stripe_account = ?", *(f"{quoted(name)} = ?" for name in where.equals)]
    values: list[Scalar] = [stripe_account, *where.equals.values()]
    for name, (low, high) in where.ranges.items():
        for sign, bound in ((">=", low), ("<", high)):
            if bound is not None:
                conditions.append(f"{quoted(name)} {sign} ?")
                values.append(bound)
    if not where.equals:
        conditions.append(f"{quoted(index[0])} >= {MIN_INTEGER}")
    grouped = ", ".join(map(quoted, by))
    summed = "".join(f", coalesce(sum({quoted(name)}), 0)" for name in sums)
    sql = (
        f"SELECT {grouped}, count(*){summed} FROM {quoted(noun.collection)}"
        f" INDEXED BY {quoted(index_name(noun, index))} WHERE {' AND '.join(conditions)}"
        f" GROUP BY {grouped} LIMIT {documents.MAX_GROUPS}"
    )
    return Query(sql, values)


def _tests(where: Filter, tested: frozenset[str]) -> tuple[list[str], list[Scalar]]:
    """The conditions that are looked at entry by entry, and their values."""
    found = list(_conditions(where, tested))
    return [sql for sql, _ in found], [value for _, values in found for value in values]


def _conditions(where: Filter, tested: frozenset[str]) -> Iterator[tuple[str, Sequence[Scalar]]]:
    for name in sorted(tested):
        column = f"k.{quoted(name)}"
        if name in where.equals:
            yield f"{column} = ?", [where.equals[name]]
        if name in where.one_of:
            wanted = where.one_of[name]
            yield f"{column} IN ({', '.join('?' * len(wanted))})", wanted
        low, high = where.ranges.get(name, (None, None))
        if low is not None:
            yield f"{column} >= ?", [low]
        if high is not None:
            yield f"{column} < ?", [high]


def _beyond(value: Scalar, high: int | None) -> bool:
    return high is not None and not isinstance(value, str) and value >= high


def _before(value: Scalar, low: int | None) -> bool:
    return low is not None and not isinstance(value, str) and value < low
