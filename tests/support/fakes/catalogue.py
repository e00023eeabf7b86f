"""Products at Stripe in memory, read by their ids."""

from collections.abc import Mapping, Sequence
from typing import Any
from unittest.mock import create_autospec

from application.catalogue.ports import ProductGateway
from domain.mirror import Snapshot, Version
from domain.periods import to_milliseconds
from domain.products import Product
from tests.support.fakes.stores import FakeClock, Pause, no_pause


class FakeProducts:
    """Reads products as Stripe has them; `requests` tells the ids of each request.

    `error` is raised instead of an answer.
    """

    def __init__(self, clock: FakeClock, products: Mapping[str, Product]) -> None:
        self.pause: Pause = no_pause
        self.requests: list[Sequence[str]] = []
        self.error: Exception | None = None
        self._clock, self._products = clock, products

    @property
    def gateway(self) -> Any:
        """The port, of which only reading is there."""
        gateway = create_autospec(ProductGateway, instance=True)
        gateway.read.side_effect = self.read
        return gateway

    async def read(self, stripe_account: str, ids: Sequence[str]) -> Sequence[Snapshot[Product]]:
        self.requests.append(ids)
        await self.pause("read")
        if self.error is not None:
            raise self.error
        self._clock.advance(milliseconds=6)
        now_ms = to_milliseconds(self._clock.now())
        version = Version.of_read(date_ms=now_ms, duration_ms=5, sent_at_ms=now_ms - 5)
        return [Snapshot(stripe_account, id_, version, self._products.get(id_)) for id_ in ids]
