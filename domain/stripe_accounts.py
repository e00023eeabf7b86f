"""Stripe accounts themselves: what the platform's own and the connected ones may do."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StripeAccount:
    """A mirrored Stripe account, as the platform sees it.

    `created` is when it was connected. `capabilities` are Stripe's open statuses (`active`,
    `pending`, `inactive`) by its names (`card_payments`, `transfers`, …).
    """

    id: str
    created: dt.datetime
    charges_enabled: bool
    payouts_enabled: bool
    details_submitted: bool
    default_currency: str | None = None
    country: str | None = None
    capabilities: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")
