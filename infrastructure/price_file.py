"""A price list in a file, for the sandbox and for who has no internal API."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from typing_extensions import override

from application.wallet.prices import PriceList
from domain.errors import Reason, Unavailable
from domain.ledger_amounts import PRICE_RULE, is_price
from domain.wallets import SERVICE, SERVICE_RULE
from infrastructure.plain_files import read_plain

MAX_SERVICES: Final = 10_000
_MAX_BYTES: Final = 1_048_576


class _File(msgspec.Struct, forbid_unknown_fields=True):
    currency: str
    prices: dict[str, str]


class PriceFile(PriceList):
    """`application.wallet.prices.PriceList` from a JSON file, which is read once, at the start.

    `{"currency": "usd", "prices": {"sms.us": "0.0079"}}`
    """

    def __init__(self, path: Path, currency: str) -> None:
        """Raises ValueError, which names the file, where it is not such a list in `currency`."""
        self._prices = _read(path, currency)

    @override
    async def price(self, service: str) -> str | None:
        return self._prices.get(service)


class NoPrices(PriceList):
    """No price list at all: nothing can be debited."""

    @override
    async def price(self, service: str) -> str | None:
        words = "this deployment has no price list; BILLING_PRICE_LIST sets one"
        raise Unavailable(Reason.PRICE_UNAVAILABLE, words)


def _read(path: Path, currency: str) -> Mapping[str, str]:
    try:
        content = read_plain(path, _MAX_BYTES + 1)
        read = msgspec.json.decode(content, type=_File)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: is no price list: {error}") from None
    if len(content) > _MAX_BYTES or len(read.prices) > MAX_SERVICES:
        raise ValueError(f"{path}: at most {MAX_SERVICES:,} prices in {_MAX_BYTES:,} bytes")
    if read.currency != currency:
        raise ValueError(f"{path}: currency: must be that of BASE_CURRENCY, {currency or 'unset'}")
    for service, price in read.prices.items():
        if not SERVICE.fullmatch(service):
            raise ValueError(f"{path}: {service[:80]!r}: a service has {SERVICE_RULE}")
        if not is_price(price):
            raise ValueError(f"{path}: {service}: {PRICE_RULE}")
    return read.prices
