"""Products: how they are read from Stripe."""

from typing import Final, final

import msgspec
from msgspec import UNSET, UnsetType

from application.mirror.nouns import PRODUCTS
from domain.products import Product
from infrastructure.stripe.core.shapes import (
    Expandable,
    Fields,
    Seconds,
    Shape,
    Translation,
    instant,
    reference,
)


@final
class _Feature(msgspec.Struct, frozen=True, gc=False):
    name: str | None = None


class ProductShape(Shape, frozen=True, gc=False, kw_only=True):
    """A product, as in the API reference, "The Product object"."""

    name: str | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    default_price: Expandable = UNSET
    images: list[str] | UnsetType = UNSET
    updated: Seconds | UnsetType | None = UNSET
    tax_code: Expandable = UNSET
    unit_label: str | UnsetType | None = UNSET
    statement_descriptor: str | UnsetType | None = UNSET
    url: str | UnsetType | None = UNSET
    marketing_features: list[_Feature] | UnsetType | None = UNSET
    type: str | UnsetType | None = UNSET


def to_domain(shape: ProductShape) -> tuple[Product, frozenset[str]]:
    """The product, and the names of its fields that were not told."""
    fields = Fields()
    features = fields("marketing_features", shape.marketing_features, None)
    product = Product(
        id=shape.id,
        created=instant(shape.created),
        name=fields("name", shape.name, ""),
        active=fields("active", shape.active, False),
        description=fields("description", shape.description, None),
        default_price=fields("default_price", reference(shape.default_price), None),
        images=tuple(fields("images", shape.images, [])),
        updated=fields.instant("updated", shape.updated),
        metadata=fields.metadata(shape.metadata),
        tax_code=fields("tax_code", reference(shape.tax_code), None),
        unit_label=fields("unit_label", shape.unit_label, None),
        statement_descriptor=fields("statement_descriptor", shape.statement_descriptor, None),
        url=fields("url", shape.url, None),
        marketing_features=tuple(one.name for one in features or () if one.name),
        type=fields("type", shape.type, None),
    )
    return product, fields.unknown


PRODUCT: Final = Translation(
    PRODUCTS, "/v1/products", ProductShape, to_domain, deleted_by=frozenset({"product.deleted"})
)
