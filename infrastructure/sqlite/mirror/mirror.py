"""The mirror in SQLite: one table a noun, a JSON document beside plain columns."""

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from application.background.clock import Clock
from application.mirror.ports import Counted, Filter, Group, Holders, Live, Noun, Order, RowPage
from application.requests.paging import Position, Scalar
from domain.mirror import Facet, MirroredObject, Row, Snapshot, Version
from domain.periods import to_milliseconds
from infrastructure.befores import EncodedBefore, ReadBefore
from infrastructure.clock import SystemClock
from infrastructure.day_marks import Marked, changed_marks
from infrastructure.documents import (
    check_bounds,
    check_list,
    column_values,
    derived_columns,
    derived_values,
    fallbacks,
    filled_columns,
    having_index,
    holders_index,
    many_values,
    row_page,
    search_readings,
    to_json,
)
from infrastructure.sqlite.core.database import Database, Job
from infrastructure.sqlite.core.names import MIN_INTEGER, quoted
from infrastructure.sqlite.core.row_cache import Key as RowKey
from infrastructure.sqlite.core.row_cache import RowCache
from infrastructure.sqlite.mirror.changes import NOT_STORED, ChangeLog
from infrastructure.sqlite.mirror.columns import index_name
from infrastructure.sqlite.mirror.facets import (
    EMPTY,
    StoredFacet,
    decode_facets,
    encode_facets,
    to_domain,
    values_of,
)
from infrastructure.sqlite.mirror.listing import ListQuery, Query, group_query
from infrastructure.sqlite.mirror.many import HolderCount, ManyIndex
from infrastructure.sqlite.mirror.search import NO_TERMS, WORDS, TermIndex, words_value
from infrastructure.sqlite.remembered_figures import raise_marks

T = TypeVar("T", bound=MirroredObject)
R = TypeVar("R")
Key = tuple[str, str]

_FEW: Final = 32
"""Up to so many rows are encoded at once; more of them in a thread, beside the event loop."""

_OWN: Final = ("low", "high", "sent_at", "known_at", "unknown", "befores", "object")
"""The columns that a snapshot fills whatever its noun, in the order of `_Prepared.own`."""

_ROW: Final = "id, revision, low, high, sent_at, known_at, unknown, befores, object, facets"
_FOUND_ROW: Final = ", ".join(f"r.{name}" for name in _ROW.split(", "))


