"""Short links of the platform's internal API, or of a service that speaks as it does.

docs/payment-links.md says what is asked and answered.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Final

import msgspec
from circuitbreaker import STATE_HALF_OPEN, CircuitBreaker, CircuitBreakerError
from typing_extensions import override

from application.background.outages import Outage
from application.payment_links.short_links import NoShortLink, ShortLinks
from infrastructure.internal_api.client import InternalApi, InternalApiError

MAX_CHARACTERS: Final = 2_048
FAILURES_TO_OPEN: Final = 5
RECOVERY_SECONDS: Final = 30.0

_OPEN: Final = "the circuit is open"
_HTTPS_URL: Final = re.compile(r"https://[A-Za-z0-9.-]+(:\d{1,5})?(/[\x21-\x7e]*)?")

_log = logging.getLogger(__name__)


class _Answer(msgspec.Struct):
    short_url: Annotated[str, msgspec.Meta(max_length=MAX_CHARACTERS)]


_ANSWER: Final = msgspec.json.Decoder(_Answer)


class InternalShortLinks(ShortLinks):
    """`application.payment_links.short_links.ShortLinks` over HTTP, behind a circuit breaker.

    After some failures in a row nobody is asked for a while, so that a service which does not
    answer costs no caller its time-out. Then one call tries, and decides for all: while it is under
    way every other finds the circuit open still.
    """

    def __init__(
        self,
        api: InternalApi,
        url: str,
        *,
        failures_to_open: int = FAILURES_TO_OPEN,
        recovery_seconds: float = RECOVERY_SECONDS,
    ) -> None:
        """Ask at `url`, which is absolute."""
        self._api = api
        self._url = url
        self._outage = Outage(_log, "no short link", "short links are made again")
        self._breaker = CircuitBreaker(
            failure_threshold=failures_to_open,
            recovery_timeout=recovery_seconds,
            # A call that is cut off has had no answer: it closes nothing.
            expected_exception=(InternalApiError, asyncio.CancelledError),
            name="short_links",
        )
        self._guarded: Callable[[str], Awaitable[str]] = self._breaker.decorate(self._ask)
        self._trying = False

    @override
    async def shorten(self, url: str) -> str:
        try:
            with self._one_try():
                short = await self._guarded(url)
        except CircuitBreakerError:
            raise NoShortLink(_OPEN) from None
        except InternalApiError as error:
            self._outage.failed(str(error))
            raise NoShortLink(str(error)) from None
        self._outage.answered()
        return short

    @contextlib.contextmanager
    def _one_try(self) -> Iterator[None]:
        """Let one call through a half open circuit; the breaker itself lets all. NoShortLink."""
        if self._trying:
            raise NoShortLink(_OPEN)
        if self._breaker.state != STATE_HALF_OPEN:
            yield
            return
        self._trying = True
        try:
            yield
        finally:
            self._trying = False

    async def _ask(self, url: str) -> str:
        body = await self._api.post(self._url, {"url": url})
        try:
            short = _ANSWER.decode(body).short_url
        except (ValueError, RecursionError):
            raise InternalApiError("the answer is not understood") from None
        if not _HTTPS_URL.fullmatch(short):
            raise InternalApiError("the answer is no https address")
        return short
