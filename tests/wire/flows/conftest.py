"""The bulk flows on the real SDK against an emulator, on both stores."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from infrastructure.stripe.budget import RateBudget
from infrastructure.stripe.client import StripeApi, StripeSettings
from sandbox.emulator.settings import PLATFORM_KEY
from tests.support.emulator import emulator_in_process
from tests.support.flows import Flows, SystemClock
from tests.support.mongod import running_mongod
from tests.support.stores import Opener, drop_mongo_database, mongo_stores, sqlite_stores


@pytest.fixture(scope="session")
def mongo_url() -> Iterator[str]:
    """The URL of the run's one server, started at the first test that wants it."""
    with running_mongod() as url:
        yield url


@pytest.fixture(params=["sqlite", "mongo"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens a database of the test's own, empty at first."""
    if request.param == "sqlite":
        yield partial(sqlite_stores, tmp_path / "billing.db")
        return
    # Asked for by name, so that no server is started where only SQLite is tested.
    url, name = request.getfixturevalue("mongo_url"), f"billing_flows_{uuid4().hex}"
    yield partial(mongo_stores, url, name)
    drop_mongo_database(url, name)


@pytest.fixture
async def flows(opener: Opener) -> AsyncIterator[Flows]:
    """The flows over an empty store and an account without any history."""
    async with opener() as stores, emulator_in_process() as emulator, emulator.sdk() as sdk:
        settings = StripeSettings(PLATFORM_KEY, api_base=emulator.url, first_backoff_seconds=0.001)
        api = StripeApi(settings, RateBudget(10_000), SystemClock())
        try:
            yield Flows(emulator, sdk, api, stores, await emulator.control.create_account())
        finally:
            await api.close()
