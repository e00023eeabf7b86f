"""Products and prices of an account's Stripe connection, as callers read them."""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from application.catalogue.commands import (
    ListPrices,
    ListProducts,
    NamedProducts,
    PriceCount,
    PriceDetails,
    ProductCounts,
    ProductDetails,
    SearchProducts,
)
from application.catalogue.hydration import Hydration
from application.catalogue.subscribers import MAX_VALUES, Subscribers
from application.catalogue.violations import (
    named_violations,
    price_id_violations,
    price_list_violations,
    product_id_violations,
    product_list_violations,
    search_violations,
)
from application.connections.use_cases import Connections
from application.mirror.nouns import PRICES, PRODUCTS
from application.mirror.ports import NEWEST_FIRST, Filter, Live, Mirror, Order
from application.mirror.reader import MirrorReader, equal_to, within
from application.requests.callers import Caller
from application.requests.paging import Page
from application.requests.violations import PRODUCT_ID, optional_id_violations, refuse
from domain.errors import FieldViolation, NotFound
from domain.mirror import LAST, Row
from domain.prices import Price
from domain.products import Product
from domain.search import readings_of

_SHOWN_IN_LISTS: Final = 20
_SHOWN: Final = 100
"""How many prices of a product are shown."""


class Catalogue:
    """Lists, searches, counts and gets products and prices.

    `violations` are those of reading the caller's input; they are refused with the rest.
    """

    def __init__(
        self,
        reader: MirrorReader,
        mirror: Mirror,
        connections: Connections,
        hydration: Hydration,
        subscribers: Subscribers,
    ) -> None:
        self._reader = reader
        self._mirror = mirror
        self._connections = connections
        self._hydration = hydration
        self._subscribers = subscribers

    async def list_products(
        self, caller: Caller, query: ListProducts, violations: Sequence[FieldViolation] = ()
    ) -> Page[ProductDetails]:
        """A page of products in the mirror, with prices and subscribers."""
        refuse(chain(violations, product_list_violations(query)))
        stripe_account = await self._stripe_account(caller)
        page = await self._reader.list(
            PRODUCTS,
            stripe_account,
            Filter(
                equals={} if query.active is None else {"active": query.active},
                ranges=within("created", query.created_after, query.created_before),
            ),
            page_size=query.page_size,
            page_token=query.page_token,
            order=_order(oldest_first=query.oldest_first),
        )
        items = await self._with_prices(stripe_account, page.items)
        return Page(items, page.next_page_token, page.previous_page_token)

    async def search_products(self, caller: Caller, query: SearchProducts) -> Page[ProductDetails]:
        """A page of the products in the mirror that a query finds, newest first."""
        refuse(search_violations(query))
        stripe_account = await self._stripe_account(caller)
        page = await self._reader.search(
            PRODUCTS,
            stripe_account,
            readings_of(query.query),
            page_size=query.page_size,
            page_token=query.page_token,
            flags=None if query.active is None else {"active": query.active},
        )
        items = await self._with_prices(stripe_account, page.items)
        return Page(items, page.next_page_token)

    async def count_products(self, caller: Caller) -> ProductCounts:
        """How many products are on sale, and how many are not."""
        stripe_account = await self._stripe_account(caller)
        groups = await self._mirror.group(PRODUCTS, stripe_account, Filter(), by=["active"])
        counts = {bool(group.values[0]): group.count for group in groups}
        return ProductCounts(counts.get(True, 0), counts.get(False, 0))

    async def get_product(self, caller: Caller, product_id: str) -> ProductDetails:
        """A product with its prices and the subscribers of each. NotFound where there is none."""
        refuse(product_id_violations(product_id, "id"))
        stripe_account = await self._stripe_account(caller)
        rows = await self._hydration.products(stripe_account, [product_id])
        product = _object(rows.get(product_id))
        if product is None:
            raise NotFound(PRODUCTS.name, product_id)
        page = await self._mirror.list(
            PRICES,
            stripe_account,
            Filter(equals={"product": product_id}),
            order=NEWEST_FIRST,
            after=None,
            limit=MAX_VALUES - _SHOWN,
        )
        prices, is_cut = _details(page.rows), page.next is not None
        # The product's own group: no price has an empty id.
        groups = {"": [each.price.id for each in prices]} | {
            each.price.id: [each.price.id] for each in prices[:_SHOWN]
        }
        counts = await self._subscribers.of(stripe_account, groups)
        return ProductDetails(
            product,
            [replace(each, subscribers=counts[each.price.id]) for each in prices[:_SHOWN]],
            is_cut or len(prices) > _SHOWN,
            replace(counts[""], more=counts[""].more or is_cut),
        )

    async def name_products(self, caller: Caller, ids: Sequence[str]) -> NamedProducts:
        """The products of the ids, and the last names of those that there are not (any more)."""
        refuse(named_violations(ids))
        stripe_account = await self._stripe_account(caller)
        rows = await self._hydration.products(stripe_account, ids)
        found = {id_: _object(rows.get(id_)) for id_ in dict.fromkeys(ids)}
        return NamedProducts(
            [product for product in found.values() if product is not None],
            {id_: _last_name(rows.get(id_)) for id_, product in found.items() if product is None},
        )

    async def list_prices(
        self, caller: Caller, query: ListPrices, violations: Sequence[FieldViolation] = ()
    ) -> Page[PriceDetails]:
        """A page of prices in the mirror; it may end short, with its token."""
        refuse(chain(violations, price_list_violations(query)))
        stripe_account = await self._stripe_account(caller)
        equals = equal_to(
            product=query.product,
            type=query.type,
            currency=query.currency,
            lookup_key=query.lookup_key,
        )
        page = await self._reader.list_rows(
            PRICES,
            stripe_account,
            Filter(
                equals={**equals, **({} if query.active is None else {"active": query.active})},
                ranges=within("created", query.created_after, query.created_before),
            ),
            page_size=query.page_size,
            page_token=query.page_token,
            order=_order(oldest_first=query.oldest_first),
        )
        return Page(_details(page.items), page.next_page_token, page.previous_page_token)

    async def count_prices(self, caller: Caller, product_id: str) -> Sequence[PriceCount]:
        """How many prices agree in what lists are narrowed to; without a product: of all."""
        refuse(optional_id_violations(product_id, "product", PRODUCT_ID))
        stripe_account = await self._stripe_account(caller)
        groups = await self._mirror.group(
            PRICES,
            stripe_account,
            Filter(equals=equal_to(product=product_id)),
            by=["active", "type", "currency"],
        )
        counts = [
            PriceCount(bool(active), str(kind), str(currency), group.count)
            for group in groups
            for active, kind, currency in [group.values]
        ]
        return sorted(counts, key=lambda count: (not count.active, count.type, count.currency))

    async def get_price(self, caller: Caller, price_id: str) -> PriceDetails:
        """A price and its subscribers. NotFound where there is none."""
        refuse(price_id_violations(price_id, "id"))
        stripe_account = await self._stripe_account(caller)
        row = await self._hydration.price(stripe_account, price_id)
        if row is None or row.snapshot is None or row.snapshot.object is None:
            raise NotFound(PRICES.name, price_id)
        counts = await self._subscribers.of(stripe_account, {price_id: [price_id]})
        return PriceDetails(row.snapshot.object, row.snapshot.unknown, counts[price_id])

    async def _stripe_account(self, caller: Caller) -> str:
        return (await self._connections.of(caller)).stripe_account

    async def _with_prices(
        self, stripe_account: str, products: Sequence[Product]
    ) -> Sequence[ProductDetails]:
        """The products with their prices and subscribers, in as many queries however many they are.

        Where they have more prices than one query reads, what is missing is told as `more`.
        """
        if not products:
            return []
        rows = await self._mirror.having(
            PRICES, stripe_account, "product", [product.id for product in products],
            limit=MAX_VALUES,
        )  # fmt: skip
        prices: dict[str, list[PriceDetails]] = defaultdict(list)
        for row in sorted(rows, key=_age, reverse=True):
            prices[row.object.product].append(PriceDetails(row.object, row.unknown))
        is_cut = len(rows) == MAX_VALUES
        counts = await self._subscribers.of(
            stripe_account,
            {product.id: [each.price.id for each in prices[product.id]] for product in products},
        )
        return [
            ProductDetails(
                product,
                prices[product.id][:_SHOWN_IN_LISTS],
                is_cut or len(prices[product.id]) > _SHOWN_IN_LISTS,
                replace(counts[product.id], more=True) if is_cut else counts[product.id],
            )
            for product in products
        ]


def _details(rows: Sequence[Row[Price]]) -> list[PriceDetails]:
    return [
        PriceDetails(row.snapshot.object, row.snapshot.unknown)
        for row in rows
        if row.snapshot is not None and row.snapshot.object is not None
    ]


def _order(*, oldest_first: bool) -> Order:
    return Order("created", descending=not oldest_first)


def _age(row: Live[Price]) -> tuple[dt.datetime, str]:
    return row.object.created, row.object.id


def _object(row: Row[Product] | None) -> Product | None:
    return None if row is None or row.snapshot is None else row.snapshot.object


def _last_name(row: Row[Product] | None) -> str:
    """What a deleted product was called; empty where nobody knows."""
    last = row.derived.get(LAST) if row is not None else None
    return str(last.values.get("name") or "") if last is not None else ""
