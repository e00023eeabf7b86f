"""What is wrong with a command about products and prices, all of it at once."""

from collections.abc import Iterator, Sequence
from typing import Final

from application.catalogue.commands import (
    CreateProduct,
    ListPrices,
    ListProducts,
    ReplacePrice,
    SearchProducts,
    UpdatePrice,
    UpdateProduct,
    UploadPicture,
)
from application.catalogue.fields import (
    IMMUTABLE,
    MAX_LOOKUP_KEY,
    MAX_NICKNAME,
    PRICE_FIELDS,
    PRODUCT_FIELDS,
)
from application.catalogue.ports import NewPrice
from application.requests.paging import page_size_violations
from application.requests.violations import (
    PRICE_ID,
    PRODUCT_ID,
    id_violations,
    metadata_violations,
    optional_id_violations,
    span_violations,
    text_violations,
)
from domain.errors import FieldViolation
from domain.price_rules import currency_violations, terms_violations
from domain.search import readings_of

MAX_PRICES: Final = 20
"""How many prices are created with a product."""

MAX_NAMED: Final = 100
"""How many products are named in one call, and in one request to Stripe."""

MAX_PICTURE_BYTES: Final = 524_288
"""What Stripe takes for a `business_logo` (docs, "File upload guide")."""

PRICE_TYPES: Final = ("one_time", "recurring")

REPLACEABLE: Final = (
    "currency", "unit_amount", "unit_amount_decimal", "tiers_mode", "tiers", "transform_quantity",
    "custom_unit_amount", "tax_behavior", "recurring", "currency_options", "nickname", "metadata",
)  # fmt: skip
"""What a new price may have other than the one that it replaces."""

_QUERY_LIMIT: Final = 512
_FOLLOWS: Final = "must be empty: it follows from the old price"


def product_id_violations(product: str, field: str) -> Iterator[FieldViolation]:
    """The id of a product."""
    return id_violations(product, field, PRODUCT_ID)


def price_id_violations(price: str, field: str) -> Iterator[FieldViolation]:
    """The id of a price."""
    return id_violations(price, field, PRICE_ID)


def product_list_violations(query: ListProducts) -> Iterator[FieldViolation]:
    """A page of products."""
    yield from page_size_violations(query.page_size)
    yield from span_violations(query.created_after, query.created_before)


def search_violations(query: SearchProducts) -> Iterator[FieldViolation]:
    """A page of what a query finds."""
    yield from page_size_violations(query.page_size)
    if not readings_of(query.query[:_QUERY_LIMIT]):
        yield FieldViolation("query", "at least one letter or digit")
    yield from text_violations(query.query, "query", _QUERY_LIMIT)


def named_violations(ids: Sequence[str]) -> Iterator[FieldViolation]:
    """Products that are named."""
    if not 1 <= len(ids) <= MAX_NAMED:
        yield FieldViolation("ids", f"1 to {MAX_NAMED}")
    for place, product in enumerate(ids[:MAX_NAMED]):
        yield from product_id_violations(product, f"ids[{place}]")


def price_list_violations(query: ListPrices) -> Iterator[FieldViolation]:
    """A page of prices."""
    yield from page_size_violations(query.page_size)
    yield from optional_id_violations(query.product, "product", PRODUCT_ID)
    if query.type and query.type not in PRICE_TYPES:
        yield FieldViolation("type", f"one of: {', '.join(PRICE_TYPES)}")
    if query.currency:
        yield from currency_violations(query.currency, "currency")
    yield from text_violations(query.lookup_key, "lookup_key", MAX_LOOKUP_KEY)
    yield from span_violations(query.created_after, query.created_before)


def creation_violations(command: CreateProduct) -> Iterator[FieldViolation]:
    """A product to create, and its prices."""
    product, prices = command.product, command.prices
    yield from optional_id_violations(product.id, "product.id", PRODUCT_ID)
    if product.fields.name is None:
        yield FieldViolation("product.name", "is required")
    if product.fields.default_price:
        rule = "must be empty: say make_default of one of the prices"
        yield FieldViolation("product.default_price", rule)
    yield from PRODUCT_FIELDS.violations(product.fields)
    if len(prices) > MAX_PRICES:
        yield FieldViolation("prices", f"at most {MAX_PRICES}")
    keys: set[str] = set()
    has_default = False
    for place, price in enumerate(prices[:MAX_PRICES]):
        path = f"prices[{place}]."
        yield from new_price_violations(price, path)
        if price.lookup_key and price.lookup_key in keys:
            yield FieldViolation(f"{path}lookup_key", "another of the prices has it")
        if price.make_default and has_default:
            yield FieldViolation(f"{path}make_default", "one of the prices at most")
        keys.add(price.lookup_key)
        has_default = has_default or price.make_default


def new_price_violations(price: NewPrice, path: str) -> Iterator[FieldViolation]:
    """A price to create, which stands at a path of a request."""
    yield from terms_violations(price.terms, path)
    yield from text_violations(price.nickname, f"{path}nickname", MAX_NICKNAME)
    yield from text_violations(price.lookup_key, f"{path}lookup_key", MAX_LOOKUP_KEY)
    if price.transfer_lookup_key and not price.lookup_key:
        yield FieldViolation(f"{path}transfer_lookup_key", "only with lookup_key")
    yield from metadata_violations(price.metadata, f"{path}metadata")


def product_update_violations(command: UpdateProduct) -> Iterator[FieldViolation]:
    """New values of a product."""
    yield from product_id_violations(command.id, "product.id")
    yield from PRODUCT_FIELDS.mask_violations(command.values, command.mask)
    yield from PRODUCT_FIELDS.violations(command.values)


def price_update_violations(command: UpdatePrice) -> Iterator[FieldViolation]:
    """New values of a price; what never changes is no violation, but refused by itself."""
    yield from price_id_violations(command.id, "price.id")
    mask = tuple(name for name in command.mask if name not in IMMUTABLE)
    yield from PRICE_FIELDS.mask_violations(
        command.values, mask, has_more=bool(immutable_fields(command))
    )
    yield from PRICE_FIELDS.violations(command.values)
    written = PRICE_FIELDS.masked(command.values, mask)
    if command.transfer_lookup_key and not written.lookup_key:
        yield FieldViolation("transfer_lookup_key", "only with a lookup_key")


def immutable_fields(command: UpdatePrice) -> Sequence[str]:
    """The fields that an update would change, and that never change."""
    if command.mask:
        return [name for name in IMMUTABLE if name in command.mask]
    return command.immutable


def replacement_violations(command: ReplacePrice) -> Iterator[FieldViolation]:
    """What a new price is to have other than the old one, as far as that shows by itself."""
    yield from price_id_violations(command.id, "id")
    unknown = {*command.mask} - {*REPLACEABLE}
    if unknown:
        yield FieldViolation("replace_mask", f"only these can be named: {', '.join(REPLACEABLE)}")
    elif not command.mask and not command.given:
        yield FieldViolation("replace_mask", "must name a field, or the price set one")
    for name in ("lookup_key", "transfer_lookup_key", "make_default"):
        if getattr(command.price, name):
            yield FieldViolation(f"price.{name}", _FOLLOWS)


def picture_violations(command: UploadPicture) -> Iterator[FieldViolation]:
    """A picture as it is announced."""
    yield from product_id_violations(command.product, "product")
    if command.size < 1:
        yield FieldViolation("size", f"1 to {MAX_PICTURE_BYTES:,}")
