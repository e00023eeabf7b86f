"""What callers ask of products and prices, and what they are told."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from application.catalogue.ports import NewPrice, NewProduct, PriceFields, ProductFields
from domain.prices import Price
from domain.products import Product


@dataclass(frozen=True, slots=True)
class ListProducts:
    """A page of the products; times bound `created`, from inclusive to exclusive.

    The newest come first, unless `oldest_first`.
    """

    page_size: int = 0
    page_token: str = ""
    active: bool | None = None
    created_after: dt.datetime | None = None
    created_before: dt.datetime | None = None
    oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class SearchProducts:
    """A page of the products that a query finds: see `domain.search`."""

    query: str
    page_size: int = 0
    page_token: str = ""
    active: bool | None = None


@dataclass(frozen=True, slots=True)
class ListPrices:
    """A page of the prices; times bound `created`, from inclusive to exclusive.

    The newest come first, unless `oldest_first`.
    """

    page_size: int = 0
    page_token: str = ""
    product: str = ""
    active: bool | None = None
    type: str = ""
    currency: str = ""
    lookup_key: str = ""
    created_after: dt.datetime | None = None
    created_before: dt.datetime | None = None
    oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class ProductCounts:
    """How many products are on sale, and how many are not."""

    active: int
    archived: int


@dataclass(frozen=True, slots=True)
class PriceCount:
    """How many prices agree in all that lists are narrowed to."""

    active: bool
    type: str
    currency: str
    count: int


@dataclass(frozen=True, slots=True)
class SubscriberCounts:
    """How many subscriptions there are of each status; `more`: not all of them were counted."""

    active: int = 0
    past_due: int = 0
    trialing: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class PriceDetails:
    """A price, the names of its fields that are not known, and its subscribers if counted."""

    price: Price
    unknown: frozenset[str] = frozenset()
    subscribers: SubscriberCounts | None = None


@dataclass(frozen=True, slots=True)
class ProductDetails:
    """A product with its prices, newest first, and who subscribes to any of them."""

    product: Product
    prices: Sequence[PriceDetails] = ()
    more_prices: bool = False
    subscribers: SubscriberCounts = field(default_factory=SubscriberCounts)


@dataclass(frozen=True, slots=True)
class NamedProducts:
    """Products by their ids: those that there are, and the last names of those that are not."""

    products: Sequence[Product]
    deleted: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CreateProduct:
    """A product to create, with its prices."""

    product: NewProduct
    prices: tuple[NewPrice, ...] = ()


@dataclass(frozen=True, slots=True)
class UpdateProduct:
    """New values of a product, of which `mask` names those that count (empty: all that are set).

    In `values`, None and empty both stand for no value.
    """

    id: str
    values: ProductFields
    mask: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UpdatePrice:
    """The same of a price. `immutable` names the fields that are set and never change."""

    id: str
    values: PriceFields
    mask: tuple[str, ...] = ()
    transfer_lookup_key: bool = False
    immutable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplacePrice:
    """What a new price has other than the one that it replaces.

    `mask` names what of `price` counts (empty: all that is `given`).
    """

    id: str
    price: NewPrice
    mask: tuple[str, ...] = ()
    given: tuple[str, ...] = ()


class Outcome(StrEnum):
    """What became of a product that was to be deleted."""

    DELETED = "DELETED"
    ARCHIVED = "ARCHIVED"


@dataclass(frozen=True, slots=True)
class Deletion:
    """What was done, and why no more; the prices that were archived, in order."""

    outcome: Outcome
    reason: str = ""
    archived_prices: tuple[str, ...] = ()
    cleared_default_price: str = ""


@dataclass(frozen=True, slots=True)
class Replacement:
    """The new price and the old one, and what passed from one to the other."""

    price: Price
    replaced: Price
    is_default: bool
    lookup_key_moved: bool


@dataclass(frozen=True, slots=True)
class UploadPicture:
    """A picture that a product is to have, as its first message announces it."""

    product: str
    size: int
    request_id: str
