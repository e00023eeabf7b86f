"""Products and prices at Stripe: what is written to them, and the ports that write and read it."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from application.mutations.stripe import Call
from domain.mirror import Snapshot
from domain.price_rules import PriceTerms
from domain.prices import CurrencyOption, Price
from domain.products import Product


@dataclass(frozen=True, slots=True)
class ProductFields:
    """What is written to a product at Stripe. None leaves a field alone, empty clears it.

    `metadata` is merged key by key; an empty value removes its key.
    """

    name: str | None = None
    description: str | None = None
    default_price: str | None = None
    images: tuple[str, ...] | None = None
    tax_code: str | None = None
    unit_label: str | None = None
    statement_descriptor: str | None = None
    url: str | None = None
    marketing_features: tuple[str, ...] | None = None
    metadata: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class NewProduct:
    """A product to create; an empty `id` is left to Stripe."""

    fields: ProductFields
    id: str = ""


@dataclass(frozen=True, slots=True)
class ProductChange:
    """A change of one product; `active` None leaves it on sale or archived, as it is."""

    id: str
    fields: ProductFields = field(default_factory=ProductFields)
    active: bool | None = None


@dataclass(frozen=True, slots=True)
class ProductDeletion:
    """The deletion of one product."""

    id: str


@dataclass(frozen=True, slots=True)
class NewPrice:
    """A price to create; empty text leaves a field to Stripe.

    `transfer_lookup_key` takes the key from the price that has it. `make_default` makes it the
    product's default, which is a step of its own.
    """

    terms: PriceTerms
    product: str = ""
    nickname: str = ""
    lookup_key: str = ""
    transfer_lookup_key: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    make_default: bool = False


@dataclass(frozen=True, slots=True)
class PriceFields:
    """What is written to a price at Stripe. None leaves a field alone, empty clears it.

    `metadata` is merged key by key, `currency_options` by currency.
    """

    nickname: str | None = None
    lookup_key: str | None = None
    tax_behavior: str | None = None
    currency_options: dict[str, CurrencyOption] | None = None
    metadata: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class PriceChange:
    """A change of one price; `active` None leaves it as it is."""

    id: str
    fields: PriceFields = field(default_factory=PriceFields)
    active: bool | None = None
    transfer_lookup_key: bool = False


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """A price as a list of Stripe's shows it: whether it can be sold by."""

    id: str
    active: bool


@dataclass(frozen=True, slots=True)
class PictureKey:
    """Which picture it is: its SHA-256 in hexadecimal digits, its size in bytes, its type."""

    digest: str
    size: int
    type: str


@dataclass(frozen=True, slots=True)
class PictureLink:
    """A picture at Stripe: the public link to it, by its id and its address."""

    id: str
    url: str


class ProductGateway(Protocol):
    """Products at Stripe. Each `…` is a `Send`, each `find_…` its `Find`."""

    async def create(self, call: Call, params: NewProduct) -> Snapshot[Product]:
        """Create a product. AlreadyExists where its id is taken."""
        ...

    async def find_created(
        self, call: Call, params: NewProduct, sent_at: dt.datetime
    ) -> Snapshot[Product] | None:
        """The product that bears the call's tag."""
        ...

    async def update(self, call: Call, params: ProductChange) -> Snapshot[Product]:
        """Change a product. NotFound for one that there is not."""
        ...

    async def find_updated(
        self, call: Call, params: ProductChange, sent_at: dt.datetime
    ) -> Snapshot[Product] | None:
        """The product, if it shows everything as the change asked for."""
        ...

    async def delete(self, call: Call, params: ProductDeletion) -> Snapshot[Product]:
        """Delete a product; a tombstone. One that is gone already is success."""
        ...

    async def find_deleted(
        self, call: Call, params: ProductDeletion, sent_at: dt.datetime
    ) -> Snapshot[Product] | None:
        """The tombstone, if the product is gone."""
        ...

    async def read(self, stripe_account: str, ids: Sequence[str]) -> Sequence[Snapshot[Product]]:
        """The products of the ids (at most 100), in one request; tombstones of those that are not.

        One that is not understood is left out. Raises what `application.mirror.stripe` promises.
        """
        ...


class PriceGateway(Protocol):
    """Prices at Stripe. Each `…` is a `Send`, each `find_…` its `Find`."""

    async def create(self, call: Call, params: NewPrice) -> Snapshot[Price]:
        """Create a price. NotFound for an unknown product; AlreadyExists (LOOKUP_KEY_TAKEN)."""
        ...

    async def find_created(
        self, call: Call, params: NewPrice, sent_at: dt.datetime
    ) -> Snapshot[Price] | None:
        """The price that bears the call's tag."""
        ...

    async def update(self, call: Call, params: PriceChange) -> Snapshot[Price]:
        """Change a price. NotFound for one that there is not; AlreadyExists (LOOKUP_KEY_TAKEN)."""
        ...

    async def find_updated(
        self, call: Call, params: PriceChange, sent_at: dt.datetime
    ) -> Snapshot[Price] | None:
        """The price, if it shows everything as the change asked for."""
        ...

    async def of_product(self, stripe_account: str, product: str) -> Sequence[ListedPrice]:
        """All prices of a product, newest first. Unavailable where there are more than 10,000."""
        ...


class PictureGateway(Protocol):
    """Pictures at Stripe: files that do not expire, with public links."""

    async def upload(self, call: Call, params: PictureKey, content: bytes) -> PictureLink:
        """Upload a picture with a link to it. The same key and content twice are one file."""
        ...

    async def find_uploaded(
        self, call: Call, params: PictureKey, sent_at: dt.datetime
    ) -> PictureLink | None:
        """The link that bears the call's tag."""
        ...

    async def expire(self, call: Call, params: PictureLink) -> PictureLink:
        """Let a link end. One that has ended already is success."""
        ...

    async def find_expired(
        self, call: Call, params: PictureLink, sent_at: dt.datetime
    ) -> PictureLink | None:
        """The link, if it has ended."""
        ...
