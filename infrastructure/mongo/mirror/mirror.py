"""The mirror port: one document a row, one collection a noun, driven by the declarations."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from application.mirror.ports import NEWEST_FIRST, Filter, Noun, Order, RowPage, T
from application.requests.paging import Position
from domain.mirror import Facet, Row, Snapshot
from infrastructure.befores import ReadBefore
from infrastructure.documents import (
    MAX_ROWS,
    check_bounds,
    check_search,
    combinations,
    serving_index,
)
from infrastructure.mongo.core.collection import ASCENDING, DESCENDING, Document, Indexes, index
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.mirror.rows import (
    OWN_FIELDS,
    derivation,
    key,
    mirror_index,
    replacement,
    to_row,
)
from infrastructure.mongo.mirror.search import SEARCHED, row_fields, search

_LIVE: Final = {"$ne": None}
"""What the order column of a row that is not live fails."""


def indexes_of(noun: Noun[Any]) -> Indexes:
    """The indexes of a noun's collection. ValueError for a column named as a field of the row."""
    taken = OWN_FIELDS.intersection(column.name for column in noun.columns)
    if taken:
        raise ValueError(f"{noun.name}: a column cannot be called {sorted(taken)}")
    searches = [] if noun.search is None else [SEARCHED]
    return {
        noun.collection: [
            index("stripe_account", *columns, "id", name=mirror_index(columns))
            for columns in (*noun.indexes, *searches)
        ]
    }


class MongoMirror:
    """Mirror on MongoDB.

    A row is replaced by an update that names the revision which its writer has seen, in a filter on
    `_id`: the unique index on `_id` and the atomic update of one document are all that it needs.
    """

    def __init__(self, database: Database, read_before: ReadBefore) -> None:
        self._database = database
        self._read_before = read_before

    async def fetch(
        self, noun: Noun[T], stripe_account: str, ids: Sequence[str]
    ) -> Mapping[str, Row[T]]:
        if not ids:
            return {}
        check_bounds(len(ids))
        documents = await self._database.collection(noun.collection).find(
            {"_id": {"$in": [key(stripe_account, id_) for id_ in ids]}},
            fields=row_fields(noun),
            limit=MAX_ROWS,
        )
        return {document["id"]: to_row(noun, document, self._read_before) for document in documents}

    async def replace(
        self, noun: Noun[T], snapshots: Sequence[tuple[Snapshot[T], int]]
    ) -> Sequence[tuple[str, str]]:
        if not snapshots:
            return []
        check_bounds(len(snapshots))
        collection = self._database.collection(noun.collection)
        writer = uuid4().hex
        stored, _ = await collection.write(
            [replacement(noun, snapshot, seen, writer) for snapshot, seen in snapshots]
        )
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
        await self._database.collection(noun.collection).write(
            [derivation(noun, facet) for facet in facets]
        )

    async def list(
        self,
        noun: Noun[T],
        stripe_account: str,
        where: Filter,
        *,
        order: Order,
        after: Position | None,
        limit: int,
    ) -> RowPage[T]:
        if not 1 <= limit <= MAX_ROWS:
            raise ValueError(f"limit: from 1 to {MAX_ROWS}")
        columns = serving_index(noun, where, order)
        if not combinations(where):
            return RowPage((), None)
        direction = DESCENDING if order.descending else ASCENDING
        documents = await self._database.collection(noun.collection).find(
            _condition(stripe_account, where, order, after),
            fields=row_fields(noun),
            sort=[(order.column, direction), ("id", direction)],
            limit=limit + 1,
            hint=mirror_index(columns),
        )
        return self._page(noun, documents, order.column, limit)

    async def search(
        self,
        noun: Noun[T],
        stripe_account: str,
        readings: Sequence[Sequence[str]],
        *,
        after: Position | None,
        limit: int,
    ) -> RowPage[T]:
        check_search(noun, readings, limit)
        rows = self._database.collection(noun.collection)
        documents = await search(rows, stripe_account, readings, after, limit + 1)
        return self._page(noun, documents, NEWEST_FIRST.column, limit)

    async def count(self, noun: Noun[T], stripe_account: str) -> int:
        order = noun.orders[0]
        return await self._database.collection(noun.collection).count(
            {"stripe_account": stripe_account, order.column: _LIVE},
            hint=mirror_index(serving_index(noun, Filter(), order)),
        )

    def _page(
        self, noun: Noun[T], documents: Sequence[Document], column: str, limit: int
    ) -> RowPage[T]:
        """A page from the documents of a query that asked for one more."""
        page = documents[:limit]
        following = None
        if documents[limit:]:
            following = Position(page[-1][column], page[-1]["id"])
        return RowPage([to_row(noun, document, self._read_before) for document in page], following)


def _condition(
    stripe_account: str, where: Filter, order: Order, after: Position | None
) -> Document:
    """Exact ranges of the serving index, which the server merges in its order.

    A branch a combination of `one_of` values, and a page that is not the first has two of each:
    past the position's value, and tied with it. So no row before the page is read, none sorted.
    """
    low, high = where.ranges.get(order.column, (None, None))
    bounds = {"$gte": low, "$lt": high}
    within = {side: bound for side, bound in bounds.items() if bound is not None} or _LIVE
    pages: Sequence[Document] = [{order.column: within}]
    if after is not None:
        beyond = "$lt" if order.descending else "$gt"
        past = {"$and": [{order.column: within}, {order.column: {beyond: after.value}}]}
        tied = {"$and": [{order.column: within}, {order.column: after.value}]}
        pages = [past, {**tied, "id": {beyond: after.id}}]
    branches = [
        {"stripe_account": stripe_account, **fixed, **page}
        for fixed in combinations(where)
        for page in pages
    ]
    return branches[0] if len(branches) == 1 else {"$or": branches}
