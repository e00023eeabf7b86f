"""What tests of CatalogService ask of a service, and how they hear refusals."""

from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import grpc
import pytest
from billing_client.v1 import catalog_service_pb2 as pb
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status

from tests.support.contract.tenant import Ground, fresh
from tests.support.servers.service import reason_of

SERVICE: Final = "CatalogService"
MONTHLY: Final[dict[str, Any]] = {
    "currency": "usd", "unit_amount": 900, "recurring": {"interval": "month"},
}  # fmt: skip


async def ask(ground: Ground, method: str, **fields: Any) -> Any:
    """The reply of a method that reads."""
    return await ground.call(f"{SERVICE}.{method}", fields)


async def change(ground: Ground, method: str, **fields: Any) -> Any:
    """The reply of a method that changes something, under a fresh request id."""
    return await ground.mutate(f"{SERVICE}.{method}", **fields)


async def product_with(ground: Ground, *prices: dict[str, Any], **fields: Any) -> Any:
    """A new product with its prices."""
    product = {"name": "Seat", **fields}
    return await change(ground, "CreateProduct", product=product, prices=prices)


async def refused(call: Any) -> grpc.aio.AioRpcError:
    """The refusal of a call."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def fields_of(error: grpc.aio.AioRpcError) -> list[str]:
    """The fields that a refusal names."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it has what is needed
    assert status is not None
    for detail in status.details:
        found = BadRequest()
        if detail.Unpack(found):
            return sorted(violation.field for violation in found.field_violations)
    return []


def facts_of(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """The metadata of a refusal."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it has what is needed
    assert status is not None
    for detail in status.details:
        found = ErrorInfo()
        if detail.Unpack(found):
            return dict(found.metadata)
    return {}


async def upload(
    ground: Ground, product: str, content: bytes, *, size: int | None = None, piece: int = 10
) -> Any:
    """The product after a picture was uploaded in pieces."""
    first = pb.UploadProductImageRequest(
        product=product, size=len(content) if size is None else size, request_id=fresh()
    )
    pieces = (content[at : at + piece] for at in range(0, len(content), piece))
    return await send(ground, [first, *(pb.UploadProductImageRequest(piece=one) for one in pieces)])


async def send(ground: Ground, messages: Iterable[pb.UploadProductImageRequest]) -> Any:
    """The reply to a stream of messages."""

    async def stream() -> AsyncIterator[pb.UploadProductImageRequest]:
        for message in messages:
            yield message

    stub: Any = ground.world.service.channel.stream_unary(
        f"/billing.v1.{SERVICE}/UploadProductImage",
        pb.UploadProductImageRequest.SerializeToString,
        pb.Product.FromString,
    )
    return await stub(stream(), metadata=ground.tenant.metadata, timeout=20)


async def reason(call: Any) -> str:
    """Why a call is refused."""
    return reason_of(await refused(call))
