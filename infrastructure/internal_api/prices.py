"""Prices of the platform's internal API.

docs/wallet.md says what is asked and answered.
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
from application.wallet.prices import PriceList
from domain.errors import Reason, Unavailable
from domain.ledger_amounts import is_price
from infrastructure.internal_api.client import InternalApi, InternalApiError

KEPT_SECONDS: Final = 60.0
MAX_KEPT: Final = 1_000
FAILURES_TO_OPEN: Final = 5
RECOVERY_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


class _Answer(msgspec.Struct):
    service: Annotated[str, msgspec.Meta(max_length=64)]
    currency: Annotated[str, msgspec.Meta(max_length=3)]
    price: Annotated[str, msgspec.Meta(max_length=32)] | None


_ANSWER: Final = msgspec.json.Decoder(_Answer)


class InternalPrices(PriceList):
    """`application.wallet.prices.PriceList` over HTTP, behind a circuit breaker.

    A price is kept for a minute, MAX_KEPT of them. That there is no such service is not kept: there
    may be one in a moment.
    """

    def __init__(
        self, api: InternalApi, url: str, currency: str, *,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Ask at `url`, which is absolute, for prices in `currency`. `seconds` is a clock's."""
        self._api = api
        self._url = url
        self._currency = currency
        self._seconds = seconds
        self._kept: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._outage = Outage(_log, "no prices", "prices are told again")
        self._guarded = CircuitBreaker(
            failure_threshold=FAILURES_TO_OPEN,
            recovery_timeout=RECOVERY_SECONDS,
            expected_exception=InternalApiError,
            name="prices",
        ).decorate(self._ask)

    @override
    async def price(self, service: str) -> str | None:
        until, kept = self._kept.get(service, (0.0, ""))
        if kept and self._seconds() < until:
            return kept
        try:
            price: str | None = await self._guarded(service)
        except CircuitBreakerError:
            raise _unavailable() from None
        except InternalApiError as error:
            self._outage.failed(str(error))
            raise _unavailable() from None
        self._outage.answered()
        if price is not None:
            self._keep(service, price)
        return price

    def _keep(self, service: str, price: str) -> None:
        self._kept[service] = (self._seconds() + KEPT_SECONDS, price)
        self._kept.move_to_end(service)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

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


def _unavailable() -> Unavailable:
    return Unavailable(Reason.PRICE_UNAVAILABLE, "the price list does not answer; try again later")
