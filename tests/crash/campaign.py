"""A campaign: lives of the service on one store, each killed at another point, and a last one."""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final
from unittest import mock

from application.contacts.ports import ContactLink, SourceVersion
from application.jobs import publishing
from application.projection import projector
from bootstrap.process import opened
from bootstrap.settings import Settings, load
from domain.contacts import ContactSync
from tests.crash.audit import Findings, audit
from tests.crash.business import (
    CONNECTED,
    KNOWN,
    PAYER,
    Business,
    known_contact,
    payer_contact,
    tenant_of,
)
from tests.crash.kill_points import (
    AT_THE_START,
    DATABASE,
    DRAINING,
    LEAVING,
    OFTEN,
    PHASE_OF,
    RELEASING,
    KillPoint,
    Side,
)
from tests.crash.lives import LIFE_SECONDS, Deliveries, Nursery, nursery
from tests.crash.nursery import Ahead, Life, News
from tests.crash.raw_rows import Rows
from tests.crash.stripe_side import stripe_server
from tests.support.servers.connected import connect_account
from tests.support.servers.service import settings_for, until

_LEAP_SECONDS: Final = max(projector.LEASE, publishing.LEASE).total_seconds() + 1
"""From life to life: the leases of the one before have run out."""

_PESTER_SECONDS: Final = 0.7
_MOST_CALLS: Final = 3
"""Up to which call of a step that is taken several times a batch its kill is put off."""

_AFTER_DELIVERY: Final = 0.7
"""The share of kills that wait for a delivery, and so for a batch of new events."""

_DATABASE_CALLS: Final = {"sqlite": 60, "mongo": 120}
"""About how many calls a life makes of the database."""

_ANY_TIME_SECONDS: Final = 0.4


@dataclass(frozen=True, slots=True)
class Store:
    """One of the stores: how the service is told of it, and its rows."""

    kind: str
    settings: Mapping[str, str]
    rows: Rows


@dataclass(frozen=True, slots=True)
class Plan:
    """Where lives are killed: at named points, at some call of the database, at some time."""

    points: Sequence[KillPoint]
    times: Sequence[float]


def plan(store: str, random: Random, extra: int) -> Plan:
    """Both ends of every step in a random order, and `extra` kills of each of the other kinds."""
    points = [_point(step, side, random) for step in PHASE_OF for side in Side]
    points += [
        KillPoint(DATABASE, random.choice(tuple(Side)), random.randint(1, _DATABASE_CALLS[store]))
        for _ in range(extra)
    ]
    random.shuffle(points)
    return Plan(points, [random.uniform(0, _ANY_TIME_SECONDS) for _ in range(extra)])


def _point(step: str, side: Side, random: Random) -> KillPoint:
    if step in AT_THE_START:
        return KillPoint(step, side)
    nth = random.randint(1, _MOST_CALLS) if step in OFTEN else 1
    return KillPoint(step, side, nth, random.random() < _AFTER_DELIVERY)