class SqliteMirror:
    """`application.mirror.ports.Mirror` on one SQLite file."""

    def __init__(
        self, database: Database, read_before: ReadBefore, clock: Clock | None = None
    ) -> None:
        self._database = database
        self._read_before = read_before
        self._clock = clock or SystemClock()
        self._tables: dict[str, _Table[Any]] = {}
        self._cache: RowCache[Row[Any]] = RowCache()

    def _table(self, noun: Noun[T]) -> "_Table[T]":
        if noun.name not in self._tables:
            self._tables[noun.name] = _Table(noun, self._read_before)
        return self._tables[noun.name]

    async def fetch(
        self, noun: Noun[T], stripe_account: str, ids: Sequence[str]
    ) -> Mapping[str, Row[T]]:
        check_bounds(len(ids))
        if len(ids) == 1:
            return await self._fetch_one(noun, stripe_account, ids[0])
        table = self._table(noun)

        def job(connection: sqlite3.Connection) -> dict[str, Row[T]]:
            found = connection.execute(table.fetch, (stripe_account, to_json(ids).decode()))
            return {row[0]: table.to_row(stripe_account, row) for row in found}

        return await self._database.read(job)

    async def _fetch_one(
        self, noun: Noun[T], stripe_account: str, object_id: str
    ) -> Mapping[str, Row[T]]:
        key = (noun.name, stripe_account, object_id)
        if row := self._cache.get(key):
            return {object_id: row}
        moment = self._cache.moment
        table = self._table(noun)

        def job(connection: sqlite3.Connection) -> Row[T] | None:
            found = connection.execute(table.fetch_one, (stripe_account, object_id)).fetchone()
            return None if found is None else table.to_row(stripe_account, found)

        row = await self._database.read(job)
        if row is None:
            return {}
        self._cache.keep(key, row, moment)
        return {object_id: row}

    async def replace(
        self,
        noun: Noun[T],
        snapshots: Sequence[tuple[Snapshot[T], int]],
        *,
        closed: Mapping[str, int] | None = None,
    ) -> Sequence[tuple[str, str]]:
        check_bounds(len(snapshots))
        table = self._table(noun)
        if len(snapshots) <= _FEW:
            prepared = table.prepare(snapshots)
        else:
            prepared = await asyncio.to_thread(table.prepare, snapshots)
        keys = [(noun.name, snapshot.stripe_account, snapshot.id) for snapshot, _ in snapshots]

        def job(connection: sqlite3.Connection) -> Sequence[Key]:
            # The instant of the write itself: what waits for the writer is not known yet.
            now = to_milliseconds(self._clock.now())
            return table.store(prepared, connection, closed or {}, now)

        return await self._write(keys, job)

    async def derive(self, noun: Noun[T], facets: Sequence[Facet]) -> None:
        check_bounds(len(facets))
        keys = [(noun.name, facet.stripe_account, facet.id) for facet in facets]
        await self._write(keys, partial(self._table(noun).derive, facets))

    async def _write(self, keys: Sequence[RowKey], job: Job[R]) -> R:
        return await self._cache.write(keys, self._database.write(job))

    async def list(
        self,
        noun: Noun[T],
        stripe_account: str,
        where: Filter,
        *,
        order: Order,
        after: Position | None,
        before: Position | None = None,
        limit: int,
    ) -> RowPage[T]:
        check_list(after, before, limit)
        query = ListQuery(noun, stripe_account, where, order, after, before)
        if query.empty:
            return RowPage((), None)
        table = self._table(noun)

        def job(connection: sqlite3.Connection) -> RowPage[T]:
            end = None
            if looks := query.looks:
                last = _run(connection, looks)
                end = Position(last[0][1], last[0][0]) if last else None
            # One row more tells whether there is another page.
            found = _run(connection, query.page(end, limit + 1))
            rows = [table.to_row(stripe_account, row) for row in found]
            positions = [Position(row[-1], row[0]) for row in found]
            return row_page(rows, positions, limit, after=after, before=before, end=end)

        return await self._database.read(job)

    async def having(
        self,
        noun: Noun[T],
        stripe_account: str,
        column: str,
        values: Sequence[Scalar],
        *,
        limit: int,
    ) -> Sequence[Live[T]]:
        index = index_name(noun, having_index(noun, column, values, limit))
        table = self._table(noun)
        wanted = to_json(list(dict.fromkeys(values))).decode()
        sql = (
            "SELECT r.object, r.unknown FROM json_each(?) AS w"
            f" CROSS JOIN {quoted(noun.collection)} AS r INDEXED BY {quoted(index)}"
            " WHERE r.stripe_account = ?"
            f" AND r.{quoted(column)} = w.value LIMIT ?"
        )

        def job(connection: sqlite3.Connection) -> Sequence[Live[T]]:
            found = connection.execute(sql, (wanted, stripe_account, limit)).fetchall()
            return [table.to_live(document, unknown) for document, unknown in found]

        return await self._database.read(job)

    async def group(
        self,
        noun: Noun[T],
        stripe_account: str,
        where: Filter,
        *,
        by: Sequence[str],
        sums: Sequence[str] = (),
    ) -> Sequence[Group]:
        query = group_query(noun, stripe_account, where, by, sums)
        width = len(by)

        def job(connection: sqlite3.Connection) -> Sequence[Group]:
            return [
                Group(row[:width], row[width], row[width + 1 :]) for row in _run(connection, query)
            ]

        return await self._database.read(job)

    async def count_holders(
        self,
        noun: Noun[T],
        stripe_account: str,
        column: str,
        groups: Mapping[str, Sequence[Scalar]],
        *,
        by: str,
        among: Sequence[Scalar],
        most: int,
    ) -> Sequence[Holders]:
        index = index_name(noun, holders_index(noun, column, groups, by, among, most))
        if not among or not any(groups.values()):
            return []
        counting = HolderCount(noun, stripe_account, column, groups, by, among, most, index)
        return await self._database.read(counting.counted)

    async def search(
        self,
        noun: Noun[T],
        stripe_account: str,
        readings: Sequence[Sequence[str]],
        *,
        after: Position | None,
        limit: int,
        flags: Mapping[str, bool] | None = None,
    ) -> RowPage[T]:
        wanted = search_readings(noun, readings, limit, flags)
        table = self._table(noun)

        def job(connection: sqlite3.Connection) -> RowPage[T]:
            by_reading = (
                table.terms.newest(connection, _FOUND_ROW, stripe_account, words, after, limit + 1)
                for words in wanted
            )
            return table.to_page(stripe_account, _merged([*filter(None, by_reading)]), limit)

        return await self._database.read(job)

    async def count(self, noun: Noun[T], stripe_account: str) -> int:
        query = (
            f"SELECT count(*) FROM {quoted(noun.collection)}"
            f" WHERE stripe_account = ? AND {quoted(noun.orders[0].column)} >= {MIN_INTEGER}"
        )

        def job(connection: sqlite3.Connection) -> int:
            (count,) = connection.execute(query, (stripe_account,)).fetchone()
            return int(count)

        return await self._database.read(job)


