"""Columns of many values: a table beside that of the rows, a line a value.

It is written by the job that writes the row. A line holds, beside its value, the columns that stand
behind it in an index of the declaration, so that such an index is one of this table.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from application.mirror.ports import Holders, Noun
from application.requests.paging import Scalar
from infrastructure.documents import ID, to_json
from infrastructure.sqlite.core.names import quoted

Lines = Sequence[tuple[Scalar | None, ...]]
"""The lines of a row in one table: its value, then the columns beside it."""

_OF_TERMS: Final = "terms"


def leading_many(noun: Noun[Any], index: Sequence[str]) -> str | None:
    """The column of many values that leads an index, if one does."""
    return index[0] if index[0] in noun.many else None


def many_table(noun: Noun[Any], column: str) -> str:
    """The name of the table of a column."""
    return f"{noun.collection} {column}"


def many_stamp(noun: Noun[Any], column: str, path: str) -> str:
    """What the lines of a column follow from: where it changes they are made anew."""
    return " beside ".join((path, ", ".join(_beside(noun, column))))


def _beside(noun: Noun[Any], column: str) -> list[str]:
    behind = (name for index in noun.indexes if index[0] == column for name in index[1:])
    return [name for name in dict.fromkeys(behind) if name != ID]


def prepare_many(connection: sqlite3.Connection, noun: Noun[Any], changed: set[str]) -> None:
    """Make the tables of a noun's columns of many values, those that changed empty.

    The tables of columns that are no longer declared are removed.
    """
    many = {*noun.many}
    if _OF_TERMS in many:
        raise ValueError(f"{noun.name}: the store needs this column name: {_OF_TERMS}")
    kept = {many_table(noun, name) for name in many} | {f"{noun.collection} {_OF_TERMS}"}
    for (table,) in connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table'"
    ).fetchall():
        beside = table.startswith(f"{noun.collection} ")
        if beside and (table not in kept or table in {many_table(noun, one) for one in changed}):
            connection.execute(f"DROP TABLE {quoted(table)}")
    for name in many:
        columns = [name, *_beside(noun, name)]
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {quoted(many_table(noun, name))} ("
            f"stripe_account TEXT NOT NULL, id TEXT NOT NULL, {', '.join(map(quoted, columns))},"
            f" PRIMARY KEY (stripe_account, id, {quoted(name)})) WITHOUT ROWID"
        )


class ManyIndex:
    """The statements on the tables of one noun's columns of many values, built once."""

    def __init__(self, noun: Noun[Any], names: Sequence[str] | None = None) -> None:
        """Of all its columns of many values, or of those that are named."""
        self._tables = [
            _Lines(noun, name, _beside(noun, name))
            for name in noun.many
            if names is None or name in names
        ]

    def __bool__(self) -> bool:
        return bool(self._tables)

    def change(
        self,
        connection: sqlite3.Connection,
        key: tuple[str, str],
        values: Mapping[str, Sequence[Scalar]],
        columns: Mapping[str, Scalar | None],
        *,
        fresh: bool,
    ) -> None:
        """Let the lines of a row be those of its values now; `fresh`: it had none."""
        for table in self._tables:
            table.change(connection, key, values[table.column], columns, fresh=fresh)


class _Lines:
    def __init__(self, noun: Noun[Any], column: str, beside: Sequence[str]) -> None:
        self.column = column
        self._beside = beside
        table, names = quoted(many_table(noun, column)), ", ".join(map(quoted, (column, *beside)))
        marks = ", ".join("?" * (3 + len(beside)))
        self._of = f"SELECT {names} FROM {table} WHERE stripe_account = ? AND id = ?"
        self._delete = f"DELETE FROM {table} WHERE stripe_account = ? AND id = ?"
        self._insert = f"INSERT INTO {table} (stripe_account, id, {names}) VALUES ({marks})"

    def change(
        self,
        connection: sqlite3.Connection,
        key: tuple[str, str],
        values: Sequence[Scalar],
        columns: Mapping[str, Scalar | None],
        *,
        fresh: bool,
    ) -> None:
        beside = [columns[name] for name in self._beside]
        lines: Lines = [(value, *beside) for value in values]
        if not fresh:
            stored = connection.execute(self._of, key).fetchall()
            if {*stored} == {*lines}:
                return
            connection.execute(self._delete, key)
        connection.executemany(self._insert, [(*key, *line) for line in lines])


