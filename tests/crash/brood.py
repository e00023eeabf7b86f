"""The test's end of `forks.py`: a store, and the process that brings up lives on it."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec
import pytest

from sandbox.servers.children import die_with_parent
from sandbox.servers.mongod import drop_mongo_database
from tests.crash.forks import News
from tests.crash.kill_points import KillPoint, Side
from tests.support.servers.stores import mongo_stores

KILLED: Final = -signal.SIGKILL
LIFE_SECONDS: Final = 60.0


class Brood:
    """A process that brings up one life after another."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def live(self, life: Any) -> News:
        """One life; how it ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(life) + b"\n")
        line = await asyncio.wait_for(self._process.stdout.readline(), LIFE_SECONDS)
        return msgspec.json.decode(line, type=News)


@asynccontextmanager
async def brood(module: str) -> AsyncIterator[Brood]:
    """The process of a module that calls `forks.bring_up`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, cwd=Path(__file__).parents[2], preexec_fn=die_with_parent,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Brood(process)
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def prepared(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[tuple[str, ...]]:
    """The place of a store of its own; the request's parameter is its kind, `sqlite` or `mongo`."""
    name = f"billing_crash_{uuid4().hex}"
    if request.param != "mongo":
        yield (str(folder / f"{name}.db"),)
        return
    place = (request.getfixturevalue("mongo_url"), name)
    async with mongo_stores(*place):
        pass  # its indexes are made once
    yield place
    drop_mongo_database(*place)


def every_point(calls: Mapping[str, int]) -> Sequence[KillPoint]:
    """Both ends of every call that took place."""
    return [
        KillPoint(step, side, nth)
        for step, count in sorted(calls.items())
        for nth in range(1, count + 1)
        for side in Side
    ]
