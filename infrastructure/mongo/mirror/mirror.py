"""The mirror port: one document a row, one collection a noun, driven by the declarations."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from pymongo import UpdateOne

from application.background.clock import Clock
from application.mirror.ports import (
    NEWEST_FIRST,
    Filter,
    Group,
    Holders,
    Live,
    Noun,
    Order,
    RowPage,
    T,
)
from application.requests.paging import Position, Scalar
from domain.errors import RateLimited, Reason
from domain.mirror import Facet, Row, Snapshot
from domain.periods import to_milliseconds
from infrastructure import documents
from infrastructure.befores import ReadBefore
from infrastructure.clock import SystemClock
from infrastructure.documents import (
    MAX_ROWS,
    Serving,
    check_bounds,
    check_list,
    combinations,
    grouping_index,
    having_index,
    holders_index,
    index_keys,
    row_page,
    search_readings,
    serving,
)
from infrastructure.mongo.core.collection import ASCENDING, DESCENDING, Document, Indexes, index
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.day_marks import DayMarks
from infrastructure.mongo.mirror.changes import CHANGED
from infrastructure.mongo.mirror.counting import Counting, Planned, counting_of
from infrastructure.mongo.mirror.holders import HolderCount
from infrastructure.mongo.mirror.rows import (
    LIVE_FIELDS,
    OWN_FIELDS,
    UNGUARDED,
    Guard,
    derivation,
    key,
    mirror_index,
    replacement,
    to_live,
    to_row,
)
from infrastructure.mongo.mirror.search import SEARCHED, row_fields, search

_ATTEMPTS: Final = 10

_LIVE: Final = {"$ne": None}
"""What the order column of a row that is not live fails."""


def indexes_of(noun: Noun[Any]) -> Indexes:
    """The indexes of a noun's collection. ValueError for a column named as a field of the row."""
    taken = OWN_FIELDS.intersection(column.name for column in noun.columns)
    if taken:
        raise ValueError(f"{noun.name}: a column cannot be called {sorted(taken)}")
    searches = [] if noun.search is None else [SEARCHED]
    changed = [CHANGED] if noun.kept else []
    return {
        noun.collection: [
            index(*index_keys(columns), name=mirror_index(columns))
            for columns in (*noun.indexes, *searches)
        ]
        + changed
    }


