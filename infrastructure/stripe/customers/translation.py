"""Customers: the fields that we read, and what they become in the domain."""

from typing import Final, final

import msgspec
from msgspec import UNSET, UnsetType

from application.mirror.nouns import CUSTOMERS
from domain.customers import Address, Customer
from infrastructure.stripe.core.shapes import (
    Expandable,
    Fields,
    Shape,
    Translation,
    instant,
    reference,
)
from infrastructure.stripe.coupons import DiscountShape, discount


@final
class _InvoiceSettings(msgspec.Struct, frozen=True, gc=False):
    default_payment_method: Expandable = UNSET


class CustomerShape(Shape, frozen=True, gc=False, kw_only=True):
    """A customer, as in the API reference, "The Customer object"."""

    email: str | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    phone: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    address: Address | UnsetType | None = UNSET
    currency: str | UnsetType | None = UNSET
    delinquent: bool | UnsetType | None = UNSET
    invoice_settings: _InvoiceSettings | UnsetType | None = UNSET
    default_source: Expandable = UNSET
    discount: DiscountShape | UnsetType | None = UNSET


def to_domain(shape: CustomerShape) -> tuple[Customer, frozenset[str]]:
    """The customer, and the names of its fields that were not told."""
    fields = Fields()
    settings = shape.invoice_settings
    given = fields("discount", shape.discount, None)
    method = settings and reference(settings.default_payment_method)
    customer = Customer(
        id=shape.id,
        created=instant(shape.created),
        email=fields("email", shape.email, None) or None,
        name=fields("name", shape.name, None) or None,
        phone=fields("phone", shape.phone, None) or None,
        description=fields("description", shape.description, None) or None,
        address=fields("address", shape.address, None),
        currency=fields("currency", shape.currency, None),
        delinquent=fields("delinquent", shape.delinquent, None),
        default_payment_method=fields("default_payment_method", method, None),
        default_source=fields("default_source", reference(shape.default_source), None),
        metadata=fields.metadata(shape.metadata),
        discount=given and discount(given),
    )
    return customer, fields.unknown


CUSTOMER: Final = Translation(
    CUSTOMERS,
    "/v1/customers",
    CustomerShape,
    to_domain,
    deleted_by=frozenset({"customer.deleted"}),
    expand=("discount.source.coupon",),
)
