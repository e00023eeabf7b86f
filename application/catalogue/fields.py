"""The fields of products and prices that callers may change."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from application.catalogue.ports import PriceFields, ProductFields
from application.requests.fields import Field, FieldTable, metadata, text
from application.requests.violations import PRICE_ID, optional_id_violations, text_violations
from domain.errors import FieldViolation
from domain.price_rules import options_violations, tax_behavior_violations
from domain.prices import CurrencyOption, Price

MAX_IMAGES: Final = 8
MAX_NAME: Final = 250
MAX_LOOKUP_KEY: Final = 200
MAX_NICKNAME: Final = 5_000

IMMUTABLE: Final = (
    "product", "currency", "type", "unit_amount", "unit_amount_decimal", "billing_scheme",
    "tiers_mode", "tiers", "transform_quantity", "custom_unit_amount", "recurring",
)  # fmt: skip
"""What a price costs, and how often: it never changes."""

_MAX_ADDRESS: Final = 2_048
_MAX_FEATURES: Final = 15
_MAX_FEATURE: Final = 80
_MAX_DESCRIPTOR: Final = 22
_UNPRINTABLE: Final = frozenset("<>\\'\"*")
_SCHEMES: Final = ("https://", "http://")


def _name_violations(name: str, path: str) -> Iterator[FieldViolation]:
    if not name.strip():
        yield FieldViolation(path, "is required")
    yield from text_violations(name, path, MAX_NAME)


def _default_violations(price: str, path: str) -> Iterator[FieldViolation]:
    return optional_id_violations(price, path, PRICE_ID)


def _images_violations(images: Sequence[str], path: str) -> Iterator[FieldViolation]:
    if len(images) > MAX_IMAGES:
        yield FieldViolation(path, f"at most {MAX_IMAGES}")
    for place, image in enumerate(images[:MAX_IMAGES]):
        yield from _address_violations(image, f"{path}[{place}]")
        if not image:
            yield FieldViolation(f"{path}[{place}]", "must not be empty")


def _address_violations(address: str, path: str) -> Iterator[FieldViolation]:
    if address and not address.startswith(_SCHEMES):
        yield FieldViolation(path, "a public address that begins with https:// or http://")
    yield from text_violations(address, path, _MAX_ADDRESS)


def _features_violations(features: Sequence[str], path: str) -> Iterator[FieldViolation]:
    if len(features) > _MAX_FEATURES:
        yield FieldViolation(path, f"at most {_MAX_FEATURES}")
    for place, feature in enumerate(features[:_MAX_FEATURES]):
        if not feature:
            yield FieldViolation(f"{path}[{place}]", "must not be empty")
        yield from text_violations(feature, f"{path}[{place}]", _MAX_FEATURE)


def _descriptor_violations(descriptor: str, path: str) -> Iterator[FieldViolation]:
    yield from text_violations(descriptor, path, _MAX_DESCRIPTOR)
    if not _UNPRINTABLE.isdisjoint(descriptor) or not any(map(str.isalpha, descriptor)):
        yield FieldViolation(path, "at least one letter, and none of < > \\ ' \" *")


def _options_violations(
    options: Mapping[str, CurrencyOption], path: str
) -> Iterator[FieldViolation]:
    return options_violations("", options, path)


def _shows_options(price: Price, written: Mapping[str, CurrencyOption]) -> bool:
    """Whether every option is as written; none at all where all were cleared."""
    others = {
        currency: option
        for currency, option in price.currency_options.items()
        if currency != price.currency
    }
    if not written:
        return not others
    return all(
        currency in others and _costs(others[currency], option)
        for currency, option in written.items()
    )


def _costs(shown: CurrencyOption, written: CurrencyOption) -> bool:
    if written.unit_amount is not None:
        return shown.unit_amount == written.unit_amount
    if written.unit_amount_decimal:
        return shown.unit_amount_decimal == written.unit_amount_decimal
    return True


PRODUCT_FIELDS: Final = FieldTable(
    "product",
    ProductFields,
    (
        Field("name", _name_violations),
        text("description", 5_000),
        Field("default_price", _default_violations, ""),
        Field("images", _images_violations, ()),
        text("tax_code", 255),
        text("unit_label", 12),
        Field("statement_descriptor", _descriptor_violations),
        text("url", _MAX_ADDRESS, _address_violations),
        Field("marketing_features", _features_violations, ()),
        metadata(),
    ),
)

PRICE_FIELDS: Final = FieldTable(
    "price",
    PriceFields,
    (
        text("nickname", MAX_NICKNAME),
        text("lookup_key", MAX_LOOKUP_KEY),
        Field("tax_behavior", tax_behavior_violations),
        Field("currency_options", _options_violations, {}, shows=_shows_options),
        metadata(),
    ),
)
