"""All that a caller is told by a call, to be held against another answer byte for byte."""

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from tests.support.contract.tenant import METHODS, Ground, as_sent, request_of
from tests.support.servers.service import Metadata

_SECONDS = 25


async def answered(
    ground: Ground, name: str, fields: dict[str, Any], ids: Iterable[str],
    metadata: Metadata | None = None,
) -> bytes:  # fmt: skip
    """The status with its details, or the replies; `?` stands for each of the ids.

    `metadata` is the ground's tenant's unless another one's is given.
    """
    method, stub = METHODS[name]
    call = getattr(stub(ground.world.service.channel), method.name)(
        as_sent(method, request_of(name, fields)),
        metadata=metadata or ground.tenant.metadata,
        timeout=_SECONDS,
    )
    try:
        if method.server_streaming:
            told = b"".join([_bytes(reply) async for reply in call])
        else:
            told = _bytes(await call)
    except grpc.aio.AioRpcError as error:
        told = _refusal(error)
    for id_ in sorted(ids, key=len, reverse=True):
        told = told.replace(id_.encode(), b"?")
    return told


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def _refusal(error: grpc.aio.AioRpcError) -> bytes:
    """A refusal, without the name that Stripe gave to its request: each has one of its own."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it has what is read
    assert status is not None
    for detail in status.details:
        info = ErrorInfo()
        if detail.Unpack(info):
            info.metadata.pop("stripe_request_id", None)
            detail.value = _bytes(info)
    return _bytes(status)


def is_refusal(told: bytes, reason: str = "") -> bool:
    """Whether an answer is a refusal, for a reason if one is named."""
    return b"google.rpc.ErrorInfo" in told and reason.encode() in told
