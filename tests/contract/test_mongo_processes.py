"""Several processes on one MongoDB, each with a connection of its own."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Final
from uuid import uuid4

from application.events.inbox import EventState, Inbox, Settled
from application.mirror.nouns import CHARGES
from domain.connections import Connection, ConnectionKind, Mode
from domain.errors import AlreadyExists
from sandbox.servers.mongod import drop_mongo_database
from tests.contract.samples import NOON, OURS, SECOND, charge, event, snapshot
from tests.support.servers.stores import mongo_stores

PROCESSES: Final = 4
EVENTS: Final = 1_000


async def test_what_several_do_at_once_is_done_once(mongo_url: str) -> None:
    name = f"billing_test_{uuid4().hex}"
    try:
        async with AsyncExitStack() as opened:
            all_stores = [
                await opened.enter_async_context(mongo_stores(mongo_url, name))
                for _ in range(PROCESSES)
            ]
            inboxes = [stores.inbox for stores in all_stores]

            kept = await asyncio.gather(
                *(inbox.append(event(f"evt_{n}")) for n in range(EVENTS) for inbox in inboxes)
            )
            assert sum(kept) == EVENTS
            handed_out: Counter[str] = Counter()
            await asyncio.gather(*(_drain(inbox, handed_out) for inbox in inboxes))
            assert len(handed_out) == EVENTS
            assert set(handed_out.values()) == {1}

            told = [(snapshot(charge(f"ch_{n}")), 0) for n in range(100)]
            lost = await asyncio.gather(
                *(stores.mirror.replace(CHARGES, told) for stores in all_stores)
            )
            assert sum(map(len, lost)) == (PROCESSES - 1) * len(told)

            taken = await asyncio.gather(
                *(
                    stores.connections.put(
                        Connection(f"account-{n}", OURS, Mode.TEST, ConnectionKind.OAUTH, NOON)
                    )
                    for n, stores in enumerate(all_stores)
                ),
                return_exceptions=True,
            )
            assert sum(isinstance(one, AlreadyExists) for one in taken) == PROCESSES - 1
            modes = await asyncio.gather(
                *(
                    stores.deployment.stamp(mode)
                    for stores, mode in zip(all_stores, [Mode.TEST, Mode.LIVE] * 2, strict=True)
                )
            )
            assert len(set(modes)) == 1
    finally:
        drop_mongo_database(mongo_url, name)


async def _drain(inbox: Inbox, handed_out: Counter[str]) -> None:
    """Claim and settle until nothing is pending."""
    owner = uuid4().hex
    async with asyncio.timeout(60):
        while await inbox.backlog():
            claimed = await inbox.claim(
                owner, now=NOON, lease=60 * SECOND, limit=50, max_bytes=1_000_000
            )
            handed_out.update(one.event.id for one in claimed)
            outcomes = [Settled(one.event.id, EventState.PROCESSED, "applied") for one in claimed]
            assert await inbox.settle(owner, outcomes) == len(claimed)