class MongoMirror:
    """Mirror on MongoDB.

    A row is replaced by an update that names the revision which its writer has seen, in a filter on
    `_id`: the unique index on `_id` and the atomic update of one document are all that it needs.
    """

    def __init__(
        self,
        database: Database,
        read_before: ReadBefore,
        clock: Clock | None = None,
        marks: DayMarks | None = None,
    ) -> None:
        self._database = database
        self._read_before = read_before
        self._clock = clock or SystemClock()
        self._marks = marks or DayMarks(database)

    async def fetch(
        self, noun: Noun[T], stripe_account: str, ids: Sequence[str]
    ) -> Mapping[str, Row[T]]:
        if not ids:
            return {}
        check_bounds(len(ids))
        found = await self._database.collection(noun.collection).find(
            {"_id": {"$in": [key(stripe_account, id_) for id_ in ids]}},
            fields=row_fields(noun),
            limit=MAX_ROWS,
        )
        return {document["id"]: to_row(noun, document, self._read_before) for document in found}

    async def replace(
        self,
        noun: Noun[T],
        snapshots: Sequence[tuple[Snapshot[T], int]],
        *,
        closed: Mapping[str, int] | None = None,
    ) -> Sequence[tuple[str, str]]:
        if not snapshots:
            return []
        check_bounds(len(snapshots))
        collection = self._database.collection(noun.collection)
        writer, closings = uuid4().hex, closed or {}
        now = to_milliseconds(self._clock.now())

        def stores(it: Snapshot[T], seen: int, guard: Guard = UNGUARDED) -> UpdateOne:
            closing = closings.get(it.stripe_account)
            return replacement(noun, it, seen, writer, closing, now, guard)

        if counting := counting_of(noun):
            planned = await counting.replacements(collection, snapshots, stores)
        else:
            planned = Planned([stores(snapshot, seen) for snapshot, seen in snapshots])
        async with self._marks.raised(planned.marks):
            stored, _ = await collection.write(planned.writes)
        if stored == len(snapshots):
            return []
        # Counts do not tell whose was not stored; the rows do, since they bear their writer. One
        # that somebody has replaced since counts as lost too: its caller has to look again anyway.
        keys = [key(snapshot.stripe_account, snapshot.id) for snapshot, _ in snapshots]
        ours = await collection.find(
            {"_id": {"$in": keys}, "writer": writer}, fields={"_id": 1}, limit=MAX_ROWS
        )
        won = {document["_id"] for document in ours}
        return [
            (snapshot.stripe_account, snapshot.id)
            for (snapshot, _), stored_as in zip(snapshots, keys, strict=True)
            if stored_as not in won
        ]

    async def derive(self, noun: Noun[T], facets: Sequence[Facet]) -> None:
        if not facets:
            return
        check_bounds(len(facets))
        counting = counting_of(noun)
        counted = [each for each in facets if counting and counting.concerns(each)]
        free = [each for each in facets if not (counting and counting.concerns(each))]
        if free:
            await self._database.collection(noun.collection).write(
                [derivation(noun, each) for each in free]
            )
        if counting and counted:
            await self._derive_counted(noun, counting, counted)

    async def _derive_counted(
        self, noun: Noun[T], counting: Counting, facets: Sequence[Facet]
    ) -> None:
        """Facets of counted columns, of each row one after another, and again where one is refused.

        A row refuses one where somebody else has written it since it was read.
        """
        collection = self._database.collection(noun.collection)
        left = [*facets]
        for _ in range(_ATTEMPTS + len(facets)):
            firsts = {(facet.stripe_account, facet.id): facet for facet in reversed(left)}
            now = [*firsts.values()]
            planned = await counting.derivations(collection, now)
            async with self._marks.raised(planned.marks):
                _, refused = await collection.write(planned.writes)
            done = {id(facet) for place, facet in enumerate(now) if place not in refused}
            left = [facet for facet in left if id(facet) not in done]
            if not left:
                return
        message = f"{noun.name}: rows keep changing under what is derived"
        raise RateLimited(Reason.OVERLOADED, message, retry_after_seconds=1)

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
        served = serving(noun, where, order)
        if not combinations(where, served.leads):
            return RowPage((), None)
        # Before a position the list is read against its order, and the page turned round.
        way = Order(order.column, order.descending != (before is not None))
        start = after if before is None else before
        rows, hint = self._database.collection(noun.collection), mirror_index(served.index)
        direction = DESCENDING if way.descending else ASCENDING
        sort = [(way.column, direction), ("id", direction)]
        end = None
        if served.tests:
            last = await rows.find(
                _condition(stripe_account, where, served, way, start, None),
                fields={"_id": 0, way.column: 1, "id": 1},
                sort=sort,
                skip=documents.MAX_LOOKED_AT - 1,
                limit=1,
                hint=hint,
            )
            end = Position(last[0][way.column], last[0]["id"]) if last else None
        found = await rows.find(
            _condition(stripe_account, where, served, way, start, end, served.tests),
            fields=row_fields(noun),
            sort=sort,
            limit=limit + 1,
            hint=hint,
        )
        return row_page(
            [to_row(noun, document, self._read_before) for document in found],
            [Position(document[way.column], document["id"]) for document in found],
            limit,
            after=after,
            before=before,
            end=end,
        )

    async def having(
        self,
        noun: Noun[T],
        stripe_account: str,
        column: str,
        values: Sequence[Scalar],
        *,
        limit: int,
    ) -> Sequence[Live[T]]:
        hint = mirror_index(having_index(noun, column, values, limit))
        found = await self._database.collection(noun.collection).find(
            {"stripe_account": stripe_account, column: {"$in": list(dict.fromkeys(values))}},
            fields=LIVE_FIELDS,
            limit=limit,
            hint=hint,
        )
        return [to_live(noun, document) for document in found]

    async def group(
        self,
        noun: Noun[T],
        stripe_account: str,
        where: Filter,
        *,
        by: Sequence[str],
        sums: Sequence[str] = (),
    ) -> Sequence[Group]:
        index = grouping_index(noun, where, by, sums)
        live = {} if where.equals else {index[0]: _LIVE}
        ranges = {name: _within(*bounds) for name, bounds in where.ranges.items()}
        groups = await self._database.collection(noun.collection).aggregate(
            [
                {"$match": {"stripe_account": stripe_account, **live, **where.equals, **ranges}},
                {
                    "$group": {
                        "_id": {f"v{place}": f"${name}" for place, name in enumerate(by)},
                        "count": {"$sum": 1},
                        **{f"s{place}": {"$sum": f"${name}"} for place, name in enumerate(sums)},
                    }
                },
                {"$limit": documents.MAX_GROUPS},
            ],
            hint=mirror_index(index),
        )
        return [
            Group(
                tuple(group["_id"].get(f"v{place}") for place in range(len(by))),
                group["count"],
                tuple(group[f"s{place}"] for place in range(len(sums))),
            )
            for group in groups
        ]

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
        hint = mirror_index(holders_index(noun, column, groups, by, among, most))
        rows = self._database.collection(noun.collection)
        counting = HolderCount(rows, hint, stripe_account, column, by, most)
        if not among or not any(groups.values()):
            return []
        found = await counting.counted(groups, among)
        return found if found is not None else await counting.counted_apart(groups, among)

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
        rows = self._database.collection(noun.collection)
        found = await search(rows, stripe_account, wanted, after, limit + 1)
        return row_page(
            [to_row(noun, document, self._read_before) for document in found],
            [Position(document[NEWEST_FIRST.column], document["id"]) for document in found],
            limit,
            after=after,
            before=None,
            end=None,
        )

    async def count(self, noun: Noun[T], stripe_account: str) -> int:
        order = noun.orders[0]
        return await self._database.collection(noun.collection).count(
            {"stripe_account": stripe_account, order.column: _LIVE},
            hint=mirror_index(serving(noun, Filter(), order).index),
        )


