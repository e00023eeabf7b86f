"""The platform's store in SQLite: the embedded setting keeps it itself."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from typing_extensions import override

from application.checkouts.ports import MAX_OFFERS, OfferPage, StoreCatalogue
from domain.store_products import Offer, StorePrice, StoreProduct
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.tables import Tables
from infrastructure.store_documents import offer_of, price_of, product_of

TABLES: Final = Tables(
    """
    CREATE TABLE IF NOT EXISTS "_store.products" (id TEXT PRIMARY KEY, document TEXT NOT NULL)
    """,
    """
    CREATE TABLE IF NOT EXISTS "_store.prices" (
        id TEXT PRIMARY KEY, product TEXT NOT NULL, document TEXT NOT NULL
    )
    """,
)

_GET: Final = (
    'SELECT product.document, price.document FROM "_store.prices" price'
    ' LEFT JOIN "_store.products" product ON product.id = price.product WHERE price.id = ?'
)
_LIST: Final = (
    'SELECT product.document, price.document, price.id FROM "_store.prices" price'
    ' LEFT JOIN "_store.products" product ON product.id = price.product'
    " WHERE price.id > ? ORDER BY price.id LIMIT ?"
)
_PUT_PRODUCT: Final = (
    'INSERT INTO "_store.products" (id, document) VALUES (?, ?)'
    " ON CONFLICT (id) DO UPDATE SET document = excluded.document"
)
_PUT_PRICE: Final = (
    'INSERT INTO "_store.prices" (id, product, document) VALUES (?, ?, ?)'
    " ON CONFLICT (id) DO UPDATE SET product = excluded.product, document = excluded.document"
)


class SqliteStoreCatalogue(StoreCatalogue):
    """`application.checkouts.ports.StoreCatalogue` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def get(self, price: str) -> Offer | None:
        def job(connection: sqlite3.Connection) -> Offer | None:
            row = connection.execute(_GET, (price,)).fetchone()
            return None if row is None else _offer(*row)

        return await self._database.read(job)

    @override
    async def list(self, *, after: str, limit: int) -> OfferPage:
        if not 1 <= limit <= MAX_OFFERS:
            raise ValueError(f"limit: 1 to {MAX_OFFERS}")
        rows = await self._database.read(
            lambda connection: connection.execute(_LIST, (after, limit + 1)).fetchall()
        )
        page = rows[:limit]
        offers = filter(None, (_offer(product, price) for product, price, _ in page))
        return OfferPage(tuple(offers), page[-1][2] if len(rows) > limit else "")

    @override
    async def put_product(self, product: StoreProduct) -> None:
        values = (product.id, to_json(product).decode())
        await self._database.write(
            lambda connection: connection.execute(_PUT_PRODUCT, values).close()
        )

    @override
    async def put_price(self, price: StorePrice) -> None:
        values = (price.id, price.product, to_json(price).decode())
        await self._database.write(
            lambda connection: connection.execute(_PUT_PRICE, values).close()
        )


def _offer(product: str | None, price: str) -> Offer | None:
    return offer_of(product_of(_document(product)), price_of(_document(price)))


def _document(text: str | None) -> Mapping[str, Any] | None:
    document: Mapping[str, Any] | None = None if text is None else json.loads(text)
    return document
