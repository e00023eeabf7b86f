"""Prices that the internal API tells, kept for a minute, and asked for behind a circuit breaker."""

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from circuitbreaker import CircuitBreaker, CircuitBreakerError

from application.background.outages import Outage
from domain.errors import Reason, Unavailable
from infrastructure.internal_api.client import InternalApiError

Q = TypeVar("Q")
P = TypeVar("P")

KEPT_SECONDS: Final = 60.0
MAX_KEPT: Final = 1_000
FAILURES_TO_OPEN: Final = 5
RECOVERY_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


class KeptPrices(Generic[Q, P]):
    """Answers of `ask`, by what was asked.

    A price is kept for a minute, MAX_KEPT of them. That there is none is not kept: there may be one
    in a moment.
    """

    def __init__(
        self, ask: Callable[[Q], Awaitable[P | None]], what: str,
        *, seconds: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`ask` raises InternalApiError where it gets no price. `what` the prices are of, in words
        for people. `seconds` is a clock's."""
        self._what = what
        self._seconds = seconds
        self._kept: OrderedDict[Q, tuple[float, P]] = OrderedDict()
        self._outage = Outage(_log, f"no {what}", f"{what} are told again")
        self._guarded = CircuitBreaker(
            failure_threshold=FAILURES_TO_OPEN,
            recovery_timeout=RECOVERY_SECONDS,
            expected_exception=InternalApiError,
            name=what,
        ).decorate(ask)

    async def price(self, question: Q) -> P | None:
        """The price, or None where there is none. Raises Unavailable (PRICE_UNAVAILABLE)."""
        kept = self._kept.get(question)
        if kept is not None and self._seconds() < kept[0]:
            return kept[1]
        try:
            price: P | None = await self._guarded(question)
        except CircuitBreakerError:
            raise self._unavailable() from None
        except InternalApiError as error:
            self._outage.failed(str(error))
            raise self._unavailable() from None
        self._outage.answered()
        if price is not None:
            self._keep(question, price)
        return price

    def _keep(self, question: Q, price: P) -> None:
        self._kept[question] = (self._seconds() + KEPT_SECONDS, price)
        self._kept.move_to_end(question)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    def _unavailable(self) -> Unavailable:
        words = f"{self._what} are not told; try again later"
        return Unavailable(Reason.PRICE_UNAVAILABLE, words)
