"""Delivery of events to webhook endpoints: signed, retried, bounded, and as unruly as asked for."""

import asyncio
import hmac
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Final, TypeAlias

import aiohttp
import msgspec

from sandbox.emulator.core.clock import Clock
from sandbox.emulator.core.messages import DeliveryChange, DeliveryState, DeliverySwitches
from sandbox.emulator.core.values import API_VERSION, JsonObject, Scope

MOST_QUEUED: Final = 100_000
"""Deliveries that wait; beyond it they are dropped and stay undelivered in the event's list."""

ALL_EVENTS: Final = "*"

NEW_SHAPES_SINCE: Final = "2025-03-31"
"""API versions of earlier dates have older shapes of objects (changelog, "Basil")."""

Older: TypeAlias = Callable[[Scope, JsonObject], JsonObject]
"""The object of an event in its older shape."""

_USER_AGENT: Final = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events go. connect: those of connected accounts, else those of its own scope."""

    id: str
    scope: Scope
    url: str
    secret: str
    connect: bool
    enabled_events: frozenset[str]
    enabled: bool
    api_version: str = API_VERSION

    def wants(self, scope: Scope, kind: str, platform: str, *, both_modes: bool) -> bool:
        """Whether an event of `scope` goes here.

        A live Connect endpoint receives test events too (docs, "Connect webhooks"), any Connect
        endpoint those of both modes where `both_modes` is set.
        """
        if not self.enabled or not (
            ALL_EVENTS in self.enabled_events or kind in self.enabled_events
        ):
            return False
        if not self.connect:
            return self.scope == scope
        same_mode = self.scope.livemode == scope.livemode or self.scope.livemode or both_modes
        return same_mode and scope.account != platform


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint, shown in an API version; `connect` shows its account."""

    event: JsonObject
    scope: Scope
    endpoint: str
    connect: bool
    version: str
    attempt: int = 1
    duplicate: bool = False


def signature(body: bytes, secret: str, timestamp: int) -> str:
    """The `Stripe-Signature` header (docs, "Verify webhook signatures manually")."""
    digest = hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, "sha256").hex()
    return f"t={timestamp},v1={digest}"


