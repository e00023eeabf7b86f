"""What holds for every test, and the stores that several folders run on."""

import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import hypothesis
import pytest

# Children that die with their parent are forked in Python, and gRPC's handlers of a fork crash one
# in twenty of them while calls are under way. It looks here when it is first imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# Compiled once, and not anew by each process that the tests start, whatever the shell asks for.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Who runs the tests in the background of a shell has SIGINT ignored, and so would all children:
# those of the tests are to be interrupted by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from sandbox.servers.memory import memory
from sandbox.servers.mongod import running_mongod
from tests.support.servers.mongo_database import SharedDatabase, shared_database
from tests.support.servers.stores import Opener, sqlite_stores

# How long an example takes is a matter of what else the machine does.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

sys.dont_write_bytecode = False  # the tests' own, where one process runs them

if (_memory := memory()) is not None:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_memory))  # where `tmp_path` is

_TESTS: Final = Path(__file__).parent

_FIRST: Final = ("crash", "e2e", "property", "wire", "contract")
"""The folders whose files take longest, and then all others: so no worker ends long before one."""

_MOST_WORKERS: Final = 4
"""Each has a MongoDB server of its own."""


def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` starts: one more than cores, as some tests wait for others."""
    return min((os.cpu_count() or 1) + 1, _MOST_WORKERS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders whose files take longest."""
    places = {folder: place for place, folder in enumerate(_FIRST)}
    items.sort(key=lambda item: places.get(item.path.relative_to(_TESTS).parts[0], len(_FIRST)))


@pytest.fixture(scope="session")
def mongo_url() -> Iterator[str]:
    """The URL of the run's one server, started at the first test that wants it."""
    with running_mongod() as url:
        yield url


@pytest.fixture(scope="module")
def mongo_database(mongo_url: str) -> Iterator[SharedDatabase]:
    """The database that the tests of a module share, one after another."""
    with shared_database(mongo_url) as database:
        yield database


@pytest.fixture(params=["sqlite", "mongo"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens a database that is the test's alone, empty at first."""
    if request.param == "sqlite":
        return partial(sqlite_stores, tmp_path / "billing.db")
    # Asked for by name, so that no server is started where only SQLite is tested.
    database: SharedDatabase = request.getfixturevalue("mongo_database")
    database.empty()
    return database.open
