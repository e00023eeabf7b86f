"""Prices: what a product costs, once or again and again."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

TIERED: Final = "tiered"
"""The billing scheme of a price that has tiers."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """How often a recurring price is due: every `interval_count` of `interval` (day … year)."""

    interval: str
    interval_count: int
    usage_type: str = "licensed"
    meter: str | None = None


@dataclass(frozen=True, slots=True)
class Tier:
    """A step of a tiered price, up to and including a quantity; None is without end.

    Amounts are as in a price: whole minor units where they are, and the exact decimal as text.
    """

    up_to: int | None
    flat_amount: int | None = None
    flat_amount_decimal: str | None = None
    unit_amount: int | None = None
    unit_amount_decimal: str | None = None


@dataclass(frozen=True, slots=True)
class CustomUnitAmount:
    """What a customer may choose to pay, in whole minor units; None is no bound."""

    minimum: int | None = None
    maximum: int | None = None
    preset: int | None = None


@dataclass(frozen=True, slots=True)
class TransformQuantity:
    """Packages: the quantity is divided before it is priced, and rounded `up` or `down`."""

    divide_by: int
    round: str


@dataclass(frozen=True, slots=True)
class CurrencyOption:
    """The same price in another currency. `tiers` is None where they were not told."""

    unit_amount: int | None = None
    unit_amount_decimal: str | None = None
    tax_behavior: str | None = None
    custom_unit_amount: CustomUnitAmount | None = None
    tiers: tuple[Tier, ...] | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """A mirrored price.

    `unit_amount` is in whole minor units where it is; `unit_amount_decimal` is Stripe's exact
    decimal as text, which may have a fraction of up to 12 digits. Tiered prices have neither.
    `tiers` and `currency_options` (by currency) are told only where they were asked for: an event
    leaves them unknown. `trial_period_days` is that of `recurring`.
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
    tiers: tuple[Tier, ...] = ()
    transform_quantity: TransformQuantity | None = None
    currency_options: Mapping[str, CurrencyOption] = field(default_factory=dict)
    custom_unit_amount: CustomUnitAmount | None = None
    tax_behavior: str | None = None
    trial_period_days: int | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")

    @property
    def tiered(self) -> bool:
        """Whether its tiers are what it costs."""
        return self.billing_scheme == TIERED
