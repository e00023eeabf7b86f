"""What holds for every test, and the stores that several folders run on."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

# Children that die with their parent are forked in Python, and gRPC's handlers of a fork crash one
# in twenty of them while calls are under way. It looks here when it is first imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# Who runs the tests in the background of a shell has SIGINT ignored, and so would all children:
# those of the tests are to be interrupted by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

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
    url, name = request.getfixturevalue("mongo_url"), f"billing_test_{uuid4().hex}"
    yield partial(mongo_stores, url, name)
    drop_mongo_database(url, name)
