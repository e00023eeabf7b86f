"""What follows from events as the service has it, on any stores."""

import asyncio
import datetime as dt
from collections.abc import Sequence

from application.background.clock import Clock
from application.effects.billing_events import BillingEvents
from application.effects.effect import Effect, Follower
from application.effects.effects import Effects
from application.events.readings import EventReader
from application.subscriptions.changes import SubscriptionChanges
from application.support.payment_notices import PaymentNotices
from domain.connections import Mode
from domain.effects import DEFAULT_MAX_AGE
from tests.support.rooms.contacts import syncing
from tests.support.servers.stores import Stores


def effects_on(
    stores: Stores,
    events: EventReader,
    clock: Clock,
    queued: asyncio.Event | None = None,
    *,
    max_age: dt.timedelta = DEFAULT_MAX_AGE,
    more_followers: Sequence[Follower] = (),
    more_effects: Sequence[Effect] = (),
) -> Effects:
    """All of it but refreshing; `more` of either come behind the service's own."""
    notices = PaymentNotices(
        stores.contacts, stores.support, stores.mirror, stores.outbox, clock,
        queued or asyncio.Event(),
    )  # fmt: skip
    return Effects(
        followers=[SubscriptionChanges(stores.subscription_history), *more_followers],
        effects=[
            syncing(stores.contacts, stores.mirror, clock),
            notices,
            BillingEvents(stores.outbox, clock),
            *more_effects,
        ],
        inbox=stores.inbox,
        events=events,
        mirror=stores.mirror,
        connections=stores.connections,
        waiting=stores.waiting_events,
        clock=clock,
        mode=Mode.TEST,
        max_age=max_age,
    )
