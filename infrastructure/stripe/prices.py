"""Prices: how they are read from Stripe."""

from typing import Final, final

import msgspec
from msgspec import UNSET, UnsetType

from application.mirror.nouns import PRICES
from domain.prices import Price, Recurrence
from infrastructure.stripe.core.shapes import (
    Amount,
    DecimalText,
    Expandable,
    Fields,
    Shape,
    Translation,
    instant,
    reference,
)


@final
class RecurringShape(msgspec.Struct, frozen=True, gc=False):
    """How often a price is due, in a price itself and in a subscription's item."""

    interval: str
    interval_count: Amount
    usage_type: str = "licensed"
    meter: str | None = None


class PriceShape(Shape, frozen=True, gc=False, kw_only=True):
    """A price, as in the API reference, "The Price object"."""

    currency: str
    product: Expandable = UNSET
    active: bool | UnsetType = UNSET
    type: str | UnsetType = UNSET
    unit_amount: Amount | UnsetType | None = UNSET
    unit_amount_decimal: DecimalText | UnsetType | None = UNSET
    billing_scheme: str | UnsetType | None = UNSET
    tiers_mode: str | UnsetType | None = UNSET
    recurring: RecurringShape | UnsetType | None = UNSET
    nickname: str | UnsetType | None = UNSET
    lookup_key: str | UnsetType | None = UNSET


def to_domain(shape: PriceShape) -> tuple[Price, frozenset[str]]:
    """The price, and the names of its fields that were not told."""
    fields = Fields()
    price = Price(
        id=shape.id,
        created=instant(shape.created),
        product=fields("product", reference(shape.product), None) or "",
        currency=shape.currency,
        active=fields("active", shape.active, False),
        type=fields("type", shape.type, ""),
        unit_amount=fields("unit_amount", shape.unit_amount, None),
        unit_amount_decimal=fields("unit_amount_decimal", shape.unit_amount_decimal, None),
        billing_scheme=fields("billing_scheme", shape.billing_scheme, None),
        tiers_mode=fields("tiers_mode", shape.tiers_mode, None),
        recurring=recurrence(fields("recurring", shape.recurring, None)),
        nickname=fields("nickname", shape.nickname, None),
        lookup_key=fields("lookup_key", shape.lookup_key, None),
        metadata=fields.metadata(shape.metadata),
    )
    return price, fields.unknown


def recurrence(shape: RecurringShape | None) -> Recurrence | None:
    """How often a price is due; None for a price that is paid once."""
    if shape is None:
        return None
    return Recurrence(shape.interval, shape.interval_count, shape.usage_type, shape.meter)


PRICE: Final = Translation(
    PRICES, "/v1/prices", PriceShape, to_domain, deleted_by=frozenset({"price.deleted"})
)
