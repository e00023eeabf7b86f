"""A row and the change that it makes are one: no kill leaves one without the other.

A child process changes closed rows, many at once, and is killed in the middle of it. Each revision
of each row then has its one change, and they lead from one to the next up to the row as it stands.
"""

import asyncio
import signal
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from application.mirror.nouns import BALANCE_TRANSACTIONS
from application.mirror.ports import Change, ChangePlace
from domain.balance_transactions import BalanceTransaction
from domain.money import Money
from tests.contract.samples import NOON, NOON_MS, OURS, snapshot
from tests.support.servers.stores import Stores, mongo_stores, sqlite_stores

_ROWS: Final = 16
_ENOUGH: Final = 200
_BOUND_SECONDS: Final = 60.0
_CLOSED: Final = {OURS: NOON_MS + 1}


def opened(kind: str, place: str, name: str) -> AbstractAsyncContextManager[Stores]:
    """The stores that both processes use."""
    return sqlite_stores(Path(place)) if kind == "sqlite" else mongo_stores(place, name)


def transaction(id_: str, fee: int) -> BalanceTransaction:
    """One that costs so much."""
    amounts = Money(100, "usd"), Money(fee, "usd"), Money(100 - fee, "usd")
    return BalanceTransaction(id_, NOON, *amounts, "charge", "pending", NOON)


async def change_for_ever(kind: str, place: str, name: str) -> None:
    """The child: goes on with each row where it stands, and says what was acknowledged."""
    async with opened(kind, place, name) as stores:

        async def changing(id_: str) -> None:
            rows = await stores.mirror.fetch(BALANCE_TRANSACTIONS, OURS, [id_])
            revision = rows[id_].revision if rows else 0
            while True:
                told = snapshot(transaction(id_, revision + 1))
                lost = await stores.mirror.replace(
                    BALANCE_TRANSACTIONS, [(told, revision)], closed=_CLOSED
                )
                assert not lost
                revision += 1
                print(id_, revision, flush=True)  # noqa: T201 - how the parent learns of it

        await asyncio.gather(*(changing(f"txn_{number}") for number in range(_ROWS)))


@pytest.mark.parametrize("kind", ["sqlite", "mongo"])
async def test_no_kill_leaves_a_row_without_its_change(
    kind: str, on_disk: Path, request: pytest.FixtureRequest
) -> None:
    # Asked for by name, so that no server is started where only SQLite is tested.
    place = (
        str(on_disk / "billing.db") if kind == "sqlite" else request.getfixturevalue("mongo_url")
    )
    name = f"changes_{uuid4().hex[:8]}"
    acknowledged: dict[str, int] = {}
    for _ in range(3):
        acknowledged |= await _killed(kind, place, name)
        async with opened(kind, place, name) as stores:
            changes = await _all_changes(stores)
            ids = [f"txn_{number}" for number in range(_ROWS)]
            rows = await stores.mirror.fetch(BALANCE_TRANSACTIONS, OURS, ids)
        for id_, row in rows.items():
            own = [change for change in changes if change.id == id_]
            assert [change.revision for change in own] == [*range(1, row.revision + 1)]
            afters = [change.after["fee"] for change in own if change.after is not None]
            befores = [change.before["fee"] for change in own if change.before is not None]
            assert afters == [*range(1, row.revision + 1)]
            assert befores == afters[:-1]
            assert row.snapshot is not None
            assert row.snapshot.object is not None
            assert row.snapshot.object.fee.amount == afters[-1]
            assert row.revision >= acknowledged.get(id_, 0)


async def _killed(kind: str, place: str, name: str) -> dict[str, int]:
    """What a child had acknowledged when it was killed: the revision of each row."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.crash.test_changes_durability", kind, place, name),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    lines: list[str] = []
    try:
        async with asyncio.timeout(_BOUND_SECONDS):
            while len(lines) < _ENOUGH:
                lines.append((await child.stdout.readline()).decode())
                assert lines[-1], "the child ended before it was killed"
    finally:
        child.send_signal(signal.SIGKILL)
    rest = (await child.stdout.read()).decode()
    # A line cut short by the kill was not said.
    lines += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    assert await child.wait() == -signal.SIGKILL
    return {id_: int(revision) for id_, revision in (line.split() for line in lines)}


async def _all_changes(stores: Stores) -> list[Change]:
    changes = list[Change]()
    place: ChangePlace = (0, "", 0)
    while page := await stores.changes.since(BALANCE_TRANSACTIONS, OURS, after=place, limit=1_000):
        changes, place = [*changes, *page], page[-1].place
    return sorted(changes, key=lambda change: change.revision)


if __name__ == "__main__":
    asyncio.run(change_for_ever(*sys.argv[1:]))
