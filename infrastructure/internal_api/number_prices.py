"""Prices of phone numbers from the platform's internal API.

docs/checkout.md says what is asked and answered.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from circuitbreaker import CircuitBreaker, CircuitBreakerError
from typing_extensions import override

from application.background.outages import Outage
from application.checkouts.number_prices import NumberPrices
from domain.errors import Reason, Unavailable
from domain.phone_numbers import MAX_TIERS, NumberKind, NumberPrice, NumberTier
from infrastructure.internal_api.client import InternalApi, InternalApiError

KEPT_SECONDS: Final = 60.0
MAX_KEPT: Final = 1_000
FAILURES_TO_OPEN: Final = 5
RECOVERY_SECONDS: Final = 5.0

_Place = tuple[str, NumberKind, str]
"""Country, kind and currency: what has one price."""

_log = logging.getLogger(__name__)


class _Answer(msgspec.Struct):
    country: Annotated[str, msgspec.Meta(max_length=2)]
    kind: Annotated[str, msgspec.Meta(max_length=32)]
    currency: Annotated[str, msgspec.Meta(max_length=3)]
    tiers: Annotated[tuple[NumberTier, ...], msgspec.Meta(max_length=MAX_TIERS)] | None


_ANSWER: Final = msgspec.json.Decoder(_Answer)


class InternalNumberPrices(NumberPrices):
    """`application.checkouts.number_prices.NumberPrices` over HTTP, behind a circuit breaker.

    A price is kept for a minute, MAX_KEPT of them. That numbers are not sold is not kept.
    """

    def __init__(
        self, api: InternalApi, url: str, *, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        """Ask at `url`, which is absolute. `seconds` is a clock's."""
        self._api = api
        self._url = url
        self._seconds = seconds
        self._kept: OrderedDict[_Place, tuple[float, NumberPrice]] = OrderedDict()
        self._outage = Outage(
            _log, "no prices of phone numbers", "prices of phone numbers are told again"
        )
        self._guarded = CircuitBreaker(
            failure_threshold=FAILURES_TO_OPEN,
            recovery_timeout=RECOVERY_SECONDS,
            expected_exception=InternalApiError,
            name="number_prices",
        ).decorate(self._ask)

    @override
    async def price(self, country: str, kind: NumberKind, currency: str) -> NumberPrice | None:
        place = (country, kind, currency)
        until, kept = self._kept.get(place, (0.0, None))
        if kept is not None and self._seconds() < until:
            return kept
        try:
            price: NumberPrice | None = await self._guarded(place)
        except CircuitBreakerError:
            raise _unavailable() from None
        except InternalApiError as error:
            self._outage.failed(str(error))
            raise _unavailable() from None
        self._outage.answered()
        if price is not None:
            self._keep(place, price)
        return price

    def _keep(self, place: _Place, price: NumberPrice) -> None:
        self._kept[place] = (self._seconds() + KEPT_SECONDS, price)
        self._kept.move_to_end(place)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

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


def _unavailable() -> Unavailable:
    words = "prices of phone numbers are not told; try again later"
    return Unavailable(Reason.PRICE_UNAVAILABLE, words)
