"""Prices: how they are read from Stripe."""

from typing import Final, final

import msgspec
from msgspec import UNSET, UnsetType

from application.mirror.nouns import PRICES
from domain.prices import (
    CurrencyOption,
    CustomUnitAmount,
    Price,
    Recurrence,
    Tier,
    TransformQuantity,
)
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
    trial_period_days: Amount | UnsetType | None = UNSET


@final
class TierShape(msgspec.Struct, frozen=True, gc=False):
    """A step of a tiered price."""

    up_to: Amount | None = None
    flat_amount: Amount | None = None
    flat_amount_decimal: DecimalText | None = None
    unit_amount: Amount | None = None
    unit_amount_decimal: DecimalText | None = None


@final
class _CustomUnitAmount(msgspec.Struct, frozen=True, gc=False):
    minimum: Amount | None = None
    maximum: Amount | None = None
    preset: Amount | None = None


@final
class TransformQuantityShape(msgspec.Struct, frozen=True, gc=False):
    """Packages, in a price itself and in a subscription's item."""

    divide_by: Amount
    round: str


@final
class _CurrencyOption(msgspec.Struct, frozen=True, gc=False):
    unit_amount: Amount | None = None
    unit_amount_decimal: DecimalText | None = None
    tax_behavior: str | None = None
    custom_unit_amount: _CustomUnitAmount | None = None
    tiers: list[TierShape] | UnsetType | None = UNSET


class PriceShape(Shape, frozen=True, gc=False, kw_only=True):
    """A price, as in the API reference, "The Price object".

    Tiers and currency options are there only where a request expands them.
    """

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
    tiers: list[TierShape] | UnsetType | None = UNSET
    transform_quantity: TransformQuantityShape | UnsetType | None = UNSET
    currency_options: dict[str, _CurrencyOption] | UnsetType | None = UNSET
    custom_unit_amount: _CustomUnitAmount | UnsetType | None = UNSET
    tax_behavior: str | UnsetType | None = UNSET


def to_domain(shape: PriceShape) -> tuple[Price, frozenset[str]]:
    """The price, and the names of its fields that were not told."""
    fields, recurring = Fields(), shape.recurring
    options = fields("currency_options", shape.currency_options, None)
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
        recurring=recurrence(fields("recurring", recurring, None)),
        nickname=fields("nickname", shape.nickname, None),
        lookup_key=fields("lookup_key", shape.lookup_key, None),
        metadata=fields.metadata(shape.metadata),
        tiers=tiers(fields("tiers", shape.tiers, None)),
        transform_quantity=transform(fields("transform_quantity", shape.transform_quantity, None)),
        currency_options={currency: _option(one) for currency, one in (options or {}).items()},
        custom_unit_amount=_chosen(fields("custom_unit_amount", shape.custom_unit_amount, None)),
        tax_behavior=fields("tax_behavior", shape.tax_behavior, None),
        trial_period_days=fields(
            "trial_period_days", recurring and recurring.trial_period_days, None
        ),
    )
    return price, fields.unknown


def recurrence(shape: RecurringShape | None) -> Recurrence | None:
    """How often a price is due; None for a price that is paid once."""
    if shape is None:
        return None
    return Recurrence(shape.interval, shape.interval_count, shape.usage_type, shape.meter)


def transform(shape: TransformQuantityShape | None) -> TransformQuantity | None:
    """Packages; None for a price that is of single units."""
    return shape and TransformQuantity(shape.divide_by, shape.round)


def tiers(shapes: list[TierShape] | None) -> tuple[Tier, ...]:
    """The steps of a tiered price."""
    return tuple(
        Tier(
            one.up_to,
            one.flat_amount,
            one.flat_amount_decimal,
            one.unit_amount,
            one.unit_amount_decimal,
        )
        for one in shapes or ()
    )


def _chosen(shape: _CustomUnitAmount | None) -> CustomUnitAmount | None:
    return shape and CustomUnitAmount(shape.minimum, shape.maximum, shape.preset)


def _option(shape: _CurrencyOption) -> CurrencyOption:
    return CurrencyOption(
        shape.unit_amount,
        shape.unit_amount_decimal,
        shape.tax_behavior,
        _chosen(shape.custom_unit_amount),
        None if isinstance(shape.tiers, UnsetType) else tiers(shape.tiers),
    )


def _lacks_tiers(price: Price, unknown: frozenset[str]) -> bool:
    return price.tiered and "tiers" in unknown


PRICE: Final = Translation(
    PRICES,
    "/v1/prices",
    PriceShape,
    to_domain,
    deleted_by=frozenset({"price.deleted"}),
    # Currency options change, and an event shows neither that nor what they are now.
    hinted_by=frozenset({"price.updated"}),
    expand=("tiers", "currency_options"),
    lacks=_lacks_tiers,
)
