"""Prices: what a product costs, once or again and again."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Recurrence:
    """How often a recurring price is due: every `interval_count` of `interval` (day … year)."""

    interval: str
    interval_count: int
    usage_type: str = "licensed"
    meter: str | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """A mirrored price.

    `unit_amount` is in whole minor units where it is; `unit_amount_decimal` is Stripe's exact
    decimal as text, which may have a fraction. Tiered prices have neither.
    """

    id: str
    created: dt.datetime
    product: str
    currency: str
    active: bool
    type: str
    unit_amount: int | None = None
    unit_amount_decimal: str | None = None
    billing_scheme: str | None = None
    tiers_mode: str | None = None
    recurring: Recurrence | None = None
    nickname: str | None = None
    lookup_key: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")
