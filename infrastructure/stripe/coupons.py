"""Coupons, and the discounts that they give: how they are read from Stripe."""

from decimal import Decimal
from typing import Final, TypeAlias, final

import msgspec
from msgspec import UNSET, UnsetType

from application.mirror.nouns import COUPONS
from domain.coupons import Coupon, Discount
from infrastructure.stripe.core.shapes import (
    Amount,
    Expandable,
    Fields,
    Identifier,
    Seconds,
    Shape,
    Translation,
    instant,
    reference,
)


@final
class _AppliesTo(msgspec.Struct, frozen=True, gc=False):
    products: list[Identifier] = []


@final
class _CurrencyOption(msgspec.Struct, frozen=True, gc=False):
    amount_off: Amount | None = None


class CouponShape(Shape, frozen=True, gc=False, kw_only=True):
    """A coupon, as in the API reference, "The Coupon object".

    What it applies to, and its currency options, are there only where a request expands them.
    """

    duration: str | UnsetType = UNSET
    duration_in_months: Amount | UnsetType | None = UNSET
    percent_off: Decimal | UnsetType | None = UNSET
    amount_off: Amount | UnsetType | None = UNSET
    currency: str | UnsetType | None = UNSET
    currency_options: dict[str, _CurrencyOption] | UnsetType | None = UNSET
    applies_to: _AppliesTo | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET


CouponField: TypeAlias = str | CouponShape | UnsetType | None
"""An id, or the coupon itself where a request expands it."""


@final
class _Source(msgspec.Struct, frozen=True, gc=False):
    coupon: CouponField = None


@final
class DiscountShape(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A discount, as in the API reference, "The Discount object". It has no `created`."""

    id: Identifier
    source: _Source | None = None
    start: Seconds | None = None
    end: Seconds | None = None
    customer: Expandable = None
    subscription: Expandable = None
    subscription_item: Expandable = None


@final
class _Data(msgspec.Struct, frozen=True, gc=False):
    object: DiscountShape


@final
class _DiscountEvent(msgspec.Struct, frozen=True, gc=False):
    data: _Data


_EVENT: Final = msgspec.json.Decoder(_DiscountEvent)

DISCOUNT: Final = "discount"
"""What Stripe calls the object of a `customer.discount.*` event."""


def to_domain(shape: CouponShape) -> tuple[Coupon, frozenset[str]]:
    """The coupon, and the names of its fields that were not told."""
    fields = Fields()
    options = fields("currency_options", shape.currency_options, None) or {}
    applies_to = fields("applies_to", shape.applies_to, None)
    percent = fields("percent_off", shape.percent_off, None)
    coupon = Coupon(
        id=shape.id,
        created=instant(shape.created),
        duration=fields("duration", shape.duration, ""),
        duration_in_months=fields("duration_in_months", shape.duration_in_months, None),
        percent_off=None if percent is None else f"{percent.normalize():f}",
        amount_off=fields("amount_off", shape.amount_off, None),
        currency=fields("currency", shape.currency, None),
        currency_options={
            currency: option.amount_off
            for currency, option in options.items()
            if option.amount_off is not None
        },
        applies_to=tuple(applies_to.products) if applies_to else (),
        name=fields("name", shape.name, None),
        metadata=fields.metadata(shape.metadata),
    )
    return coupon, fields.unknown


def discount(shape: DiscountShape) -> Discount:
    """The discount, with its coupon where that is expanded."""
    given = shape.source.coupon if shape.source else None
    coupon = to_domain(given)[0] if isinstance(given, CouponShape) else None
    named = given if isinstance(given, str) else None
    return Discount(
        id=shape.id,
        coupon_id=coupon.id if coupon else named or None,
        coupon=coupon,
        start=None if shape.start is None else instant(shape.start),
        end=None if shape.end is None else instant(shape.end),
        customer=reference(shape.customer) or None,
        subscription=reference(shape.subscription) or None,
        subscription_item=reference(shape.subscription_item) or None,
    )


def discount_of(payload: bytes) -> Discount:
    """The discount that an event is about. ValueError for structural nonsense."""
    return discount(_EVENT.decode(payload).data.object)


def _lacks(_: Coupon, unknown: frozenset[str]) -> bool:
    return not unknown.isdisjoint({"applies_to", "currency_options"})


COUPON: Final = Translation(
    COUPONS,
    "/v1/coupons",
    CouponShape,
    to_domain,
    deleted_by=frozenset({"coupon.deleted"}),
    expand=("applies_to", "currency_options"),
    lacks=_lacks,
)
