"""Pictures of products over gRPC, on both stores: none is taken in that has anything wrong."""

import asyncio

import aiohttp
import pytest
from billing_client.v1 import catalog_service_pb2 as pb

from sandbox.emulator.core.messages import FaultSpec
from tests.support.contract.tenant import Ground, fresh
from tests.support.pictures import GIF, JPEG, PNG
from tests.support.rooms.catalogue_end_to_end import (
    ask,
    fields_of,
    product_with,
    reason,
    refused,
    send,
    upload,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEBP = b"RIFF\x24\x00\x00\x00WEBPVP8 "
MOST = 524_288


@pytest.mark.parametrize("picture", [GIF, PNG, JPEG], ids=["gif", "png", "jpeg"])
async def test_a_picture_is_shown_by_an_address_that_needs_no_key(
    ground: Ground, picture: bytes
) -> None:
    product = (await product_with(ground)).product.id
    shown = await upload(ground, product, picture)
    (address,) = shown.images
    async with aiohttp.ClientSession() as session, session.get(address) as response:
        assert await response.read() == picture
    got = await ask(ground, "GetProduct", id=product)
    assert [*got.product.images] == [address]


@pytest.mark.parametrize(
    ("content", "size", "wanted"),
    [
        (WEBP, len(WEBP), "IMAGE_TYPE"),
        (b"GIF", 3, "IMAGE_TYPE"),
        (PNG[:-1], len(PNG) - 1, "IMAGE_TRUNCATED"),
        (GIF[:-1], len(GIF) - 1, "IMAGE_TRUNCATED"),
        (JPEG[:-2], len(JPEG) - 2, "IMAGE_TRUNCATED"),
        (GIF, len(GIF) + 1, "IMAGE_SIZE_MISMATCH"),
        (GIF, len(GIF) - 1, "IMAGE_SIZE_MISMATCH"),
        (GIF, MOST + 1, "IMAGE_TOO_LARGE"),
        (GIF, 0, "INVALID_FIELDS"),
    ],
    ids=lambda value: len(value) if isinstance(value, bytes) else str(value),
)
async def test_whatever_is_wrong_has_its_reason_and_nothing_is_at_stripe(
    ground: Ground, content: bytes, size: int, wanted: str
) -> None:
    product = (await product_with(ground)).product.id
    assert await reason(upload(ground, product, content, size=size)) == wanted
    assert (await ground.stripe("/v1/files"))["data"] == []


async def test_everything_wrong_with_the_header_is_told_at_once(ground: Ground) -> None:
    error = await refused(send(ground, [pb.UploadProductImageRequest(piece=GIF)]))
    assert fields_of(error) == ["product", "request_id", "size"]
    assert await reason(send(ground, [])) == "UPLOAD_NOT_STARTED"
    assert await reason(upload(ground, "nothing", GIF)) == "NOT_FOUND"


async def test_eight_at_once_are_eight_and_a_ninth_is_refused(ground: Ground) -> None:
    product = (await product_with(ground)).product.id
    await asyncio.gather(*(upload(ground, product, GIF + bytes([n])) for n in range(8)))
    got = await ask(ground, "GetProduct", id=product)
    assert len({*got.product.images}) == 8
    assert await reason(upload(ground, product, GIF)) == "TOO_MANY_IMAGES"
    assert len((await ground.stripe("/v1/files"))["data"]) == 8


async def test_other_content_under_the_same_request_id_is_refused(ground: Ground) -> None:
    product = (await product_with(ground)).product.id
    request_id = fresh()
    first, second = (
        pb.UploadProductImageRequest(
            product=product, size=len(picture), request_id=request_id, piece=picture
        )
        for picture in (GIF, PNG)
    )
    shown = await send(ground, [first])
    assert await send(ground, [first]) == shown
    assert await reason(send(ground, [second])) == "REQUEST_ID_REUSED"


async def test_where_the_product_refuses_it_the_link_ends(ground: Ground) -> None:
    product = (await product_with(ground)).product.id
    fault = FaultSpec(
        kind="fail", method="POST", route="/v1/products/{id}", count=1, status=400,
        account=ground.tenant.stripe_account,
    )  # fmt: skip
    await ground.world.emulator.control.add_fault(fault)
    await refused(upload(ground, product, GIF))
    (link,) = (await ground.stripe("/v1/file_links"))["data"]
    assert link["expired"]
    assert not (await ask(ground, "GetProduct", id=product)).product.images
