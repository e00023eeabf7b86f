"""Short links of the platform's internal API, or of a service that speaks as it does.

docs/payment-links.md says what is asked and answered.
"""

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import msgspec
from circuitbreaker import CircuitBreaker, CircuitBreakerError
from typing_extensions import override

from application.background.outages import Outage
from application.payment_links.short_links import NoShortLink, ShortLinks
from infrastructure.internal_api.client import InternalApi, InternalApiError

MAX_CHARACTERS: Final = 2_048
FAILURES_TO_OPEN: Final = 5
RECOVERY_SECONDS: Final = 30.0

_HTTPS_URL: Final = re.compile(r"https://[A-Za-z0-9.-]+(:\d{1,5})?(/[\x21-\x7e]*)?")

_log = logging.getLogger(__name__)


class _Answer(msgspec.Struct):
    short_url: Annotated[str, msgspec.Meta(max_length=MAX_CHARACTERS)]


_ANSWER: Final = msgspec.json.Decoder(_Answer)


class InternalShortLinks(ShortLinks):
    """`application.payment_links.short_links.ShortLinks` over HTTP, behind a circuit breaker.

    After some failures in a row nobody is asked for a while, so that a service which does not
    answer costs no caller its time-out. Then a try decides.
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
        breaker = CircuitBreaker(
            failure_threshold=failures_to_open,
            recovery_timeout=recovery_seconds,
            expected_exception=InternalApiError,
            name="short_links",
        )
        self._guarded: Callable[[str], Awaitable[str]] = breaker.decorate(self._ask)

    @override
    async def shorten(self, url: str) -> str:
        try:
            short = await self._guarded(url)
        except CircuitBreakerError:
            raise NoShortLink("the circuit is open") from None
        except InternalApiError as error:
            self._outage.failed(str(error))
            raise NoShortLink(str(error)) from None
        self._outage.answered()
        return short

    async def _ask(self, url: str) -> str:
        body = await self._api.post(self._url, {"url": url})
        try:
            short = _ANSWER.decode(body).short_url
        except (ValueError, RecursionError):
            raise InternalApiError("the answer is not understood") from None
        if not _HTTPS_URL.fullmatch(short):
            raise InternalApiError("the answer is no https address")
        return short
