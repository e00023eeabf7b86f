"""The promises of `application.background.takeover`, which only a store of one process makes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from application.background.takeover import Takeover
from application.events.inbox import EventState, Settled
from application.jobs.outbox import FailedJob
from application.mutations.ports import Lease
from domain.jobs import Job
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.preparation import prepare
from infrastructure.sqlite.takeover import SqliteTakeover
from tests.contract.samples import KEY, NOON, SECOND, event, record
from tests.contract.test_process_log import process
from tests.support.servers.stores import Stores, sqlite_stores

LATER: Final = NOON + SECOND
LEASE: Final = 90 * SECOND
HELD: Final = Lease("dead", NOON + LEASE)


@pytest.fixture
async def takeover(tmp_path: Path) -> AsyncIterator[Takeover]:
    """What takes over on the only store that one process has for itself."""
    database = Database(tmp_path / "billing.db", prepare)
    await database.start()
    yield SqliteTakeover(database)
    await database.close()


@pytest.fixture
async def stores(tmp_path: Path, takeover: Takeover) -> AsyncIterator[Stores]:
    """The other ports of the same store."""
    assert takeover
    async with sqlite_stores(tmp_path / "billing.db") as opened:
        yield opened


async def test_an_equal_request_waits_for_no_lease(stores: Stores, takeover: Takeover) -> None:
    log = stores.mutation_log
    await log.begin(record(), HELD, now=NOON)
    assert await takeover.end_leases(now=LATER) == 1
    assert [found.key for found in await log.find_open(now=LATER, limit=10)] == [KEY]
    assert await log.begin(record(), Lease("alive", LATER + LEASE), now=LATER) == (record(), True)
    assert not await log.finish(KEY, HELD, reply=b"{}", failure=None), "the dead one has lost it"


async def test_events_and_jobs_are_due_at_once(stores: Stores, takeover: Takeover) -> None:
    await stores.inbox.append(event())
    await stores.outbox.append([job()])
    await stores.inbox.claim("dead", now=NOON, lease=LEASE, limit=9, max_bytes=9_999)
    await stores.outbox.claim("dead", now=NOON, lease=LEASE, limit=9)
    assert await takeover.end_leases(now=LATER) == 2
    events = await stores.inbox.claim("alive", now=LATER, lease=LEASE, limit=9, max_bytes=9_999)
    jobs = await stores.outbox.claim("alive", now=LATER, lease=LEASE, limit=9)
    assert ([one.event.id for one in events], [one.job.id for one in jobs]) == (["evt_1"], ["j-1"])
    assert (events[0].attempts, jobs[0].attempts) == (0, 0)


async def test_what_was_given_back_or_is_done_stays(stores: Stores, takeover: Takeover) -> None:
    later = NOON + 5 * LEASE
    log, inbox, outbox = stores.mutation_log, stores.inbox, stores.outbox
    await log.begin(record(), HELD, now=NOON)
    await log.release(KEY, HELD, retry_at=later)
    await inbox.append(event())
    await inbox.claim("dead", now=NOON, lease=LEASE, limit=9, max_bytes=9_999)
    await inbox.settle("dead", [Settled("evt_1", EventState.PENDING, "waits", "no", later)])
    await outbox.append([job()])
    await outbox.claim("dead", now=NOON, lease=LEASE, limit=9)
    await outbox.release("dead", [FailedJob("j-1", "no", later)])
    assert await takeover.end_leases(now=LATER) == 0
    assert not await log.find_open(now=LATER, limit=9)
    assert not await inbox.claim("alive", now=LATER, lease=LEASE, limit=9, max_bytes=9_999)
    assert not await outbox.claim("alive", now=LATER, lease=LEASE, limit=9)


def job() -> Job:
    """A job that is due."""
    return Job("j-1", "support.notice", "acme", NOON)


async def test_a_process_waits_for_no_lease(stores: Stores, takeover: Takeover) -> None:
    log, made = stores.process_log, process()
    await log.begin(made, HELD)
    assert await takeover.end_leases(now=LATER) == 1
    assert await log.find_due(now=LATER, limit=10) == [made.id]
    assert await log.take(made.id, Lease("alive", LATER + LEASE), now=LATER) == (made, True)
    assert not await log.renew(made.id, HELD), "the dead one has lost it"
