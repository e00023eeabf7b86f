"""Every call of a store, of Stripe and of the queue goes wrong, and the end is as without that."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from application.jobs.publisher import QueueUnavailable
from application.jobs.publishing import Publishing
from application.mirror.enrichment import Enrichment
from application.projection.projector import Projector
from domain.connections import Connection, ConnectionKind, Mode
from domain.contacts import ContactSync
from domain.errors import BillingError, Reason, Unavailable
from domain.jobs import Job
from infrastructure.queue.embedded import EmbeddedPublisher
from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import StripeApi, StripeSettings
from infrastructure.stripe.readers.events import StripeEventReader
from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import RunningEmulator, emulator_in_process
from sandbox.emulator.settings import PLATFORM_KEY
from tests.support.fakes.breaking import Breaking
from tests.support.fakes.machine_clock import MovableClock
from tests.support.rooms.effects_as_wired import effects_on
from tests.support.rooms.upkeep import Flows
from tests.support.servers.stores import Opener, Stores, sqlite_stores

DAY: Final = dt.timedelta(days=1)
ROUNDS: Final = 60
TIMEOUT_SECONDS: Final = 0.25
BAD_TURNS: Final = (0, 2)
"""Of each method the first call goes wrong and the third: the repeat of the first is let through,
what follows from it is disturbed again."""


class Disturbance:
    """What goes wrong at calls of ports, by the name of the port and the method."""

    def __init__(self, how: str, turns: Collection[int] = BAD_TURNS) -> None:
        self.how, self.turns = how, turns
        self.calls: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()

    def around(self, port: Any, name: str, error: Callable[[], Exception]) -> Any:
        """The port, disturbed."""

        async def disturb(method: str) -> None:
            called = f"{name}.{method}"
            turn, self.calls[called] = self.calls[called], self.calls[called] + 1
            if turn not in self.turns:
                return
            self.wrong[called] += 1
            if self.how == "stalls":
                for _ in range(200):  # everybody else comes first
                    await asyncio.sleep(0)
            else:
                raise error()

        return Breaking(port, **{"after" if self.how == "is cut" else "before": disturb})


@dataclass
class Pipeline:
    """Everything between Stripe and the queue over one store, and what came out of it."""

    flows: Flows
    clock: MovableClock
    projector: Projector
    publishing: Publishing
    published: list[Job]

    async def settle(self) -> None:
        """Do all of the work again and again until each piece of it has come to its end."""
        done: set[str] = set()
        pieces: dict[str, Callable[[], Awaitable[object]]] = {
            "catch-up": lambda: self.flows.catch_up.poll(self.flows.source),
            "backfill": self.flows.backfilled,
            "balance transactions": lambda: self.flows.balance_transactions.refresh(
                self.flows.account, pending=True
            ),
            "reconcile": lambda: self.flows.reconciled(repair=True),
            "project": self._project,
            "publish": self._publish,
        }
        for _ in range(ROUNDS):
            for name, piece in pieces.items():
                try:
                    if name not in done:
                        await piece()
                        done.add(name)
                except (BillingError, QueueUnavailable):
                    done -= {"project", "publish"}  # they have what is left in the middle to do
            self.clock.ahead += dt.timedelta(minutes=30)
            if len(done) == len(pieces):
                return
        raise AssertionError(f"only these come to their end: {sorted(done)}")

    async def _project(self) -> None:
        for _ in range(ROUNDS):
            while await self.projector.project_batch():
                pass
            if not await self.flows.stores.inbox.backlog():
                return
            self.clock.ahead += dt.timedelta(minutes=30)
        raise AssertionError("the inbox does not come to rest")

    async def _publish(self) -> None:
        for _ in range(ROUNDS):
            while await self.publishing.publish_batch():
                pass
            if not (await self.flows.stores.outbox.counts()).pending:
                return
            self.clock.ahead += dt.timedelta(minutes=30)
        raise AssertionError("the outbox does not come to rest")


@asynccontextmanager
async def pipeline(
    emulator: RunningEmulator, account: str, stores: Stores, disturbance: Disturbance
) -> AsyncIterator[Pipeline]:
    """A pipeline whose ports are disturbed. Stripe is reached with short time-outs."""
    clock = MovableClock()
    settings = StripeSettings(
        PLATFORM_KEY,
        api_base=emulator.url,
        timeout_seconds=TIMEOUT_SECONDS,
        first_backoff_seconds=0.001,
        tries=1,
    )
    disturbed = replace(
        stores,
        **{
            one.name: disturbance.around(getattr(stores, one.name), one.name, _store_away)
            for one in fields(Stores)
            if one.name not in ("kind", "explain")
        },
    )
    published: list[Job] = []

    async def consume(job: Job) -> None:
        published.append(job)

    embedded = EmbeddedPublisher()
    embedded.register("support.payment_notice", consume)
    api = StripeApi(settings, RateBudget(10_000), clock)
    async with emulator.sdk() as sdk:
        flows = Flows(emulator, sdk, api, disturbed, account, clock=clock)
        queued, arrived = asyncio.Event(), asyncio.Event()
        effects = effects_on(disturbed, StripeEventReader(), clock, queued)
        projector = Projector(
            disturbed.inbox, flows.writer, Enrichment(disturbed.mirror), StripeEventReader(),
            flows.objects, flows.platform, clock, arrived, "one", effects,
        )  # fmt: skip
        publisher = disturbance.around(embedded, "publisher", _queue_away)
        try:
            yield Pipeline(
                flows,
                clock,
                projector,
                Publishing(disturbed.outbox, publisher, clock, queued, "one"),
                published,
            )
        finally:
            await api.close()


def _store_away() -> Exception:
    return Unavailable(Reason.STORE_UNAVAILABLE, "the store does not answer")


def _queue_away() -> Exception:
    return QueueUnavailable("the queue does not answer")


async def connect(stores: Stores, account: str) -> None:
    """Connect the account, and let its customers become contacts."""
    yesterday = dt.datetime.now(dt.UTC).replace(microsecond=0) - DAY
    await stores.connections.put(
        Connection("acme", account, Mode.TEST, ConnectionKind.OAUTH, yesterday)
    )
    await stores.contacts.put_sync_settings(ContactSync("acme", {"name": "name"}, create=True))


@dataclass(frozen=True)
class Consequences:
    """All that has followed from the events, ids alone."""

    mirrored: dict[str, Any]
    events: frozenset[str]
    published: frozenset[str]
    messages: frozenset[str]
    history: frozenset[str]
    contacts: frozenset[str]


async def consequences(pipe: Pipeline, stores: Stores) -> Consequences:
    """What a settled pipeline has left in its store; each of it is there once by its id."""
    account = pipe.flows.account
    mirrored = await pipe.flows.mirrored(stores.mirror)
    links = await stores.contacts.links("acme", account, sorted(mirrored["customer"]))
    messages, history = [], []
    for link in links.values():
        messages += await stores.support.messages("acme", link.contact, limit=100)
    for subscription in mirrored["subscription"]:
        history += await stores.subscription_history.of_subscription(
            account, subscription, after=None, limit=100
        )
    watched = await stores.outbox.watch("acme", after=0, limit=1_000)
    return Consequences(
        mirrored,
        frozenset(one.job.id for one in watched),
        frozenset(job.id for job in pipe.published),
        frozenset(one.message.id for one in messages),
        frozenset(one.event_id for one in history),
        frozenset(link.contact for link in links.values()),
    )


@pytest.fixture
async def emulator() -> AsyncIterator[RunningEmulator]:
    async with emulator_in_process() as running:
        yield running


@asynccontextmanager
async def histories(
    emulator: RunningEmulator,
    stores: Stores,
    calm_stores: Stores,
    how: str,
    turns: Collection[int] = BAD_TURNS,
) -> AsyncIterator[tuple[Pipeline, Pipeline, Disturbance]]:
    """Two pipelines over one account's history: one that is disturbed, one that is not."""
    account = await emulator.control.create_account()
    disturbance = Disturbance(how, turns)
    async with AsyncExitStack() as stack:
        disturbed = await stack.enter_async_context(
            pipeline(emulator, account, stores, disturbance)
        )
        calm = await stack.enter_async_context(
            pipeline(emulator, account, calm_stores, Disturbance(how, turns=()))
        )
        for each in (stores, calm_stores):
            await connect(each, account)
        await disturbed.flows.live_a_little(customers=2)
        yield disturbed, calm, disturbance


