"""Receiving: a delivery from Stripe becomes a durable event, and nothing else happens."""

import asyncio
import logging

from application.background.clock import Clock
from application.events.inbox import EventState, Inbox
from application.events.readings import WebhookReader

_log = logging.getLogger(__name__)


class Receiver:
    """Stores genuine events, also those that nobody understands, and wakes the projector."""

    def __init__(
        self, webhooks: WebhookReader, inbox: Inbox, clock: Clock, arrived: asyncio.Event
    ) -> None:
        self._webhooks = webhooks
        self._inbox = inbox
        self._clock = clock
        self._arrived = arrived

    async def receive(self, body: bytes, signature: str) -> bool:
        """Keep the event of a delivery; it is durable on return. False where it was there before.

        Raises Unauthenticated (SIGNATURE_INVALID) and Unavailable (STORE_UNAVAILABLE), after which
        Stripe delivers again.
        """
        event = self._webhooks.read(body, signature, self._clock.now())
        fresh = await self._inbox.append(event)
        if fresh:
            self._arrived.set()
        if fresh and event.state is EventState.DEAD:
            _log.error("event is dead", extra={"event": event.id, "error": event.error})
        return fresh
