"""What callers ask of charges and refunds."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListCharges:
    """A page of the charges; times bound `created`, from inclusive to exclusive."""

    page_size: int = 0
    page_token: str = ""
    customer: str = ""
    payment_intent: str = ""
    status: str = ""
    created_after: dt.datetime | None = None
    created_before: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class ListRefunds:
    """A page of the refunds; times as in ListCharges."""

    page_size: int = 0
    page_token: str = ""
    charge: str = ""
    created_after: dt.datetime | None = None
    created_before: dt.datetime | None = None