class Campaign:
    """One store, one business, and lives that follow one another."""

    def __init__(self, store: Store, random: Random) -> None:
        self.kills: Counter[tuple[str, Side]] = Counter()
        self.any_time = 0
        self.deliveries = Deliveries(random)
        self.business = Business(lambda: int(self.clock.now().timestamp()))
        self._store = store
        self._settings = settings_for("", BILLING_LOG_LEVEL="info", **store.settings)
        self._ahead_seconds = 0.0

    @property
    def clock(self) -> Ahead:
        """Everybody's clock in the present life."""
        return Ahead(self._ahead_seconds)

    @property
    def settings(self) -> Settings:
        """The settings of every life, as it reads them."""
        with mock.patch.dict(os.environ, self._settings, clear=True):
            return load()

    async def run(self, planned: Plan, log: Path) -> frozenset[str]:
        """Live and die as planned, then live once more to the end; the steps of that last life."""
        async with (
            stripe_server(self.business, lambda: self.clock.now()) as url,
            nursery(log) as lives,
        ):
            self._settings["BILLING_STRIPE_URL"] = url
            await self._connect(CONNECTED, KNOWN)
            for point in planned.points:
                if point.step in DRAINING:
                    await self._let_wait(lives)
                    await self._connect(self.business.waiting, 0)
                    self.business.connect()
                if point.step in LEAVING:
                    await self._connect(self.business.leaving, 0)
                    self.business.leave()
                await self._killed_at(lives, point)
            for seconds in planned.times:
                await self._killed_after(lives, seconds)
            return await self._last(lives)

    async def audited(self) -> Findings:
        """What has come of it."""
        async with opened(self.settings) as container:
            return await audit(
                container.mirror(),
                self._store.rows,
                self._settings["BILLING_NATS_URL"],
                self.business,
                self.deliveries.acknowledged,
            )

    async def _killed_at(self, lives: Nursery, point: KillPoint) -> None:
        """One life that ends at a point."""
        async with self._life(lives, point) as begun:
            try:
                end = begun if begun.dies else await lives.news()
            except TimeoutError as error:
                raise AssertionError(f"{point} was not reached") from error
            assert end.dies == point, f"{point} was not reached: {end}"
        self.kills[point.step, point.side] += 1

    async def _killed_after(self, lives: Nursery, seconds: float) -> None:
        """One life that is killed so long after it has begun to listen, wherever it is then."""
        async with self._life(lives) as begun:
            await asyncio.sleep(seconds)
            os.kill(begun.pid, signal.SIGKILL)
        self.any_time += 1

    async def _let_wait(self, lives: Nursery) -> None:
        """See to it that an event of the waiting account waits for its effects."""

        async def waits() -> bool:
            found = await asyncio.to_thread(self._store.rows.effects)
            return any(one[:2] == ("waiting", self.business.waiting) for one in found)

        if await waits():
            return
        async with self._life(lives) as begun:
            await until(waits, LIFE_SECONDS)
            os.kill(begun.pid, signal.SIGKILL)
        self.any_time += 1

    async def _last(self, lives: Nursery) -> frozenset[str]:
        """A life that is left alone until nothing waits, then ends in order; the steps it took."""
        begun = await self._begin(lives)
        self.deliveries.add(self.business.happen())

        async def done() -> bool:
            await self.deliveries.deliver(begun.http, self.clock)
            return await asyncio.to_thread(self._quiet)

        await until(done, LIFE_SECONDS)
        os.kill(begun.pid, signal.SIGTERM)
        seen = await lives.news()
        assert (await lives.news()).ended == 0
        return frozenset(seen.seen)

    def _quiet(self) -> bool:
        """Whether nothing is on its way any more."""
        if self.deliveries.due or "pending" in self._store.rows.events().values():
            return False
        return not any(
            kind == "pending" or (kind == "waiting" and whose in self.business.connected)
            for kind, whose, *_ in self._store.rows.effects()
        )

    @contextlib.asynccontextmanager
    async def _life(self, lives: Nursery, point: KillPoint | None = None) -> AsyncIterator[News]:
        """A life that is delivered to until it dies, after the body; gives its first news."""
        begun = await self._begin(lives, point)
        pestering = asyncio.create_task(self._pester(begun.http))
        try:
            yield begun
            end = await lives.news()
            assert end.ended == -signal.SIGKILL, f"{point}: {end}"
        finally:
            pestering.cancel()
            await asyncio.gather(pestering, return_exceptions=True)

    async def _begin(self, lives: Nursery, point: KillPoint | None = None) -> News:
        """Bring up a life; it listens, or has come to its point before that."""
        self._ahead_seconds += _LEAP_SECONDS
        lost = point is not None and point.step == RELEASING
        lives.begin(Life(self._settings, self._ahead_seconds, point, lost))
        begun = await lives.news()
        assert begun.pid or begun.dies, f"it ended at its start: {begun}"
        return begun

    async def _pester(self, port: int) -> None:
        """Let things happen and be delivered until the life is over."""
        while port:
            self.deliveries.add(self.business.happen())
            await self.deliveries.deliver(port, self.clock)
            await asyncio.sleep(_PESTER_SECONDS)

    async def _connect(self, stripe_account: str, contacts: int) -> None:
        """Add the account of a Stripe account, with its CRM, and connect it."""
        account, now = tenant_of(stripe_account), datetime.now(UTC)
        before = SourceVersion(0, 0, 0)
        payer = payer_contact(stripe_account)
        people = [(payer, {"name": "Pia"})]
        for number in range(1, contacts + 1):
            contact, email = known_contact(number)
            people.append((contact, {"email": email}))
        async with opened(self.settings) as container:
            crm = container.stores.contacts()
            for contact, fields in people:
                await crm.fill(account, contact, fields, before, stripe_account="crm", create=True)
            await crm.link(ContactLink(account, stripe_account, PAYER, payer, now))
            mapping = {"name": "name", "email": "email"}
            await crm.put_sync_settings(ContactSync(account, mapping, create=True))
            await connect_account(container, account, stripe_account)
