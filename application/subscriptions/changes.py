"""Subscription changes: what each event told of a subscription is kept, in Stripe's time."""

from collections.abc import Mapping, Sequence

from typing_extensions import override

from application.effects.effect import Follower
from application.effects.happenings import EventWithFacts, Outcome
from application.subscriptions.history import SubscriptionHistory
from domain.subscription_history import SubscriptionChange
from domain.subscriptions import Subscription


class SubscriptionChanges(Follower):
    """Keeps one row an event of a subscription: a record of the mirror's, it needs no tenant."""

    def __init__(self, history: SubscriptionHistory) -> None:
        self._history = history

    @override
    async def after(
        self, events: Sequence[EventWithFacts], outcomes: Mapping[str, Outcome]
    ) -> None:
        changes = []
        for event in events:
            if isinstance(event.object, Subscription):
                change = SubscriptionChange(
                    event.projected.stripe_account,
                    event.id,
                    event.projected.received.type,
                    event.occurred_at,
                    event.object,
                    event.unknown,
                    as_read=event.projected.snapshot is None,
                )
                changes.append(change)
                outcomes[event.id].note("history")
        await self._history.append(changes)
