"""Prices of phone numbers in a file, for the sandbox and for who has no internal API."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from typing_extensions import override

from application.checkouts.number_prices import NumberPrices
from domain.errors import Reason, Unavailable
from domain.phone_numbers import NumberKind, NumberPrice
from infrastructure.plain_files import read_plain

MAX_PRICES: Final = 10_000
_MAX_BYTES: Final = 4_194_304

_Place = tuple[str, NumberKind, str]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    prices: list[NumberPrice]


class NumberPriceFile(NumberPrices):
    """`application.checkouts.number_prices.NumberPrices` from a JSON file, read once, at the start.

    `{"prices": [{"country": "DE", "kind": "local", "currency": "usd", "tiers":
    [{"up_to": 10, "price": "1.15"}, {"up_to": null, "price": "1"}]}]}`
    """

    def __init__(self, path: Path) -> None:
        """Raises ValueError, which names the file, where it is not such a list."""
        self._prices = _read(path)

    @override
    async def price(self, country: str, kind: NumberKind, currency: str) -> NumberPrice | None:
        return self._prices.get((country, kind, currency))


class NoNumberPrices(NumberPrices):
    """No prices at all: no phone number is sold."""

    @override
    async def price(self, country: str, kind: NumberKind, currency: str) -> NumberPrice | None:
        words = "this deployment has no prices of phone numbers; BILLING_PHONE_NUMBERS sets them"
        raise Unavailable(Reason.PRICE_UNAVAILABLE, words)


def _read(path: Path) -> Mapping[_Place, NumberPrice]:
    try:
        content = read_plain(path, _MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ValueError(f"{path}: at most {_MAX_BYTES:,} bytes")
        prices = msgspec.json.decode(content, type=_File).prices
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: is no list of prices: {error}") from None
    if len(prices) > MAX_PRICES:
        raise ValueError(f"{path}: at most {MAX_PRICES:,} prices")
    found = {(price.country, price.kind, price.currency): price for price in prices}
    if len(found) != len(prices):
        raise ValueError(f"{path}: one price for each country, kind and currency")
    return found
