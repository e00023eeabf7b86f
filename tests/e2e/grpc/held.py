"""Calls that are held as long as a test wants."""

import asyncio
import datetime as dt
from typing import Any, Final

from billing_client.v1 import customer_service_pb2 as pb

from application.customers.commands import LinkedCustomer
from domain.customers import Customer
from tests.support.servers.grpc import PATIENCE

GET: Final = pb.GetCustomerRequest(id="cus_1")
JENNY: Final = LinkedCustomer(
    Customer("cus_1", dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "jenny@example.com", "Jenny"), None
)


class Held:
    """A use case that waits to be let go; `begun` is released by each call that is at it."""

    def __init__(self, use_case: Any) -> None:
        self.begun = asyncio.Semaphore(0)
        self.go = asyncio.Event()
        self.calls = 0
        use_case.side_effect = self._hold

    async def _hold(self, *_: Any) -> LinkedCustomer:
        self.calls += 1
        self.begun.release()
        await asyncio.wait_for(self.go.wait(), PATIENCE)
        return JENNY

    async def has_begun(self) -> None:
        """Wait for the next call."""
        await asyncio.wait_for(self.begun.acquire(), PATIENCE)
