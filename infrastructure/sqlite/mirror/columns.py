"""Mirror tables that follow their declarations: made at start, and filled where those changed."""

import logging
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from application.mirror.ports import Noun
from domain.periods import to_milliseconds
from infrastructure.clock import SystemClock
from infrastructure.documents import (
    FIELDS,
    column_values,
    fields_stamp,
    index_keys,
    lacking,
    many_values,
    search_stamp,
    to_json,
)
from infrastructure.sqlite.core.names import quoted
from infrastructure.sqlite.core.tables import columns_of
from infrastructure.sqlite.core.transactions import transaction
from infrastructure.sqlite.mirror.facets import decode_facets, values_of
from infrastructure.sqlite.mirror.many import (
    ManyIndex,
    leading_many,
    many_stamp,
    many_table,
    prepare_many,
)
from infrastructure.sqlite.mirror.search import (
    NO_TERMS,
    WORDS,
    TermIndex,
    clear_terms,
    prepare_terms,
    words_value,
)

_OWN_COLUMNS: Final = (
    "stripe_account", "id", "revision", "low", "high", "sent_at", "known_at", "unknown",
    "befores", "object", "facets", WORDS,
)  # fmt: skip
"""The columns of a mirrored row that are no declared ones; the last three hold JSON."""

_STAMP_COLUMNS: Final = (
    'INSERT INTO "billing.deployment" (name, value) VALUES (?, ?)'
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_REFILL_ROWS: Final = 1_000
_TOLD_ROWS: Final = 20_000
"""After so many filled rows the log says how far it is."""

_PLACE: Final = "(filled to)"
"""Where a stamp says up to which row, and which columns, are filled: no column has such a name."""

_log = logging.getLogger(__name__)

_decode_keys: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_names: Final = msgspec.json.Decoder(list[str]).decode


def index_name(noun: Noun[Any], columns: Sequence[str]) -> str:
    """The name of the index that a declaration's tuple of columns makes."""
    return f"{noun.collection} by {', '.join(columns)}"


def prepare_mirror(connection: sqlite3.Connection, noun: Noun[Any]) -> bool:
    """Make the tables of a noun; whether they are whole, else `refill` is to follow."""
    paths = _paths_of(noun)
    many = {*noun.many}
    own = [name for name in paths if name not in {*many, FIELDS}]
    table = quoted(noun.collection)
    # Declared columns have no type, so that no affinity turns text into numbers or back.
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {table} ("
        "stripe_account TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL DEFAULT 0,"
        " low INTEGER, high INTEGER, sent_at INTEGER, known_at INTEGER, unknown TEXT, befores TEXT,"
        f" {', '.join(map(quoted, own))}, object TEXT, facets TEXT NOT NULL DEFAULT '{{}}',"
        " PRIMARY KEY (stripe_account, id))"
    )
    present = columns_of(connection, noun.collection)
    for name in own:
        if name not in present:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {quoted(name)}")
    prepare_terms(connection, noun)
    filled = _filled_columns(connection, noun)
    changed = {name for name, path in paths.items() if filled.get(name) != path}
    prepare_many(connection, noun, set() if _PLACE in filled else changed & many)
    if changed and connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone():
        return False
    if filled != paths:
        _stamp(connection, noun, paths)
    _prepare_indexes(connection, noun)
    return True


def _paths_of(noun: Noun[Any]) -> dict[str, str]:
    """The columns that follow the declaration, each with what it is filled from."""
    paths = {
        column.name: many_stamp(noun, column.name, column.source) if column.many else column.source
        for column in noun.columns
    }
    if taken := {*paths} & {*_OWN_COLUMNS}:
        raise ValueError(f"{noun.name}: the store needs these column names: {sorted(taken)}")
    if noun.search is not None:
        # Stamped like a column: a release that knows no search leaves a stamp without it.
        paths[WORDS] = search_stamp(noun)
    paths[FIELDS] = fields_stamp(noun)
    return paths


def _filled_columns(connection: sqlite3.Connection, noun: Noun[Any]) -> dict[str, str]:
    """The declared columns, with their paths, for which the table was last filled."""
    query = 'SELECT value FROM "billing.deployment" WHERE name = ?'
    found = connection.execute(query, (_stamp_of(noun),)).fetchone()
    return {} if found is None else msgspec.json.decode(found[0], type=dict[str, str])


def _stamp(connection: sqlite3.Connection, noun: Noun[Any], filled: dict[str, str]) -> None:
    document = msgspec.json.encode(filled).decode()
    connection.execute(_STAMP_COLUMNS, (_stamp_of(noun), document))


def _stamp_of(noun: Noun[Any]) -> str:
    return f"columns of {noun.collection}"


def _prepare_indexes(connection: sqlite3.Connection, noun: Noun[Any]) -> None:
    of_rows, of_many = dict[str, tuple[str, ...]](), dict[str, tuple[str, ...]]()
    for columns in noun.indexes:
        places = of_rows if leading_many(noun, columns) is None else of_many
        places[index_name(noun, columns)] = columns
    present = {
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_schema"
            " WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL",
            (noun.collection,),
        )
    }
    for name in present - of_rows.keys():
        connection.execute(f"DROP INDEX {quoted(name)}")
    # In the order of the declaration: between two that serve alike SQLite goes by it.
    for name, columns in {**of_rows, **of_many}.items():
        if name not in present:
            table = many_table(noun, columns[0]) if name in of_many else noun.collection
            keys = ", ".join(map(quoted, index_keys(columns)))
            connection.execute(
                f"CREATE INDEX IF NOT EXISTS {quoted(name)} ON {quoted(table)} ({keys})"
            )


