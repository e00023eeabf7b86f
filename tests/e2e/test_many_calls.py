"""Ten thousand calls at once on one process: all are answered, each refusal with its reason."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import grpc
import psutil
from billing_client.v1 import customer_service_pb2 as pb
from billing_client.v1.customer_service_pb2_grpc import CustomerServiceStub

from tests.support.servers.service import Metadata, Service, reason_of, world

CALLS: Final = 10_000
CONNECTIONS: Final = 20
LARGE: Final = 50_000
"""Bytes of a request that is longer than most; of a stranger's nobody reads them."""

MOST_GROWTH_BYTES: Final = 320 * 1024 * 1024
"""What a process may grow by that is asked so much at once: 150 to 240 MB were measured."""


@asynccontextmanager
async def connections(service: Service) -> AsyncIterator[Sequence[grpc.aio.Channel]]:
    """Channels, each with a connection of its own."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                grpc.aio.insecure_channel(
                    f"127.0.0.1:{service.ports['grpc']}",
                    options=[("grpc.use_local_subchannel_pool", 1)],
                )
            )
            for _ in range(CONNECTIONS)
        ]


async def ask(
    channels: Sequence[grpc.aio.Channel], request: pb.GetCustomerRequest, metadata: Metadata
) -> Counter[str]:
    """All calls at once; how often each answer came."""
    stubs = [CustomerServiceStub(channel) for channel in channels]

    async def one(number: int) -> str:
        try:
            await stubs[number % len(stubs)].GetCustomer(request, metadata=metadata, timeout=60)
        except grpc.aio.AioRpcError as error:
            return reason_of(error)
        return "OK"

    return Counter(await asyncio.gather(*map(one, range(CALLS))))


async def test_each_of_ten_thousand_calls_at_once_has_an_answer(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        tenant = await here.tenant()
        assert here.service._process is not None
        process = psutil.Process(here.service._process.pid)
        unknown = pb.GetCustomerRequest(id="cus_nobody")
        async with connections(here.service) as channels:
            before = process.memory_info().rss
            served = await ask(channels, unknown, tenant.metadata)
            strange = await ask(channels, pb.GetCustomerRequest(id="c" * LARGE), ())
            grown = _peak_bytes(process) - before
    assert served.total() == strange.total() == CALLS
    assert served["NOT_FOUND"] > 0
    assert set(served) <= {"NOT_FOUND", "OVERLOADED"}
    assert set(strange) == {"TOKEN_MISSING"}
    assert grown < MOST_GROWTH_BYTES, f"{grown / 1e6:.0f} MB"


def _peak_bytes(process: psutil.Process) -> int:
    """The most memory that a process has had; what it has now where the system does not tell."""
    status = Path(f"/proc/{process.pid}/status")
    for line in status.read_text().splitlines() if status.exists() else []:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return int(process.memory_info().rss)
