"""Columns of many values: a table beside that of the rows, a line a value.

It is written by the job that writes the row. A line holds, beside its value, the columns that stand
behind it in an index of the declaration, so that such an index is one of this table.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from application.mirror.ports import Noun
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
    """How many rows hold the values of some groups."""

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
        """`index` is the name of that which `holders_index` chose."""
        self._groups = groups
        self._among = list(dict.fromkeys(among))
        self._account = stripe_account
        self._most = most
        keys = f"{quoted(many_table(noun, column))} AS k INDEXED BY {quoted(index)}"
        value, told = f"k.{quoted(column)}", f"k.{quoted(by)}"
        marks = ", ".join("?" * len(self._among))
        self._all = (
            f"SELECT {value}, {told}, k.id FROM json_each(?) AS w CROSS JOIN {keys}"
            f" WHERE k.stripe_account = ? AND {value} = w.value AND {told} IN ({marks}) LIMIT ?"
        )
        self._each = (
            f"SELECT k.id FROM {keys} WHERE k.stripe_account = ? AND {value} = ? AND {told} = ?"
            " LIMIT ?"
        )

    def counted(self, connection: sqlite3.Connection) -> list[tuple[Any, ...]] | None:
        """Group, value, count, whether there are more; None where one value may have too many."""
        groups: dict[Scalar, list[str]] = defaultdict(list)
        for group, values in self._groups.items():
            for value in dict.fromkeys(values):
                groups[value].append(group)
        wanted = to_json(list(groups)).decode()
        bound = (wanted, self._account, *self._among, self._most + 1)
        found = connection.execute(self._all, bound).fetchall()
        if len(found) > self._most:
            return None
        ids: dict[tuple[str, Scalar], set[str]] = defaultdict(set)
        for value, told, id_ in found:
            for group in groups[value]:
                ids[group, told].add(id_)
        return [(*key, len(holders), False) for key, holders in ids.items()]

    def counted_apart(self, connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
        """The same, each value by itself, of which at most so many rows are counted."""
        rows: list[tuple[Any, ...]] = []
        for group, values in self._groups.items():
            for told in self._among:
                ids: set[str] = set()
                more = False
                for value in dict.fromkeys(values):
                    bound = (self._account, value, told, self._most + 1)
                    found = connection.execute(self._each, bound).fetchall()
                    more |= len(found) > self._most
                    ids.update(id_ for (id_,) in found[: self._most])
                if ids:
                    rows.append((group, told, len(ids), more))
        return rows
