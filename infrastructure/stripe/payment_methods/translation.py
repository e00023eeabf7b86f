"""Payment methods, legacy sources and setup intents: how they are read from Stripe."""

from typing import Final, final

import msgspec

from domain.payment_methods import PaymentMethod, SetupIntent
from infrastructure.stripe.core.shapes import Expandable, Identifier, Metadata, reference


@final
class _Head(msgspec.Struct, frozen=True, gc=False):
    """What all of them begin with; a `card` and a `bank_account` have no type."""

    id: Identifier
    object: str
    type: str = ""
    customer: Expandable = None


@final
class _Details(msgspec.Struct, frozen=True, gc=False):
    """What we read of the hash that bears the type's name; each type has some of it."""

    brand: str | None = None
    bank_name: str | None = None
    bank: str | None = None
    bank_code: str | None = None
    last4: str | None = None
    exp_month: int | None = None
    exp_year: int | None = None
    funding: str | None = None
    country: str | None = None


@final
class SetupShape(msgspec.Struct, frozen=True, gc=False):
    """A setup intent, as in the API reference, "The SetupIntent object"."""

    id: Identifier
    status: str
    client_secret: str | None = None
    metadata: Metadata = None


_HEAD: Final = msgspec.json.Decoder(_Head)
_DETAILS: Final = msgspec.json.Decoder(_Details)
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

SETUP: Final = msgspec.json.Decoder(SetupShape)

_PLAIN: Final = ("card", "bank_account")
"""Legacy objects that hold their details themselves, and whose object is their type."""

_BRANDS: Final = {"american express": "amex", "diners club": "diners"}
"""Brands that legacy cards call otherwise than payment methods do, but for capitals."""


def method_of(body: str | bytes) -> PaymentMethod:
    """A payment method or a source of any kind. ValueError for structural nonsense."""
    head = _HEAD.decode(body)
    details = _DETAILS.decode(body) if head.object in _PLAIN else _details(head.type, body)
    return PaymentMethod(
        id=head.id,
        type=head.object if head.object in _PLAIN else head.type,
        customer=reference(head.customer) or None,
        brand=_brand(details.brand),
        bank=details.bank_name or details.bank or details.bank_code,
        last4=details.last4,
        exp_month=details.exp_month,
        exp_year=details.exp_year,
        funding=details.funding,
        country=details.country,
    )


def setup_of(shape: SetupShape) -> SetupIntent:
    """The setup intent, without its secret."""
    return SetupIntent(shape.id, shape.status)


def _details(type_: str, body: str | bytes) -> _Details:
    told = _FIELDS.decode(body).get(type_)
    return _Details() if told is None else _DETAILS.decode(told)


def _brand(brand: str | None) -> str | None:
    if not brand:
        return None
    return _BRANDS.get(brand.lower(), brand.lower().replace(" ", "_"))
