"""What the store offers to an account, on every store."""

from dataclasses import replace

import pytest

from application.checkouts.commands import ListStoreProducts
from application.checkouts.multipliers import Multipliers
from application.checkouts.use_cases import StoreProducts
from application.requests.callers import Caller
from application.requests.paging import PageTokens
from application.wallet.whose import Wallets
from domain.errors import InvalidArgument, NotFound, Reason
from domain.store_products import Offer
from domain.wallets import WalletSettings
from tests.support.fakes.stores import FakeClock
from tests.support.rooms.store import ADD_ON, LILY, LISTING, MAIN, NOON, NUMBER, OFFERS, PLAN
from tests.support.servers.stores import Stores


def shelf(stores: Stores, currency: str = "usd") -> StoreProducts:
    multipliers = Multipliers(Wallets(stores.accounts, currency), stores.wallet_settings)
    tokens = PageTokens(b"k" * 32, FakeClock())
    return StoreProducts(stores.accounts, stores.store_catalogue, multipliers, tokens)


async def fill(stores: Stores, *offers: Offer) -> None:
    await stores.accounts.add(MAIN)
    await stores.accounts.add(LILY)
    for offer in offers:
        await stores.store_catalogue.put_product(offer.product)
        await stores.store_catalogue.put_price(offer.price)


async def listed(
    products: StoreProducts, account: str, size: int = 0
) -> list[tuple[str, int | None]]:
    """Prices and what a unit costs, page by page."""
    found: list[tuple[str, int | None]] = []
    token, caller = "", Caller("crm", account, frozenset())
    while True:
        page = await products.list(caller, ListStoreProducts(size, token))
        found += [
            (item.offer.price.id, item.unit_amount.amount if item.unit_amount else None)
            for item in page.items
        ]
        if not (token := page.next_page_token):
            return found


async def test_each_account_sees_what_it_pays(stores: Stores) -> None:
    await fill(stores, *OFFERS)
    products = shelf(stores)
    own = [("price_add_on", 1_050), ("price_listing", 1_900), ("price_number", None),
           ("price_plan", 4_900)]  # fmt: skip
    assert await listed(products, "acme") == own
    assert await listed(products, "lily") == own, "nothing is set"
    settings = WalletSettings("lily@acme", NOON, None, {"store.one_off": "1.0005", "*": "2"})
    await stores.wallet_settings.put(settings)
    assert await listed(products, "acme") == own
    assert await listed(products, "lily", 1) == [
        ("price_add_on", 1_051), ("price_listing", 3_800), ("price_number", None),
        ("price_plan", 9_800),
    ]  # fmt: skip
    assert await listed(shelf(stores, ""), "lily") == own, "without wallets nobody rebills"


async def test_what_is_not_offered_is_left_out_and_ends_no_list(stores: Stores) -> None:
    await fill(
        stores,
        Offer(replace(ADD_ON.product, accounts=("rose",)), ADD_ON.price),
        Offer(replace(LISTING.product, tiers=("pro",)), LISTING.price),
        Offer(NUMBER.product, replace(NUMBER.price, active=False)),
        PLAN,
    )
    products = shelf(stores)
    assert [price for price, _ in await listed(products, "lily", 1)] == [
        "price_listing", "price_plan",
    ]  # fmt: skip
    assert [price for price, _ in await listed(products, "acme", 2)] == ["price_plan"]


async def test_what_is_refused(stores: Stores) -> None:
    await fill(stores, *OFFERS)
    products = shelf(stores)
    acme, lily = (Caller("crm", name, frozenset()) for name in ("acme", "lily"))
    token = (await products.list(acme, ListStoreProducts(1))).next_page_token
    with pytest.raises(InvalidArgument) as foreign:
        await products.list(lily, ListStoreProducts(1, token))
    assert foreign.value.reason is Reason.INVALID_PAGE_TOKEN
    with pytest.raises(InvalidArgument):
        await products.list(acme, ListStoreProducts(101))
    with pytest.raises(NotFound):
        await products.list(Caller("crm", "nobody", frozenset()), ListStoreProducts())