class Deliveries:
    """The endpoints and the queue before them.

    Works on the event loop that called `start`; until then deliveries only queue.
    """

    def __init__(
        self,
        platform: str,
        clock: Clock,
        older: Older,
        seed: int | None = None,
        switches: DeliverySwitches | None = None,
    ) -> None:
        self._platform = platform
        self._clock = clock
        self._older = older
        self._random = random.Random(seed)
        self._switches = switches or DeliverySwitches()
        self._endpoints: dict[str, Endpoint] = {}
        self._queue: deque[Delivery] = deque()
        self._delayed: list[tuple[float, int, Delivery]] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._encoder = msgspec.json.Encoder(decimal_format="number")
        self._delays = 0
        self._succeeded = self._duplicates = self._failed = self._gave_up = self._dropped = 0

    def start(self, session: aiohttp.ClientSession) -> None:
        """Begin to deliver through `session`, which stays the caller's."""
        self._session = session
        self._pump()

    async def stop(self) -> None:
        """Give up what is queued and end what is in flight."""
        self._session = None
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._alarm is not None:
            self._alarm.cancel()
        self._delayed.clear()
        self._queue.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def register(self, endpoint: Endpoint) -> None:
        """Add an endpoint or replace it."""
        self._endpoints[endpoint.id] = endpoint

    def endpoint(self, identifier: str) -> Endpoint:
        """A registered endpoint; KeyError when unknown."""
        return self._endpoints[identifier]

    def unregister(self, identifier: str) -> None:
        """Remove an endpoint; what is queued for it is dropped when its turn comes."""
        self._endpoints.pop(identifier, None)

    def submit(self, scope: Scope, event: JsonObject) -> None:
        """Queue an event for every endpoint that wants it, counting them on the event."""
        kind: str = event["type"]
        switches = self._switches
        for endpoint in self._endpoints.values():
            if not endpoint.wants(scope, kind, self._platform, both_modes=switches.both_modes):
                continue
            event["pending_webhooks"] += 1
            old = self._falls(switches.older_fraction)
            version = switches.older_version if old else endpoint.api_version
            delivery = Delivery(event, scope, endpoint.id, endpoint.connect, version)
            if self._falls(switches.drop_fraction):
                self._dropped += 1
            elif self._falls(switches.delay_fraction):
                self._delay(delivery, switches.delay_seconds)
            else:
                self._enqueue(delivery)
        self._pump()

    def wake(self) -> None:
        """Look at the emulator's clock, which was moved: queue what waited for it."""
        now = self._clock.now()
        while self._delayed and self._delayed[0][0] <= now:
            self._enqueue(heappop(self._delayed)[2])
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._delayed and self._session is not None:
            wait = self._delayed[0][0] - now
            self._alarm = asyncio.get_running_loop().call_later(wait, self.wake)
        self._pump()

    def change(self, change: DeliveryChange) -> DeliveryState:
        """Turn switches; ValueError for one out of its bounds."""
        wanted = {
            name: value
            for name, value in msgspec.structs.asdict(change).items()
            if value is not None and name != "seed"
        }
        switches = msgspec.structs.replace(self._switches, **wanted)
        for name in ("duplicate", "drop", "delay", "older"):
            if not 0 <= getattr(switches, f"{name}_fraction") <= 1:
                raise ValueError(f"{name}_fraction is between 0 and 1")
        if switches.reorder_window < 1 or switches.max_attempts < 1:
            raise ValueError("reorder_window and max_attempts are at least 1")
        if not 1 <= switches.concurrency <= 256:
            raise ValueError("concurrency is between 1 and 256")
        waits = (switches.first_retry_seconds, switches.max_retry_seconds, switches.delay_seconds)
        if min(waits) < 0:
            raise ValueError("waits are not negative")
        self._switches = switches
        if change.seed is not None:
            self._random.seed(change.seed)
        self._pump()
        return self.state()

    def state(self) -> DeliveryState:
        """The switches and counters now."""
        return DeliveryState(
            switches=self._switches,
            queued=len(self._queue),
            retrying=len(self._timers),
            in_flight=len(self._tasks),
            succeeded=self._succeeded,
            duplicates=self._duplicates,
            failed_attempts=self._failed,
            gave_up=self._gave_up,
            dropped=self._dropped,
            delayed=len(self._delayed),
        )

    async def settle(self, timeout_seconds: float) -> bool:
        """Resume, and wait until everything is delivered or given up; False at the time-out."""
        self.change(DeliveryChange(paused=False))
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_seconds)
        except TimeoutError:
            return False
        return True

    def _falls(self, fraction: float) -> bool:
        """Whether chance picks this one; a fraction of nought draws nothing."""
        return fraction > 0 and self._random.random() < fraction

    def _delay(self, delivery: Delivery, seconds: float) -> None:
        """Let a delivery wait for the emulator's clock."""
        if len(self._delayed) >= MOST_QUEUED:
            self._dropped += 1
            return
        self._delays += 1
        heappush(self._delayed, (self._clock.now() + seconds, self._delays, delivery))
        self.wake()

    def _enqueue(self, delivery: Delivery) -> None:
        if len(self._queue) >= MOST_QUEUED:
            self._dropped += 1
            return
        self._queue.append(delivery)
        self._idle.clear()

    def _pump(self) -> None:
        """Start as many deliveries as may run."""
        while (
            self._session is not None
            and self._queue
            and not self._switches.paused
            and len(self._tasks) < self._switches.concurrency
        ):
            task = asyncio.get_running_loop().create_task(
                self._deliver(self._draw(), self._session)
            )
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _draw(self) -> Delivery:
        place = self._random.randrange(min(self._switches.reorder_window, len(self._queue)))
        delivery = self._queue[place]
        del self._queue[place]
        return delivery

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._pump()
        if not (self._tasks or self._queue or self._timers):
            self._idle.set()

    async def _deliver(self, delivery: Delivery, session: aiohttp.ClientSession) -> None:
        endpoint = self._endpoints.get(delivery.endpoint)
        if endpoint is None or not endpoint.enabled:
            return
        if await self._accepted(delivery, endpoint, session):
            self._count_success(delivery)
            return
        self._failed += 1
        if delivery.duplicate or delivery.attempt >= self._switches.max_attempts:
            self._gave_up += 1
            return
        wait = min(
            self._switches.first_retry_seconds * 2 ** (delivery.attempt - 1),
            self._switches.max_retry_seconds,
        )
        again = replace(delivery, attempt=delivery.attempt + 1)
        if self._switches.retry_on_clock:
            self._delay(again, wait)
        else:
            self._retry_later(again, wait)

    async def _accepted(
        self, delivery: Delivery, endpoint: Endpoint, session: aiohttp.ClientSession
    ) -> bool:
        body = self._encoder.encode(self._shown(delivery))
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(body, endpoint.secret, int(time.time())),
            "User-Agent": _USER_AGENT,
        }
        timeout = aiohttp.ClientTimeout(total=self._switches.timeout_seconds)
        try:
            async with session.post(
                endpoint.url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def _shown(self, delivery: Delivery) -> JsonObject:
        """The event as this endpoint is sent it."""
        event = delivery.event
        if delivery.connect:
            event = {**event, "account": delivery.scope.account}
        if delivery.version != API_VERSION:
            event = {**event, "api_version": delivery.version}
        if delivery.version < NEW_SHAPES_SINCE:
            older = self._older(delivery.scope, delivery.event)
            event = {**event, "data": {**event["data"], "object": older}}
        return event

    def _count_success(self, delivery: Delivery) -> None:
        if delivery.duplicate:
            self._duplicates += 1
            return
        self._succeeded += 1
        delivery.event["pending_webhooks"] -= 1
        if self._falls(self._switches.duplicate_fraction):
            self._enqueue(replace(delivery, duplicate=True, attempt=1))

    def _retry_later(self, delivery: Delivery, wait: float) -> None:
        def again() -> None:
            self._timers.discard(timer)
            self._enqueue(delivery)
            self._pump()

        timer = asyncio.get_running_loop().call_later(wait, again)
        self._timers.add(timer)