NEEDED: Final = frozenset(
    {
        "checkpoints.load", "checkpoints.save", "connections.find_by_stripe_account",
        "contacts.fill", "contacts.link", "contacts.links", "contacts.sync_settings",
        "inbox.append", "inbox.claim", "inbox.settle", "mirror.derive", "mirror.fetch",
        "mirror.list", "mirror.replace", "outbox.append", "outbox.claim", "outbox.mark_published",
        "publisher.publish", "reports.put", "subscription_history.append", "support.post",
    }
)  # fmt: skip
"""What at least must have gone wrong."""


@pytest.mark.parametrize("how", ["fails", "is cut", "stalls"])
async def test_a_port_whose_every_method_goes_wrong_loses_nothing_and_doubles_nothing(
    opener: Opener, emulator: RunningEmulator, tmp_path: Path, how: str
) -> None:
    async with (
        opener() as stores,
        sqlite_stores(tmp_path / "calm.db") as calm_stores,
        histories(emulator, stores, calm_stores, how) as (disturbed, calm, disturbance),
    ):
        await calm.settle()
        await disturbed.settle()
        expected = await consequences(calm, calm_stores)
        assert await consequences(disturbed, stores) == expected
        assert expected.mirrored == await calm.flows.at_stripe()
        assert all((expected.events, expected.published, expected.history, expected.contacts))
        assert disturbance.wrong.keys() >= NEEDED


STRIPE_FAULTS: Final = {
    "fails": FaultSpec(kind="fail", status=500),
    "refuses": FaultSpec(kind="fail", status=429, retry_after=0),
    "stalls": FaultSpec(kind="stall", seconds=2 * TIMEOUT_SECONDS),
    "is cut": FaultSpec(kind="cut"),
    "hangs up": FaultSpec(kind="drop_before"),
}


@pytest.mark.parametrize("how", STRIPE_FAULTS)
async def test_a_stripe_whose_every_answer_goes_wrong_once_is_mirrored_all_the_same(
    opener: Opener, emulator: RunningEmulator, tmp_path: Path, how: str
) -> None:
    async with (
        opener() as stores,
        sqlite_stores(tmp_path / "calm.db") as calm_stores,
        histories(emulator, stores, calm_stores, how, ()) as (disturbed, calm, _),
    ):
        before = (await emulator.control.stats()).routes
        await calm.settle()
        after = (await emulator.control.stats()).routes
        asked = [route for route, count in after.items() if count > before.get(route, 0)]
        assert len(asked) > 10
        for route in asked:
            method, _, path = route.partition(" ")
            fault = msgspec.structs.replace(STRIPE_FAULTS[how], method=method, route=path)
            await emulator.control.add_fault(fault)
        await disturbed.settle()
        assert await emulator.control.faults() == []
        expected = await consequences(calm, calm_stores)
        assert await consequences(disturbed, stores) == expected
        assert expected.mirrored == await calm.flows.at_stripe()