def _run(connection: sqlite3.Connection, query: Query) -> list[Any]:
    return connection.execute(query.sql, query.values).fetchall()


class _Prepared(NamedTuple):
    """A row to store: its own columns, the declared ones, its key, and the revision to replace."""

    own: tuple[Scalar | None, ...]
    columns: dict[str, Scalar | None]
    many: dict[str, list[Scalar]]
    key: Key
    revision: int
    live: bool


class _Table(Generic[T]):
    """The statements of one noun, built once, and what turns its rows into values and back."""

    def __init__(self, noun: Noun[T], read_before: ReadBefore) -> None:
        self._noun = noun
        self._read_before = partial(read_before, noun)
        self._decode = msgspec.json.Decoder(noun.type).decode
        self._decode_all = msgspec.json.Decoder(tuple[noun.type | None, ...]).decode  # type: ignore[name-defined]  # known at run time only
        self._derived = derived_columns(noun)
        self._fallbacks = fallbacks(noun)
        self._searched = noun.search is not None
        self._counting = None if noun.counted is None else _Counting(noun, noun.counted)
        self.terms = TermIndex(noun)
        name = quoted(noun.collection)
        self._many = ManyIndex(noun)
        columns = [*_OWN, *map(quoted, filled_columns(noun))]
        if self._searched:
            columns.append(WORDS)
        self.fetch = (
            f"SELECT {_ROW} FROM {name}"
            " WHERE stripe_account = ? AND id IN (SELECT value FROM json_each(?))"
        )
        self.fetch_one = f"SELECT {_ROW} FROM {name} WHERE stripe_account = ? AND id = ?"
        self._log = ChangeLog(noun)
        known = [] if noun.first_known is None else [quoted(noun.first_known)]
        fresh = [*columns, *known]
        self._insert = (
            f"INSERT INTO {name} ({', '.join(fresh)}, stripe_account, id, revision)"
            f" VALUES ({', '.join('?' * len(fresh))}, ?, ?, ? + 1)"
            " ON CONFLICT (stripe_account, id) DO UPDATE SET revision = excluded.revision, "
            + ", ".join(f"{column} = excluded.{column}" for column in fresh)
            + " WHERE revision = 0"
        )
        self._update = (
            f"UPDATE {name} SET revision = revision + 1, "
            + ", ".join(f"{column} = ?" for column in columns)
            + " WHERE stripe_account = ? AND id = ? AND revision = ?"
        )
        beside = ", ".join(("facets", "object IS NOT NULL", *map(quoted, self._fallbacks)))
        self._facets = f"SELECT {beside} FROM {name} WHERE stripe_account = ? AND id = ?"
        derived = ["facets", *map(quoted, self._derived)]
        self._derive = (
            f"INSERT INTO {name} ({', '.join(derived)}, stripe_account, id)"
            f" VALUES ({', '.join('?' * len(derived))}, ?, ?)"
            " ON CONFLICT (stripe_account, id) DO UPDATE SET "
            + ", ".join(f"{column} = excluded.{column}" for column in derived)
        )

    def to_row(self, stripe_account: str, row: Sequence[Any]) -> Row[T]:
        """A row of the port from one of the columns `_ROW`."""
        object_id, revision, low, high, sent_at, known_at, unknown, befores, document, facets = row[
            :10
        ]
        snapshot = None
        if revision:
            snapshot = Snapshot(
                stripe_account,
                object_id,
                Version(low, high, sent_at, known_at),
                None if document is None else self._decode(document),
                _names(unknown),
                () if befores is None else self._befores(befores),
            )
        derived = to_domain(facets, stripe_account, object_id)
        return Row(stripe_account, object_id, revision, snapshot, derived)

    def to_live(self, document: str, unknown: str | None) -> Live[T]:
        """What a live row shows, from two of its columns: a third of what `to_row` costs."""
        return Live(self._decode(document), _names(unknown))

    def _befores(self, text: str) -> Sequence[T | None]:
        """The states of which `_encoded` made a text."""
        if text.startswith("{"):
            return EncodedBefore(text.encode(), self._read_before)
        return self._decode_all(text)

    def to_page(self, stripe_account: str, found: Sequence[Any], limit: int) -> RowPage[T]:
        """A page from rows of `_ROW` and the order's column, one more than `limit` if there is."""
        rows = [self.to_row(stripe_account, row) for row in found[:limit]]
        last = found[limit - 1] if len(found) > limit else None
        return RowPage(rows, None if last is None else Position(last[-1], last[0]))

    def prepare(self, snapshots: Sequence[tuple[Snapshot[T], int]]) -> Sequence[_Prepared]:
        """What `store` writes, encoded beforehand: the writer has others to serve."""
        return [
            _Prepared(
                (
                    snapshot.version.low,
                    snapshot.version.high,
                    snapshot.version.sent_at,
                    snapshot.version.known_at,
                    to_json(sorted(snapshot.unknown)).decode() if snapshot.unknown else None,
                    _encoded(snapshot.befores) if snapshot.befores else None,
                    None if snapshot.object is None else to_json(snapshot.object).decode(),
                ),
                self._columns_of(snapshot.object),
                many_values(self._noun, snapshot.object),
                (snapshot.stripe_account, snapshot.id),
                revision,
                snapshot.object is not None,
            )
            for snapshot, revision in snapshots
        ]

    def _columns_of(self, found: T | None) -> dict[str, Scalar | None]:
        columns = column_values(self._noun, found, {})
        if self._searched:
            columns[WORDS] = words_value(self._noun, found)
        return columns

    def store(
        self,
        prepared: Sequence[_Prepared],
        connection: sqlite3.Connection,
        closed: Mapping[str, int],
        now: int,
    ) -> Sequence[Key]:
        """The writer's half of `replace`: the keys of those that came too late."""
        lost = []
        marks = set[Marked]()
        counting = self._counting
        for row in prepared:
            columns = row.columns
            if self._derived and row.live:
                # Only the row as stored knows what its facets say.
                facets, *_ = connection.execute(self._facets, row.key).fetchone() or (EMPTY,)
                columns = columns | self._derived_of(decode_facets(facets), columns)
            statement = self._update if row.revision else self._insert
            known = () if row.revision or self._noun.first_known is None else (now,)
            bound = (*row.own, *columns.values(), *known, *row.key, row.revision)
            kept = NOT_STORED
            if self._log and row.revision:
                kept = self._log.of(connection, row.key)
            before = NO_TERMS
            if self._searched and row.revision:
                before = self.terms.of(connection, row.key)
            # What is not there yet, and a row of facets alone, counts on no day.
            counted = counting.of(connection, row.key) if counting and row.revision else {}
            if not connection.execute(statement, bound).rowcount:
                lost.append(row.key)
                continue
            if self._log:
                after = columns if row.live else None
                closing = closed.get(row.key[0])
                self._log.append(connection, row.key, row.revision + 1, kept, after, closing, now)
            if self._searched:
                terms = (columns[WORDS], columns["created"])
                self.terms.change(connection, row.key, before, terms)
            if self._many:
                fresh = not row.revision
                self._many.change(connection, row.key, row.many, columns, fresh=fresh)
            if counting:
                marks.update(counting.marks(row.key, counted, columns))
        raise_marks(connection, marks)
        return lost

    def _derived_of(
        self, facets: Mapping[str, StoredFacet], beside: Mapping[str, Scalar | None]
    ) -> dict[str, Scalar | None]:
        return derived_values(self._noun, values_of(facets), beside)

    def derive(self, facets: Sequence[Facet], connection: sqlite3.Connection) -> None:
        """The writer's half of the port's `derive`."""
        marks = set[Marked]()
        counting = self._counting if self._derived else None
        for facet in facets:
            key = (facet.stripe_account, facet.id)
            row = connection.execute(self._facets, key).fetchone()
            text, live, *beside = row or (EMPTY, 0)
            stored = decode_facets(text)
            if facet.name in stored and _later(stored[facet.name].version, facet.version):
                continue
            stored[facet.name] = StoredFacet(facet.values, facet.version)
            columns: dict[str, Scalar | None] = dict.fromkeys(self._derived)
            if live:
                columns = self._derived_of(stored, dict(zip(self._fallbacks, beside, strict=True)))
            counted = counting.of(connection, key) if counting and live else {}
            connection.execute(self._derive, (encode_facets(stored), *columns.values(), *key))
            if counting and live:
                marks.update(counting.marks(key, counted, counting.of(connection, key)))
        raise_marks(connection, marks)


