"""Prices of phone numbers from the platform's internal API.

docs/checkout.md says what is asked and answered.
"""

import time
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from typing_extensions import override

from application.checkouts.number_prices import NumberPrices
from domain.phone_numbers import MAX_TIERS, NumberKind, NumberPrice, NumberTier
from infrastructure.internal_api.client import InternalApi, InternalApiError
from infrastructure.internal_api.kept_prices import KeptPrices

_Place = tuple[str, NumberKind, str]
"""Country, kind and currency: what has one price."""


class _Answer(msgspec.Struct):
    country: Annotated[str, msgspec.Meta(max_length=2)]
    kind: Annotated[str, msgspec.Meta(max_length=32)]
    currency: Annotated[str, msgspec.Meta(max_length=3)]
    tiers: Annotated[tuple[NumberTier, ...], msgspec.Meta(max_length=MAX_TIERS)] | None


_ANSWER: Final = msgspec.json.Decoder(_Answer)


class InternalNumberPrices(NumberPrices):
    """`application.checkouts.number_prices.NumberPrices` over HTTP."""

    def __init__(
        self, api: InternalApi, url: str, *, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        """Ask at `url`, which is absolute. `seconds` is a clock's."""
        self._api = api
        self._url = url
        self._kept = KeptPrices(self._ask, "prices of phone numbers", seconds=seconds)

    @override
    async def price(self, country: str, kind: NumberKind, currency: str) -> NumberPrice | None:
        return await self._kept.price((country, kind, currency))

    async def _ask(self, place: _Place) -> NumberPrice | None:
        country, kind, currency = place
        question = {"country": country, "kind": kind.value, "currency": currency}
        body = await self._api.post(self._url, question)
        try:
            answer = _ANSWER.decode(body)
            if (answer.country, answer.kind, answer.currency) != place:
                raise InternalApiError("the answer is about something else")
            if answer.tiers is None:
                return None
            return NumberPrice(country, kind, currency, answer.tiers)
        except (ValueError, RecursionError):  # the guards of tiers and prices, too
            raise InternalApiError("the answer is no price") from None
