"""Documents of the platform's store, as both databases hold them: read leniently, one by one."""

import logging
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from domain.store_products import Offer, StorePrice, StoreProduct

T = TypeVar("T")

_log: Final = logging.getLogger(__name__)


def product_of(document: Mapping[str, Any] | None) -> StoreProduct | None:
    """A product; None, with a line in the log, for what is none."""
    return _read(document, StoreProduct)


def price_of(document: Mapping[str, Any] | None) -> StorePrice | None:
    """A price; None, with a line in the log, for what is none."""
    return _read(document, StorePrice)


def offer_of(product: StoreProduct | None, price: StorePrice | None) -> Offer | None:
    """An offer; None where one of the two is missing, or they do not fit together."""
    if product is None or price is None:
        return None
    try:
        return Offer(product, price)
    except ValueError as error:
        _log.warning("a price of the store is sold to nobody: %s", error, extra={"id": price.id})
        return None


def _read(document: Mapping[str, Any] | None, kind: type[T]) -> T | None:
    if document is None:
        return None
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        # The error names fields and rules, and no value.
        words = "a document of the store is no %s: %s"
        _log.warning(words, kind.__name__, error, extra={"id": str(document.get("id"))})
        return None
