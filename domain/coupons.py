"""Coupons, and discounts: a coupon as it was given to a customer, a subscription or an item."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

ONCE: Final = "once"
REPEATING: Final = "repeating"
FOREVER: Final = "forever"


@dataclass(frozen=True, slots=True)
class Coupon:
    """A mirrored coupon: a part off (`percent_off`, Stripe's decimal as text) or an amount off.

    `amount_off` is in minor units of `currency`, `currency_options` the same in others.
    `applies_to` are the products that it is good for; empty: for all. Both of the latter are told
    only where they were asked for: an event leaves them unknown.
    """

    id: str
    created: dt.datetime
    duration: str
    duration_in_months: int | None = None
    percent_off: str | None = None
    amount_off: int | None = None
    currency: str | None = None
    currency_options: Mapping[str, int] = field(default_factory=dict)
    applies_to: tuple[str, ...] = ()
    name: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")


@dataclass(frozen=True, slots=True)
class Discount:
    """A coupon as it was given. Stripe tells it within what bears it, and by no id of its own.

    `end` (aware UTC) is there for `repeating` coupons: it is off until then. `coupon_id` is its
    coupon's; `coupon` what that takes off, None where nobody has told.
    """

    id: str
    coupon_id: str | None = None
    coupon: Coupon | None = None
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    customer: str | None = None
    subscription: str | None = None
    subscription_item: str | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")
