"""Whether the store answers: asked once a second, told to whoever sends calls and deliveries."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from application.background.loops import Loop
from application.background.outages import Outage
from application.connections.deployment import Deployment

PATIENCE_SECONDS: Final = 5.0
"""How long the store may stay silent before this process counts as not ready."""

INTERVAL_SECONDS: Final = 1.0

Turned = Callable[[bool], Awaitable[None]]

_log = logging.getLogger(__name__)


class StoreHealth:
    """Asks the store to write and to read, and turns readiness where it has not for too long.

    A store that refuses some of the work (a full disk still answers reads) is found by the write.
    The store's adapter tells here what its database said, since callers hear no more than that the
    store does not answer.
    """

    def __init__(
        self,
        deployment: Deployment,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._deployment = deployment
        self._patience_seconds = patience_seconds
        self._outage = Outage(
            _log,
            "the store fails",
            "the store answers again",
            level=logging.ERROR,
            quiet_seconds=patience_seconds,
        )
        self._ready = True
        self._answered_at: float | None = None
        self._turned: Turned = _tell_nobody
        self.loop: Final = Loop("store health", self._ask, interval_seconds)

    @property
    def ready(self) -> bool:
        """Whether calls and deliveries have a chance."""
        return self._ready

    def failed(self, cause: str) -> None:
        """The database refused something: its own error, told once a change."""
        self._outage.failed(cause)

    def report_to(self, turned: Turned) -> None:
        """Tell `turned` each time that readiness turns, and how."""
        self._turned = turned

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        if self._answered_at is None:
            self._answered_at = began
        # Before it turns, what is left of the patience; after that, all of it for each try.
        until = (self._answered_at if self._ready else began) + self._patience_seconds
        if await self._answers(until):
            self._answered_at = loop.time()
            self._outage.answered()
        silent = loop.time() - self._answered_at >= self._patience_seconds
        if silent is self._ready:
            self._ready = not silent
            self._tell()
            await self._turned(self._ready)

    async def _answers(self, until: float) -> bool:
        try:
            async with asyncio.timeout_at(until):
                await self._deployment.check()
        except TimeoutError:
            self.failed(f"no answer within {self._patience_seconds:g} s")
            return False
        except Exception as error:  # noqa: BLE001 - whatever it is, the store has not answered
            _log.debug("the store was asked in vain", extra={"error": type(error).__name__})
            return False
        return True

    def _tell(self) -> None:
        if self._ready:
            _log.info("ready again")
        else:
            words = f"the store has not answered for {self._patience_seconds:g} s"
            _log.warning("not ready", extra={"error": words})


async def _tell_nobody(_: bool) -> None:
    """Until somebody wants to know."""
