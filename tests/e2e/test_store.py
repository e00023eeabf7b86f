"""The store over gRPC: what it offers."""

import pytest

from bootstrap.process import opened
from tests.support.contract.tenant import Ground
from tests.support.rooms.store import OFFERS
from tests.support.rooms.wallets_end_to_end import family
from tests.support.servers.service import ServiceAndEmulator

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_sub_account_sees_its_parents_prices(here: ServiceAndEmulator) -> None:
    async with opened(here.service.parsed()) as container:
        catalogue = container.stores.store_catalogue()
        for offer in OFFERS:
            await catalogue.put_product(offer.product)
            await catalogue.put_price(offer.price)
    kin = await family(here)
    await kin.mutate(
        kin.parent, "UpdateRebilling", account=kin.child.account,
        settings={"multipliers": {"store.listing": "1.5"}},
    )  # fmt: skip
    ground = Ground(here, kin.parent)
    for who, amount in ((kin.parent, 1_900), (kin.child, 2_850)):
        page = await ground.call("CheckoutService.ListStoreProducts", {}, who)
        assert [product.price for product in page.products] == sorted(
            offer.price.id for offer in OFFERS
        )
        (listing,) = (each for each in page.products if each.price == "price_listing")
        assert (listing.unit_amount.amount, listing.unit_amount.currency) == (amount, "usd")
