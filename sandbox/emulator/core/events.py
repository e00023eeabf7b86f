"""Events: a change of an object becomes one, is kept for listing and handed to delivery."""

from typing import Final

import msgspec

from sandbox.emulator.core.clock import Clock
from sandbox.emulator.core.delivery import Deliveries
from sandbox.emulator.core.ids import Ids
from sandbox.emulator.core.store import Store
from sandbox.emulator.core.values import API_VERSION, DAY_SECONDS, JsonObject, Origin, Scope

RETENTION_SECONDS: Final = 30 * DAY_SECONDS
"""Events can be read for 30 days (API reference, "Events")."""

MOST_KEPT: Final = 100_000
"""A scope's events in memory; the oldest fall out earlier than Stripe's would."""


class Events:
    """Records what happened.

    An event carries its object as encoded at that instant: about 3 µs, and no later change of
    the object can reach it.
    """

    def __init__(self, clock: Clock, ids: Ids, store: Store, delivery: Deliveries) -> None:
        self._clock = clock
        self._ids = ids
        self._store = store
        self._delivery = delivery
        self._encoder = msgspec.json.Encoder(decimal_format="number")

    def emit(
        self,
        scope: Scope,
        kind: str,
        item: JsonObject,
        previous: JsonObject | None,
        origin: Origin,
    ) -> JsonObject:
        """Store one event of type `kind` about `item` and submit it to the endpoints."""
        data: JsonObject = {"object": msgspec.Raw(self._encoder.encode(item))}
        if previous is not None:
            data["previous_attributes"] = previous
        event: JsonObject = {
            "id": self._ids.mint("evt", 24),
            "object": "event",
            "api_version": API_VERSION,
            "created": self._clock.now(),
            "data": data,
            "livemode": scope.livemode,
            "pending_webhooks": 0,
            "request": {"id": origin.id, "idempotency_key": origin.idempotency_key},
            "type": kind,
        }
        shelf = self._store.shelf(scope, "event")
        shelf.add(event, self._store.next_sequence())
        if len(shelf) > MOST_KEPT:
            shelf.drop_oldest()
        self._delivery.submit(scope, event)
        return event
