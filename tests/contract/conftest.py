"""The contract suite runs each test on both stores, with the same expectations."""

from collections.abc import AsyncIterator

import pytest

from tests.support.servers.stores import Opener, Stores


@pytest.fixture
async def stores(opener: Opener) -> AsyncIterator[Stores]:
    """An empty store."""
    async with opener() as opened:
        yield opened
