"""The receiving half of the service and its projector, real, in process, on a SQLite file."""

import asyncio
import datetime as dt
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from zlib import crc32

from aiohttp import web
from typing_extensions import override

from application.background.clock import Clock
from application.connections.platform import Platform
from application.events.inbox import EventState
from application.events.receiver import Receiver
from application.mirror.enrichment import Enrichment
from application.mirror.ports import Noun
from application.mirror.stripe import ObjectReader, Priority
from application.mirror.writer import MirrorWriter
from application.projection.projector import Projector
from application.projection.retries import LAST_RETRY_SECONDS
from domain.connections import Connection, ConnectionKind, Mode
from domain.contacts import ContactSync
from domain.errors import FailedPrecondition, Reason, Unavailable
from domain.mirror import MirroredObject, Snapshot, Version
from domain.periods import to_milliseconds
from infrastructure.stripe.readers.events import StripeEventReader
from infrastructure.stripe.readers.webhooks import StripeWebhookReader
from interfaces.http_webhook.app import create_app
from tests.fuzz.mutate_events import ACCOUNTS
from tests.fuzz.signatures import CONNECT_SECRET, PLATFORM_SECRET
from tests.support.fakes.stores import FakeClock, FakeStripeAccounts
from tests.support.rooms.effects_as_wired import effects_on
from tests.support.servers.stores import Stores, sqlite_stores

T = TypeVar("T", bound=MirroredObject)

STRIPE_SILENT: Final = "Stripe does not answer"
_MOST_BATCHES: Final = 1_000
_MAPPING: Final = {"name": "name", "email": "email", "phone": "phone", "tier": "metadata.tier"}
_ROWS: Final = (
    "SELECT id, state, decision, error, payload"
    ' FROM "billing.events" JOIN "billing.event_payloads" USING (seq) ORDER BY seq'
)


class Objects(ObjectReader):
    """Stripe on the phone: by its id, an object is gone, or asking after it always fails."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @override
    async def read(
        self,
        noun: Noun[T],
        stripe_account: str,
        object_id: str,
        *,
        not_before_ms: int | None,
        priority: Priority,
    ) -> Snapshot[T]:
        match crc32(object_id.encode()) % 4:
            case 0:
                raise Unavailable(Reason.STRIPE_UNAVAILABLE, STRIPE_SILENT)
            case 1:
                raise FailedPrecondition(
                    Reason.STRIPE_CONNECTION_REVOKED, "the platform may not", subject=stripe_account
                )
        now_ms = to_milliseconds(self._clock.now())
        version = Version.of_read(
            date_ms=now_ms, duration_ms=5, sent_at_ms=now_ms, not_before_ms=not_before_ms
        )
        return Snapshot(stripe_account, object_id, version, None)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A row of the inbox, as it is in the file."""

    id: str
    state: EventState
    decision: str
    error: str
    payload: bytes


class Service:
    """What listens at `port`, and what is behind it."""

    def __init__(self, stores: Stores, path: Path, clock: FakeClock) -> None:
        self.stores = stores
        self.port = 0
        self._path = path
        self._clock = clock
        self._events = StripeEventReader()
        self._platform = Platform(stores.deployment, FakeStripeAccounts(), Mode.TEST)
        self._projector = Projector(
            stores.inbox, MirrorWriter(stores.mirror), Enrichment(stores.mirror), self._events,
            Objects(clock), self._platform, clock, asyncio.Event(), "fuzz",
            effects_on(stores, self._events, clock),
        )  # fmt: skip

    def receiver(self) -> Receiver:
        """What the webhook hands deliveries to."""
        reader = StripeWebhookReader(
            platform_secrets=[PLATFORM_SECRET], connect_secrets=[CONNECT_SECRET], mode=Mode.TEST
        )
        return Receiver(reader, self.stores.inbox, self._clock, asyncio.Event())

    async def connect(self) -> None:
        """Let one account be connected, its contacts following its customers."""
        since = self._clock.now() - dt.timedelta(hours=3)
        await self.stores.connections.put(
            Connection("acme", ACCOUNTS[0], Mode.TEST, ConnectionKind.OAUTH, since)
        )
        await self.stores.contacts.put_sync_settings(ContactSync("acme", _MAPPING, create=True))

    async def project_what_is_due(self) -> None:
        """Project until nothing is due."""
        for _ in range(_MOST_BATCHES):
            if not await self._projector.project_batch():
                return
        raise AssertionError(f"events are still due after {_MOST_BATCHES} batches")

    def wait_for_retries(self) -> None:
        """Let so much time pass that every event that waits is due again."""
        self._clock.advance(seconds=LAST_RETRY_SECONDS + 1)

    def stored(self) -> list[StoredEvent]:
        """Every row of the inbox, in the order of arrival."""
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as connection:
            return [
                StoredEvent(id_, EventState(state), decision, error, payload)
                for id_, state, decision, error, payload in connection.execute(_ROWS)
            ]

    async def shown(self, event_id: str) -> tuple[Any, Any]:
        """The object that an event tells, and the one that the mirror shows for it."""
        found = await self.stores.inbox.get(event_id)
        assert found is not None
        account = found[0].stripe_account or await self._platform.stripe_account()
        told: Any = self._events.read(found[0], account)
        rows = await self.stores.mirror.fetch(told.noun, account, [told.snapshot.id])
        row = rows.get(told.snapshot.id)
        return told.snapshot.object, row and row.snapshot and row.snapshot.object


@asynccontextmanager
async def running_service(path: Path, *, patience_seconds: float = 75.0) -> AsyncIterator[Service]:
    """A service on an empty SQLite file that listens as bootstrap lets it listen.

    `patience_seconds` is for how long it keeps a connection on which nothing comes to an end.
    """
    async with sqlite_stores(path) as stores:
        service = Service(stores, path, FakeClock())
        await service.connect()
        runner = web.AppRunner(
            create_app(service.receiver()),
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=patience_seconds,
            lingering_time=min(patience_seconds, 10.0),
            shutdown_timeout=1.0,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            service.port = runner.addresses[0][1]
            yield service
        finally:
            await runner.cleanup()
