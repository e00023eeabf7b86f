"""What SQLite acknowledged outlives the process, however that ends.

A child process appends events, many at once, and says on its standard output which ones were
acknowledged. It is killed in the middle of it; the file is opened again and must hold them all.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Final

from tests.contract.samples import event
from tests.support.servers.stores import sqlite_stores

_AT_ONCE: Final = 32
_ENOUGH: Final = 300
_BOUND_SECONDS: Final = 60.0


async def append_for_ever(path: Path, turn: str) -> None:
    """The child: appends until it is killed, and prints each id once it is acknowledged."""
    async with sqlite_stores(path) as stores:

        async def appender(first: int) -> None:
            number = first
            while True:
                id_ = f"evt_{turn}_{number}"
                assert await stores.inbox.append(event(id_, payload=b"x" * 5_000))
                print(id_, flush=True)  # noqa: T201 - how the parent learns of it
                number += _AT_ONCE

        await asyncio.gather(*map(appender, range(_AT_ONCE)))


async def test_no_acknowledged_event_is_lost_by_a_kill(on_disk: Path) -> None:
    path = on_disk / "billing.db"
    acknowledged: list[str] = []
    # Twice on the same file: the second process finds what the first one's death left behind.
    for turn in (1, 2):
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.crash.test_sqlite_durability",
            str(path),
            str(turn),
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert child.stdout is not None
        try:
            async with asyncio.timeout(_BOUND_SECONDS):
                while len(acknowledged) < turn * _ENOUGH:
                    acknowledged.append(await _line(child.stdout))
        finally:
            child.send_signal(signal.SIGKILL)
        rest = (await child.stdout.read()).decode()
        # A line cut short by the kill was not said.
        acknowledged += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        assert await child.wait() == -signal.SIGKILL
    async with sqlite_stores(path) as stores:
        missing = [id_ for id_ in acknowledged if await stores.inbox.get(id_.strip()) is None]
        assert len(acknowledged) >= 2 * _ENOUGH
        assert missing == []
        assert await stores.inbox.backlog() >= len(set(acknowledged))


async def _line(stream: asyncio.StreamReader) -> str:
    line = (await stream.readline()).decode()
    assert line.endswith("\n"), "the child ended before it was killed"
    return line


if __name__ == "__main__":
    asyncio.run(append_for_ever(Path(sys.argv[1]), sys.argv[2]))
