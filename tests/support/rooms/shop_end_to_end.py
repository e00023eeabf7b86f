"""A store that sells to a family over gRPC: what is offered, who pays, and how they ask."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status

from bootstrap.process import opened
from domain.billing_cycles import Interval
from domain.store_products import Offer, ProductKind, StorePrice, StoreProduct
from tests.support.rooms.store import GERMAN, OFFERS
from tests.support.rooms.wallets_end_to_end import Family, Payer, family, payer
from tests.support.servers.service import ServiceAndEmulator, Tenant, world

SETUP_PRODUCT: Final = "prod_setup"
SETUP_FEE: Final = 500

OLD: Final = Offer(
    StoreProduct("prod_old", ProductKind.ONE_OFF, "Old", active=False),
    StorePrice("price_old", "prod_old", "usd", 100),
)
FOR_GOLD: Final = Offer(
    StoreProduct("prod_gold", ProductKind.ONE_OFF, "Gold", tiers=("gold",)),
    StorePrice("price_gold", "prod_gold", "usd", 100),
)
CHEAP: Final = Offer(
    StoreProduct("prod_cheap", ProductKind.ONE_OFF, "Cheap", most=1_000),
    StorePrice("price_cheap", "prod_cheap", "usd", 10),
)
DEAR: Final = Offer(
    StoreProduct("prod_dear", ProductKind.ONE_OFF, "Dear", most=1_000),
    StorePrice("price_dear", "prod_dear", "usd", 99_999_999),
)
FREE: Final = Offer(
    StoreProduct("prod_free", ProductKind.ONE_OFF, "Free"),
    StorePrice("price_free", "prod_free", "usd", 0),
)
IN_FRANCS: Final = Offer(
    StoreProduct("prod_francs", ProductKind.ONE_OFF, "Francs"),
    StorePrice("price_francs", "prod_francs", "chf", 1_000),
)
SEAT: Final = Offer(
    StoreProduct("prod_seat", ProductKind.SUBSCRIPTION, "Seat", active=False, most=2),
    StorePrice(
        "price_seat", "prod_seat", "usd", 1_000, interval=Interval.MONTH, stripe_price="price_1"
    ),
)
ALL: Final = (*OFFERS, OLD, FOR_GOLD, CHEAP, DEAR, FREE, IN_FRANCS, SEAT)


def settings(folder: Path) -> Mapping[str, str]:
    """Settings of a deployment that sells all of it."""
    tiers = [{"up_to": tier.up_to, "price": tier.price} for tier in GERMAN.tiers]
    prices = [{"country": "DE", "kind": "local", "currency": "usd", "tiers": tiers}]
    path = folder / "phone_numbers.json"
    path.write_text(json.dumps({"prices": prices}))
    return {
        "BILLING_PHONE_NUMBERS": "file",
        "BILLING_PHONE_NUMBERS_FILE": str(path),
        "SETUP_PRODUCT": SETUP_PRODUCT,
    }


@asynccontextmanager
async def shop(
    folder: Path, made: AbstractAsyncContextManager[ServiceAndEmulator] | None = None
) -> AsyncIterator[ServiceAndEmulator]:
    """A service and an emulator with the store filled; `made` has the settings above."""
    async with made or world(folder, **settings(folder)) as here:
        async with opened(here.service.parsed()) as container:
            catalogue = container.stores.store_catalogue()
            for offer in ALL:
                await catalogue.put_product(offer.product)
                await catalogue.put_price(offer.price)
        await _set_up(here)
        yield here


async def _set_up(here: ServiceAndEmulator) -> None:
    """The product of the set-up fee, with its default price, on the platform's own account."""
    products = here.sdk.v1.products
    await products.create_async({"id": SETUP_PRODUCT, "name": "Set-up"})
    price = await here.sdk.v1.prices.create_async(
        {"product": SETUP_PRODUCT, "currency": "usd", "unit_amount": SETUP_FEE}
    )
    await products.update_async(SETUP_PRODUCT, {"default_price": price.id})


@dataclass(frozen=True, slots=True)
class Buyers:
    """A family that buys: the child has a card at the parent's, and the parent at the platform."""

    kin: Family
    child: Payer
    parent: Payer

    async def preview(self, who: Tenant, **fields: Any) -> Any:
        """A quote."""
        return await self.kin.ground.call("CheckoutService.PreviewCheckout", fields, who)

    async def refused(self, who: Tenant, **fields: Any) -> grpc.aio.AioRpcError:
        """The refusal of a preview."""
        try:
            await self.preview(who, **fields)
        except grpc.aio.AioRpcError as error:
            return error
        raise AssertionError("not refused")


async def buyers(here: ServiceAndEmulator, *, funds: int = 100_000) -> Buyers:
    """A new family with cards; the parent's wallet has so much."""
    kin = await family(here)
    if funds:
        await kin.grant(funds)
    return Buyers(kin, await payer(kin, kin.child), await payer(kin, kin.parent))


def reasons(error: grpc.aio.AioRpcError) -> list[tuple[str, str]]:
    """Field and reason of every violation, in order."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # typed for synchronous calls
    assert status is not None
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, error
    bad = BadRequest()
    for detail in status.details:
        if detail.Is(BadRequest.DESCRIPTOR):
            detail.Unpack(bad)
    return sorted((each.field, each.reason) for each in bad.field_violations)