class HolderCount:
    """How many rows hold the values of some groups.

    A value is counted where its entries stand. Only where a group has several values that are held
    are the rows told apart, since one that holds two of them counts once.
    """

    def __init__(
        self,
        noun: Noun[Any],
        stripe_account: str,
        column: str,
        groups: Mapping[str, Sequence[Scalar]],
        by: str,
        among: Sequence[Scalar],
        most: int,
        index: str,
    ) -> None:
        """`index` is the name of that which `holders_index` chose; `among` is not empty."""
        self._groups = groups
        self._among = among
        self._account = stripe_account
        self._most = most
        keys = f"{quoted(many_table(noun, column))} AS k INDEXED BY {quoted(index)}"
        value, told = f"k.{quoted(column)}", f"k.{quoted(by)}"
        marks = ", ".join("?" * len(self._among))
        counts = (
            f"(SELECT count(*) FROM (SELECT 1 FROM {keys} WHERE k.stripe_account = ?1"
            f" AND {value} = w.value AND {told} = ?{place} LIMIT ?2))"
            for place in range(4, 4 + len(self._among))
        )
        self._counts = f"SELECT w.value, {', '.join(counts)} FROM json_each(?3) AS w"
        self._all = (
            f"SELECT {value}, {told}, k.id FROM json_each(?) AS w CROSS JOIN {keys}"
            f" WHERE k.stripe_account = ? AND {value} = w.value AND {told} IN ({marks})"
        )
        self._each = (
            f"SELECT k.id FROM {keys} WHERE k.stripe_account = ? AND {value} = ? AND {told} = ?"
            " LIMIT ?"
        )

    def counted(self, connection: sqlite3.Connection) -> list[Holders]:
        """The counts of the groups; `more` where one of a group's values has too many rows."""
        values = dict.fromkeys(chain(*self._groups.values()))
        bound = (self._account, self._most + 1, to_json(list(values)).decode(), *self._among)
        counts = {row[0]: row[1:] for row in connection.execute(self._counts, bound)}
        found: list[Holders] = []
        shared: dict[str, list[Scalar]] = {}
        for group, named in self._groups.items():
            held = [value for value in named if any(counts[value])]
            if len(held) > 1:
                held = [*dict.fromkeys(held)]
            if len(held) == 1:
                found.append(self._of_value(group, counts[held[0]]))
            elif held:
                shared[group] = held
        if shared:
            total = sum(sum(counts[value]) for value in {*chain(*shared.values())})
            apart = self._apart if total > self._most else self._together
            found += apart(connection, shared)
        return found

    def _of_value(self, group: str, counts: tuple[int, ...]) -> Holders:
        """The holders of a group of which one value is held."""
        if max(counts) <= self._most:
            return Holders(group, counts)
        return Holders(group, tuple(min(count, self._most) for count in counts), more=True)

    def _together(
        self, connection: sqlite3.Connection, shared: Mapping[str, Sequence[Scalar]]
    ) -> Iterator[Holders]:
        """The rows of all these groups at once: they are few."""
        wanted = to_json([*dict.fromkeys(chain(*shared.values()))]).decode()
        bound = (wanted, self._account, *self._among)
        ids: dict[tuple[Scalar, Scalar], list[str]] = defaultdict(list)
        for value, told, id_ in connection.execute(self._all, bound):
            ids[value, told].append(id_)
        for group, held in shared.items():
            yield Holders(
                group,
                tuple(
                    len({id_ for value in held for id_ in ids.get((value, told), ())})
                    for told in self._among
                ),
            )

    def _apart(
        self, connection: sqlite3.Connection, shared: Mapping[str, Sequence[Scalar]]
    ) -> Iterator[Holders]:
        """The same, each value by itself, of which at most so many rows are counted."""
        for group, held in shared.items():
            counts: list[int] = []
            more = False
            for told in self._among:
                ids: set[str] = set()
                for value in held:
                    bound = (self._account, value, told, self._most + 1)
                    rows = connection.execute(self._each, bound).fetchall()
                    more |= len(rows) > self._most
                    ids.update(id_ for (id_,) in rows[: self._most])
                counts.append(len(ids))
            yield Holders(group, tuple(counts), more)
