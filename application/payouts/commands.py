"""What callers ask of payouts."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListPayouts:
    """A page of the payouts, ordered by `order`: `arrival_date` or `created`, the latest first.

    `oldest_first` turns that around. Times bound `arrival_date` and `created`, from inclusive to
    exclusive. Empty `statuses` are all.
    """

    page_size: int = 0
    page_token: str = ""
    statuses: tuple[str, ...] = ()
    automatic: bool | None = None
    currency: str = ""
    arrival_after: dt.datetime | None = None
    arrival_before: dt.datetime | None = None
    created_after: dt.datetime | None = None
    created_before: dt.datetime | None = None
    order: str = "arrival_date"
    oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class ListPayoutTransactions:
    """A page of the balance transactions that a payout holds; an empty category is every one."""

    payout: str
    page_size: int = 0
    page_token: str = ""
    reporting_category: str = ""
