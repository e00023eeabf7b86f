"""Prices of the platform's internal API.

docs/wallet.md says what is asked and answered.
"""

import time
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from typing_extensions import override

from application.wallet.prices import PriceList
from domain.ledger_amounts import is_price
from infrastructure.internal_api.client import InternalApi, InternalApiError
from infrastructure.internal_api.kept_prices import KeptPrices


class _Answer(msgspec.Struct):
    service: Annotated[str, msgspec.Meta(max_length=64)]
    currency: Annotated[str, msgspec.Meta(max_length=3)]
    price: Annotated[str, msgspec.Meta(max_length=32)] | None


_ANSWER: Final = msgspec.json.Decoder(_Answer)


class InternalPrices(PriceList):
    """`application.wallet.prices.PriceList` over HTTP."""

    def __init__(
        self, api: InternalApi, url: str, currency: str, *,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Ask at `url`, which is absolute, for prices in `currency`. `seconds` is a clock's."""
        self._api = api
        self._url = url
        self._currency = currency
        self._kept = KeptPrices(self._ask, "prices of services", seconds=seconds)

    @override
    async def price(self, service: str) -> str | None:
        return await self._kept.price(service)

    async def _ask(self, service: str) -> str | None:
        body = await self._api.post(self._url, {"service": service, "currency": self._currency})
        try:
            answer = _ANSWER.decode(body)
        except (ValueError, RecursionError):
            raise InternalApiError("the answer is not understood") from None
        if (answer.service, answer.currency) != (service, self._currency):
            raise InternalApiError("the answer is about something else")
        if answer.price is not None and not is_price(answer.price):
            raise InternalApiError("the answer is no price")
        return answer.price