def refill(connection: sqlite3.Connection, noun: Noun[Any]) -> None:
    """Fill columns that a declaration gained or moved, and terms, from the documents of all rows.

    A row whose object was stored before a field of it was read names that field unknown.
    Other processes get in between, and one that does the same shares the work.
    """
    read, told = 0, 0
    facts = {"collection": noun.collection}
    while rows := _refill_some(connection, noun):
        read += rows
        if read - told >= _TOLD_ROWS:
            told = read
            _log.info("columns are being filled", extra={**facts, "rows": read})
    _log.info("columns are filled", extra={**facts, "rows": read})


def _refill_some(connection: sqlite3.Connection, noun: Noun[Any]) -> int:
    """One transaction of it, which remembers its place; how many rows it read, 0 at the end.

    The place stands in the stamp, which an earlier release that writes rows puts in its own form:
    then it is gone, and filling begins anew.
    """
    paths = _paths_of(noun)
    with transaction(connection):
        filled = _filled_columns(connection, noun)
        changed = {name: path for name, path in paths.items() if filled.get(name) != path}
        if not changed:
            return 0
        wanted = msgspec.json.encode(changed, order="deterministic").decode()
        rowid, _, aim = filled.get(_PLACE, "").partition(" ")
        after = int(rowid) if aim == wanted else 0
        if not after and WORDS in changed:
            clear_terms(connection, noun)
        if not after:
            prepare_many(connection, noun, changed.keys() & {*noun.many})
        last, rows = _refill_after(connection, noun, after, list(changed))
        if rows:
            kept = {name: path for name, path in filled.items() if paths.get(name) == path}
            _stamp(connection, noun, {**kept, _PLACE: f"{last} {wanted}"})
        else:
            _stamp(connection, noun, paths)
            _prepare_indexes(connection, noun)
        return rows


def _fill_first_known(
    connection: sqlite3.Connection, noun: Noun[Any], after: int, last: int
) -> None:
    """Say of rows that were stored before it was kept when they were first known."""
    column = quoted(str(noun.first_known))
    now = to_milliseconds(SystemClock().now())
    connection.execute(
        f"UPDATE {quoted(noun.collection)} SET {column} = min(coalesce(known_at, ?1), ?1)"
        f" WHERE rowid > ?2 AND rowid <= ?3 AND revision > 0 AND {column} IS NULL",
        (now, after, last),
    )


def _refill_after(
    connection: sqlite3.Connection, noun: Noun[Any], rowid: int, names: Sequence[str]
) -> tuple[int, int]:
    """Fill the rows after one: the last of them, and how many they were."""
    decode = msgspec.json.Decoder(noun.type).decode
    table = quoted(noun.collection)
    many = [name for name in names if name in noun.many]
    own = [name for name in names if name not in {*many, FIELDS, noun.first_known}]
    rows = connection.execute(
        f"SELECT rowid, stripe_account, id, object, facets, unknown FROM {table} WHERE rowid > ?"
        " ORDER BY rowid LIMIT ?",
        (rowid, _REFILL_ROWS),
    ).fetchall()
    if rows and noun.first_known in names:
        _fill_first_known(connection, noun, rowid, rows[-1][0])
    filled, terms, told_less = [], [], []
    lines = ManyIndex(noun, many)
    for rowid, stripe_account, id_, found, facets, unknown in rows:
        if found is not None:
            if FIELDS in names and (names_lacking := lacking(noun, _decode_keys(found))):
                known = {*_decode_names(unknown)} if unknown else set()
                told_less.append((to_json(sorted(known | names_lacking)).decode(), rowid))
            told = decode(found)
            values = column_values(noun, told, values_of(decode_facets(facets)))
            values[WORDS] = words_value(noun, told)
            filled.append((*(values[name] for name in own), rowid))
            key = (stripe_account, id_)
            if WORDS in names:
                terms.append((key, (values[WORDS], values["created"])))
            if many:
                lines.change(connection, key, many_values(noun, told), values, fresh=False)
    if own:
        assignments = ", ".join(f"{quoted(name)} = ?" for name in own)
        connection.executemany(f"UPDATE {table} SET {assignments} WHERE rowid = ?", filled)
    connection.executemany(f"UPDATE {table} SET unknown = ? WHERE rowid = ?", told_less)
    if terms:
        index = TermIndex(noun)
        for key, after in terms:
            index.change(connection, key, NO_TERMS, after)
    return rowid, len(rows)
