"""The platform's store in MongoDB: `_id` is the id; fields that Billing does not know stay."""

from collections.abc import Mapping
from typing import Any, Final

from typing_extensions import override

from application.checkouts.ports import MAX_OFFERS, OfferPage, StoreCatalogue
from domain.store_products import Offer, StorePrice, StoreProduct
from infrastructure.documents import to_builtins
from infrastructure.mongo.core.collection import ASCENDING, Document
from infrastructure.mongo.core.database import Database
from infrastructure.store_documents import offer_of, price_of, product_of

_PRODUCTS: Final = "_store.products"
_PRICES: Final = "_store.prices"


class MongoStoreCatalogue(StoreCatalogue):
    """`application.checkouts.ports.StoreCatalogue` on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def get(self, price: str) -> Offer | None:
        kept = price_of(_named(await self._database.collection(_PRICES).find_one({"_id": price})))
        if kept is None:
            return None
        products = self._database.collection(_PRODUCTS)
        return offer_of(product_of(_named(await products.find_one({"_id": kept.product}))), kept)

    @override
    async def list(self, *, after: str, limit: int) -> OfferPage:
        if not 1 <= limit <= MAX_OFFERS:
            raise ValueError(f"limit: 1 to {MAX_OFFERS}")
        documents = await self._database.collection(_PRICES).find(
            {"_id": {"$gt": after}}, sort=[("_id", ASCENDING)], limit=limit + 1
        )
        page = documents[:limit]
        prices = [price for price in map(price_of, map(_named, page)) if price is not None]
        products = await self._products({price.product for price in prices})
        offers = (offer_of(products.get(price.product), price) for price in prices)
        beyond = page[-1]["_id"] if len(documents) > limit else ""
        return OfferPage(tuple(offer for offer in offers if offer is not None), beyond)

    @override
    async def put_product(self, product: StoreProduct) -> None:
        await self._put(_PRODUCTS, to_builtins(product))

    @override
    async def put_price(self, price: StorePrice) -> None:
        await self._put(_PRICES, to_builtins(price))

    async def _products(self, ids: set[str]) -> Mapping[str, StoreProduct]:
        if not ids:
            return {}
        documents = await self._database.collection(_PRODUCTS).find(
            {"_id": {"$in": sorted(ids)}}, limit=len(ids)
        )
        products = (product_of(_named(document)) for document in documents)
        return {product.id: product for product in products if product is not None}

    async def _put(self, collection: str, document: Document) -> None:
        where = {"_id": document.pop("id")}
        await self._database.collection(collection).upsert(where, {"$set": document})


def _named(document: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return None if document is None else {**document, "id": document["_id"]}
