"""A service on each store, for the tests of CatalogService."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.contract.tenant import Ground
from tests.support.servers.on_mongo import mongo_world
from tests.support.servers.service import ServiceAndEmulator, joined


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "mongo"])
async def here(
    request: pytest.FixtureRequest,
    running_world: ServiceAndEmulator,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[ServiceAndEmulator]:
    if request.param == "sqlite":
        async with joined(running_world) as made:
            yield made
        return
    # It ends with the file: a service that goes on would be seen by the tests of the store.
    mongo_url = request.getfixturevalue("mongo_url")
    async with mongo_world(mongo_url, tmp_path_factory.mktemp("mongo")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def ground(here: ServiceAndEmulator) -> Ground:
    """A tenant that has nothing yet."""
    return Ground(here, await here.tenant())
