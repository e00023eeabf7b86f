"""A service and an emulator that the modules share whose tests kill neither."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.servers.service import ServiceAndEmulator, joined, world


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running_world(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[ServiceAndEmulator]:
    """The processes of a run, started at the first test that wants them."""
    async with world(tmp_path_factory.mktemp("service")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(running_world: ServiceAndEmulator) -> AsyncIterator[ServiceAndEmulator]:
    """The world of a module. One that ends the service, or wants other settings, has its own."""
    async with joined(running_world) as made:
        yield made
