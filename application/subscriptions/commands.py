"""What callers ask of subscriptions."""

import datetime as dt
from dataclasses import dataclass

from application.subscriptions.ports import (
    ItemChange,
    SubscriptionFields,
)


@dataclass(frozen=True, slots=True)
class ListSubscriptions:
    """A page of the subscriptions; times bound `created`, from inclusive to exclusive."""

    page_size: int = 0
    page_token: str = ""
    customer: str = ""
    statuses: tuple[str, ...] = ()
    created_after: dt.datetime | None = None
    created_before: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class UpdateSubscription:
    """New values of a subscription, of which `mask` names those that count (empty: all that are
    set), and changes of its items.

    In `values`, None and empty both stand for no value.
    """

    id: str
    values: SubscriptionFields
    mask: tuple[str, ...] = ()
    items: tuple[ItemChange, ...] = ()
    proration_behavior: str = ""
    payment_behavior: str = ""
