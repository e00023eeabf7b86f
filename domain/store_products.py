"""The platform's store: what it sells, to whom, and at which prices.

Not to be confused with the catalogue of a Stripe account (`domain/products.py`): the store is the
platform's own. `_store.products` and `_store.prices` hold it, and a price may name the Stripe price
by which a parent is charged for it on the platform's account.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.accounts import Account
from domain.billing_cycles import LONGEST_PERIOD, Interval
from domain.ids import ID_RULE, is_object_id
from domain.money import CURRENCIES, largest_charge
from domain.wallets import SERVICE, SERVICE_RULE

MAX_QUANTITY: Final = 1_000
MAX_ELIGIBLE: Final = 1_000
MAX_NAME: Final = 250
LISTINGS: Final = "listings"
"""The flag of an account that may have a listing."""


class ProductKind(StrEnum):
    """What is sold. It decides how the sale is paid, and what it costs the seller."""

    ONE_OFF = "one_off"
    PHONE_NUMBER = "phone_number"
    LISTING = "listing"
    SUBSCRIPTION = "subscription"

    @property
    def recurs(self) -> bool:
        """Whether it is paid again each period."""
        return self is not ProductKind.ONE_OFF


@dataclass(frozen=True, slots=True)
class StoreProduct:
    """A product of the store.

    - `service`: what parents' multipliers name it by; empty stands for `store.` and the kind.
    - `accounts`, `tiers`: whose ids, or tiers, it is offered to; empty: to all.
    - `most`: the largest quantity of one purchase.
    - `setup`: whether the deployment's set-up fee is asked for once, too.
    """

    id: str
    kind: ProductKind
    name: str
    active: bool = True
    description: str = ""
    service: str = ""
    accounts: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    most: int = 1
    setup: bool = False

    def __post_init__(self) -> None:
        if not is_object_id(self.id):
            raise ValueError(f"id: {ID_RULE}")
        if not 1 <= len(self.name) <= MAX_NAME:
            raise ValueError(f"name: 1 to {MAX_NAME} characters")
        if self.service and not SERVICE.fullmatch(self.service):
            raise ValueError(f"service: {SERVICE_RULE}")
        if max(len(self.accounts), len(self.tiers)) > MAX_ELIGIBLE:
            raise ValueError(f"accounts, tiers: at most {MAX_ELIGIBLE:,}")
        if not 1 <= self.most <= (1 if self.kind is ProductKind.LISTING else MAX_QUANTITY):
            raise ValueError(f"most: 1 to {MAX_QUANTITY:,}; of a listing 1")
        if self.setup and not self.kind.recurs:
            raise ValueError("setup: what is paid once has no set-up fee")

    @property
    def rebilled_as(self) -> str:
        """The service whose multiplier it is sold at."""
        return self.service or f"store.{self.kind}"

    def offered_to(self, account: Account) -> bool:
        """Whether an account may buy it, as far as the product says."""
        return (not self.accounts or account.id in self.accounts) and (
            not self.tiers or account.tier in self.tiers
        )


@dataclass(frozen=True, slots=True)
class StorePrice:
    """What the platform asks for one unit of a product, for each period where it recurs.

    `unit_amount` is in minor units of `currency`; None where another list tells it (phone numbers).
    `stripe_price` is the price on the platform's own Stripe account by which a parent's own
    subscription is charged.
    """

    id: str
    product: str
    currency: str
    unit_amount: int | None = None
    active: bool = True
    interval: Interval | None = None
    interval_count: int = 1
    stripe_price: str = ""

    def __post_init__(self) -> None:
        if not is_object_id(self.id) or not is_object_id(self.product):
            raise ValueError(f"id, product: {ID_RULE}")
        if self.currency not in CURRENCIES:
            raise ValueError("currency: a currency that Stripe knows, lower-case ISO 4217")
        if self.unit_amount is not None and (
            type(self.unit_amount) is not int
            or not 0 <= self.unit_amount <= largest_charge(self.currency)
        ):
            raise ValueError(f"unit_amount: 0 to {largest_charge(self.currency):,}")
        longest = 1 if self.interval is None else LONGEST_PERIOD[self.interval]
        if not 1 <= self.interval_count <= longest:
            raise ValueError("interval_count: from 1, a year in all")
        if self.stripe_price and not is_object_id(self.stripe_price):
            raise ValueError(f"stripe_price: {ID_RULE}")


@dataclass(frozen=True, slots=True)
class Offer:
    """A product at one of its prices. ValueError where the two do not fit together."""

    product: StoreProduct
    price: StorePrice

    def __post_init__(self) -> None:
        kind = self.product.kind
        if self.price.product != self.product.id:
            raise ValueError("price: is another product's")
        if kind.recurs == (self.price.interval is None):
            raise ValueError("interval: what recurs has one, and nothing else")
        if (self.price.unit_amount is None) != (kind is ProductKind.PHONE_NUMBER):
            raise ValueError("unit_amount: phone numbers have none, all else has one")
        if kind is ProductKind.SUBSCRIPTION and not self.price.stripe_price:
            raise ValueError("stripe_price: a subscription needs that of the platform")

    @property
    def active(self) -> bool:
        """Whether both are sold."""
        return self.product.active and self.price.active
