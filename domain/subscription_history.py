"""Subscription history: what a subscription was, as each event of it told."""

import datetime as dt
from dataclasses import dataclass

from domain.subscriptions import Subscription


@dataclass(frozen=True, slots=True)
class SubscriptionChange:
    """One event of a subscription, at Stripe's `created` of that event (aware UTC).

    `subscription` is what the event showed; `unknown` names its fields that the payload did not
    tell. `as_read`: the event's payload was no help, and this is what Stripe showed when it was
    read again, after `at`.
    """

    stripe_account: str
    event_id: str
    event_type: str
    at: dt.datetime
    subscription: Subscription
    unknown: frozenset[str] = frozenset()
    as_read: bool = False

    def __post_init__(self) -> None:
        if not self.stripe_account or not self.event_id:
            raise ValueError("stripe_account, event_id: must not be empty")
