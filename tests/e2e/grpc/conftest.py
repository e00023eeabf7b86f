"""A server in this process for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.support.servers.grpc import Running, running_server


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    """A server with the usual options."""
    async with running_server() as server:
        yield server
