"""The history of subscriptions, one row an event."""

import datetime as dt
from collections.abc import Sequence
from typing import Protocol

from domain.subscription_history import SubscriptionChange

MAX_CHANGES = 1_000


class SubscriptionHistory(Protocol):
    """Keeps what each event told of a subscription, in Stripe's time.

    The mirror holds only the present; questions about movement need what was before. Rows are
    facts of the Stripe account: they need no tenant. Raises Unavailable (STORE_UNAVAILABLE) when
    the store does not answer.
    """

    async def append(self, changes: Sequence[SubscriptionChange]) -> None:
        """Keep changes, durably; at most MAX_CHANGES. Idempotent by (Stripe account, event)."""
        ...

    async def of_subscription(
        self,
        stripe_account: str,
        subscription: str,
        *,
        after: tuple[dt.datetime, str] | None,
        limit: int,
    ) -> Sequence[SubscriptionChange]:
        """A subscription's changes in order of (at, event id), from behind one of these."""
        ...
