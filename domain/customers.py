"""Customers, as Stripe keeps them, and what a caller may ask to change."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.coupons import Discount


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address. `country` is an ISO 3166-1 alpha-2 code where Stripe knows it."""

    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Customer:
    """A mirrored customer. Empty is None, as at Stripe.

    `discount` is what is off all his subscriptions that have none of their own.
    """

    id: str
    created: dt.datetime
    email: str | None = None
    name: str | None = None
    phone: str | None = None
    description: str | None = None
    address: Address | None = None
    currency: str | None = None
    delinquent: bool | None = None
    default_payment_method: str | None = None
    default_source: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    discount: Discount | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")