def _condition(
    stripe_account: str,
    where: Filter,
    served: Serving,
    way: Order,
    start: Position | None,
    end: Position | None,
    tested: frozenset[str] = frozenset(),
) -> Document:
    """Exact ranges of the serving index, which the server merges in its order.

    A branch a combination of leading `one_of` values, and a page that is not the first has two of
    each: past the position's value, and tied with it. So no row before the page is read, none
    sorted. Up to `end`, the last entry to look at, what else is filtered is tested on the index.
    """
    within = _within(*where.ranges.get(way.column, (None, None)))
    pages: Sequence[Document] = [{way.column: within}]
    beyond, up_to = ("$lt", "$gte") if way.descending else ("$gt", "$lte")
    if start is not None:
        past = {"$and": [{way.column: within}, {way.column: {beyond: start.value}}]}
        tied = {"$and": [{way.column: within}, {way.column: start.value}]}
        pages = [past, {**tied, "id": {beyond: start.id}}]
    tests: list[Document] = []
    if end is not None:
        # What lies up to it is a range; at its very value the ids tell.
        nearer = "$gt" if way.descending else "$lt"
        tests.append({way.column: {up_to: end.value}})
        tests.append({"$or": [{way.column: {nearer: end.value}}, {"id": {up_to: end.id}}]})
    tests += _tests(where, tested)
    branches = [
        {"stripe_account": stripe_account, **fixed, **page}
        for fixed in combinations(where, served.leads)
        for page in pages
    ]
    if tests:
        branches = [{"$and": [branch, *tests]} for branch in branches]
    return branches[0] if len(branches) == 1 else {"$or": branches}


def _tests(where: Filter, tested: frozenset[str]) -> list[Document]:
    """The conditions on the columns behind that of the order."""
    return [
        *({name: value} for name, value in where.equals.items() if name in tested),
        *({name: {"$in": list(values)}} for name, values in where.one_of.items() if name in tested),
        *({name: _within(*bounds)} for name, bounds in where.ranges.items() if name in tested),
    ]


def _within(low: int | None, high: int | None) -> Document:
    bounds = {"$gte": low, "$lt": high}
    return {side: bound for side, bound in bounds.items() if bound is not None} or _LIVE
