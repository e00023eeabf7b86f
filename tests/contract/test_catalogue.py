"""A page of products costs the same queries, however many prices and subscribers there are."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pytest

from application.background.tasks import Tasks
from application.catalogue.commands import (
    ListPrices,
    ListProducts,
    PriceCount,
    ProductCounts,
    SearchProducts,
    SubscriberCounts,
)
from application.catalogue.hydration import Hydration
from application.catalogue.subscribers import Subscribers
from application.catalogue.use_cases import Catalogue
from application.connections.use_cases import Connections
from application.mirror.nouns import PRICES, PRODUCTS, SUBSCRIPTIONS
from application.mirror.reader import MirrorReader
from application.mirror.writer import MirrorWriter
from application.requests.callers import Caller
from application.requests.paging import PageTokens
from domain.connections import Connection, ConnectionKind, Mode
from domain.prices import Price
from domain.products import Product
from domain.subscriptions import Subscription, SubscriptionItem
from tests.contract.samples import NOON, OURS, SECOND, THEIRS, store_new
from tests.support.fakes.catalogue import FakeProducts
from tests.support.fakes.objects import FakeObjects
from tests.support.fakes.stores import FakeClock, FakeConnections, FakeStripeAccounts
from tests.support.servers.stores import Plan, Stores

CALLER = Caller("service", "acme", frozenset())
PRODUCT_COUNT = 60
STATUSES = ("active", "active", "past_due", "trialing", "canceled")


def subscription(number: int, status: str, *prices: str) -> Subscription:
    items = tuple(
        SubscriptionItem(f"si_{number}_{place}", price, None, 1, "usd")
        for place, price in enumerate(prices)
    )
    return Subscription(
        f"sub_{number}", NOON + number * SECOND, "cus_1", status, currency="usd", items=items
    )


@pytest.fixture
async def catalogue(stores: Stores) -> Catalogue:
    """60 products, each with a monthly and an archived price in euros, and five subscriptions."""
    clock = FakeClock()
    connections = Connections(
        FakeConnections(Connection("acme", OURS, Mode.TEST, ConnectionKind.MANUAL, NOON)),
        FakeStripeAccounts(), stores.mirror, clock, Mode.TEST,
    )  # fmt: skip
    for account, count in ((OURS, PRODUCT_COUNT), (THEIRS, 3)):
        await store_new(
            stores.mirror,
            PRODUCTS,
            *(
                Product(f"prod_{n}", NOON + n * SECOND, f"Seat the {n}", n % 3 > 0)
                for n in range(count)
            ),
            stripe_account=account,
        )
        await store_new(
            stores.mirror,
            PRICES,
            *(
                price
                for n in range(count)
                for price in (
                    Price(f"m_{n}", NOON, f"prod_{n}", "usd", True, "recurring", 900),
                    Price(f"e_{n}", NOON, f"prod_{n}", "eur", False, "one_time", 900),
                )
            ),
            stripe_account=account,
        )
    await store_new(
        stores.mirror,
        SUBSCRIPTIONS,
        *(
            subscription(5 * n + place, status, f"m_{n}", *([f"e_{n}"] if place else []))
            for n in range(PRODUCT_COUNT)
            for place, status in enumerate(STATUSES)
        ),
    )
    writer = MirrorWriter(stores.mirror)
    products = FakeProducts(clock, {})
    return Catalogue(
        MirrorReader(stores.mirror, PageTokens(b"k", clock)),
        stores.mirror,
        connections,
        Hydration(writer, products.gateway, FakeObjects(clock), Tasks()),
        Subscribers(stores.mirror),
    )


async def asked(stores: Stores, action: Callable[[], Awaitable[Any]]) -> tuple[Any, Sequence[Plan]]:
    """What an action answers, and all queries that it sends."""
    answers = []

    async def act() -> None:
        answers.append(await action())

    plans = await stores.explain(act)
    for plan in plans:
        assert not plan.scans, plan.text
    return answers[0], plans


@pytest.mark.parametrize("size", [1, 50])
async def test_a_page_is_as_many_queries_whatever_is_on_it(
    stores: Stores, catalogue: Catalogue, size: int
) -> None:
    page, plans = await asked(
        stores, lambda: catalogue.list_products(CALLER, ListProducts(page_size=size))
    )
    # SQLite tells the holders of a product's several prices apart in a query of its own.
    assert len(plans) == {"sqlite": 4, "mongo": 3}[stores.kind]
    nouns = ("billing.products", "billing.prices", "billing.subscriptions")
    about = {name for plan in plans for name in nouns if name in plan.text}
    assert about == {*nouns}
    assert [details.product.id for details in page.items] == [
        f"prod_{n}" for n in range(59, 59 - size, -1)
    ]
    for details in page.items:
        number = details.product.id.removeprefix("prod_")
        prices = {each.price.id for each in details.prices}
        assert prices == {f"m_{number}", f"e_{number}"}
        assert details.subscribers == SubscriberCounts(2, 1, 1)
        assert not details.more_prices


async def test_pages_of_any_size_are_the_same_number_of_queries(
    stores: Stores, catalogue: Catalogue
) -> None:
    counts = set()
    for size in (1, 10, 50):
        for action in (
            partial(catalogue.list_products, CALLER, ListProducts(page_size=size)),
            partial(catalogue.search_products, CALLER, SearchProducts("seat", page_size=size)),
        ):
            counts.add((action.func.__name__, len((await asked(stores, action))[1])))
    assert len(counts) == 2


async def test_filters_are_counted_from_one_index_each(
    stores: Stores, catalogue: Catalogue
) -> None:
    counts, plans = await asked(stores, partial(catalogue.count_products, CALLER))
    assert (counts, len(plans)) == (ProductCounts(40, 20), 1)
    for product, many in (("", PRODUCT_COUNT), ("prod_7", 1)):
        found, plans = await asked(stores, partial(catalogue.count_prices, CALLER, product))
        assert found == [
            PriceCount(True, "recurring", "usd", many), PriceCount(False, "one_time", "eur", many),
        ]  # fmt: skip
        assert len(plans) == 1


@pytest.mark.parametrize(
    ("query", "count"),
    [
        (ListPrices(product="prod_7"), 2),
        (ListPrices(product="prod_7", active=True, type="recurring", currency="usd"), 1),
        (ListPrices(active=False, page_size=100), 60),
        (ListPrices(type="one_time", currency="usd"), 0),
        (ListPrices(lookup_key="none"), 0),
    ],
)
async def test_a_list_of_prices_is_narrowed_by_indexes(
    stores: Stores, catalogue: Catalogue, query: ListPrices, count: int
) -> None:
    page, _ = await asked(stores, lambda: catalogue.list_prices(CALLER, query))
    assert len(page.items) == count


async def test_a_product_tells_the_subscribers_of_each_price(
    stores: Stores, catalogue: Catalogue
) -> None:
    details, _ = await asked(stores, partial(catalogue.get_product, CALLER, "prod_7"))
    counts = {each.price.id: each.subscribers for each in details.prices}
    assert counts == {"m_7": SubscriberCounts(2, 1, 1), "e_7": SubscriberCounts(1, 1, 1)}
    assert details.subscribers == SubscriberCounts(2, 1, 1)