class _Counting:
    """What of a noun's rows is counted, and the marks that a change of it raises."""

    def __init__(self, noun: Noun[Any], counted: Counted) -> None:
        self._noun = noun
        self._counted = counted
        columns = ", ".join(map(quoted, counted.names))
        self._of = (
            f"SELECT {columns} FROM {quoted(noun.collection)} WHERE stripe_account = ? AND id = ?"
        )

    def of(self, connection: sqlite3.Connection, key: Key) -> Mapping[str, Scalar | None]:
        """The counted values of a row as it is stored."""
        found = connection.execute(self._of, key).fetchone()
        return {} if found is None else dict(zip(self._counted.names, found, strict=True))

    def marks(
        self, key: Key, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> Iterator[Marked]:
        """Of the days of a row before and after a write."""
        return changed_marks(self._noun, self._counted, key[0], before, after)


def _names(text: str | None) -> frozenset[str]:
    return frozenset() if text is None else frozenset(msgspec.json.decode(text))


def _encoded(befores: Sequence[MirroredObject | None]) -> str:
    """The states before as the column keeps them: those of ours as an array, another as it came."""
    return (befores.told if isinstance(befores, EncodedBefore) else to_json(befores)).decode()


def _merged(by_reading: Sequence[Sequence[Sequence[Any]]]) -> Sequence[Sequence[Any]]:
    """The rows of all readings, each once, newest first; `created` is the last column."""
    if len(by_reading) == 1:
        return by_reading[0]
    distinct = {row[0]: row for rows in by_reading for row in rows}
    return sorted(distinct.values(), key=lambda row: (row[-1], row[0]), reverse=True)


def _later(one: Version, other: Version) -> bool:
    return one.place() > other.place()
