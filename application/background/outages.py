"""An outage is told once: when it begins, when its cause changes, and when it ends."""

import logging
import time
from collections.abc import Callable
from typing import Final

from domain.errors import BillingError, Reason

MAX_CAUSES: Final = 20
"""How many causes of one outage are told; whatever comes on top of them is no news."""

_TOLD_BY_THEMSELVES: Final = (Reason.STORE_UNAVAILABLE, Reason.STRIPE_UNAVAILABLE)
"""The store and Stripe warn of their own outages: work that waits for them is no second warning."""


class Outage:
    """The log lines about one thing that is needed, or about one piece of work that waits for it.

    `cause` is that of the last failure.

    A cause that comes back within the same outage is not told again. `quiet_seconds`: an answer
    ends the outage only so long after the last failure, so that one which fails every other time
    does not fill the log.
    """

    def __init__(
        self,
        log: logging.Logger,
        begins: str,
        ends: str,
        *,
        level: int = logging.WARNING,
        quiet_seconds: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`begins` and `ends` are the lines; `monotonic` gives seconds."""
        self._log = log
        self._begins = begins
        self._ends = ends
        self._level = level
        self._quiet_seconds = quiet_seconds
        self._monotonic = monotonic
        self._causes: set[str] = set()
        self.cause = ""
        self._failed_at = 0.0

    def failed(self, cause: str, *, level: int | None = None, **facts: str) -> None:
        """It failed. The cause and the facts hold no secret and nothing personal."""
        self._failed_at, self.cause = self._monotonic(), cause
        if cause in self._causes or len(self._causes) >= MAX_CAUSES:
            return
        self._causes.add(cause)
        self._log.log(level or self._level, self._begins, extra={"error": cause, **facts})

    def waits(self, error: BillingError, **facts: str) -> None:
        """Work waits because of an error: as `failed`, quieter where the cause tells of itself."""
        level = logging.INFO if error.reason in _TOLD_BY_THEMSELVES else None
        self.failed(error.message, level=level, reason=error.reason.value, **facts)

    def answered(self, **facts: str) -> None:
        """It answered. Costs nothing where it did so before."""
        if self._causes and self._monotonic() - self._failed_at >= self._quiet_seconds:
            self._causes.clear()
            self._log.info(self._ends, extra=facts)


class AccountOutages:
    """The same line about each of many Stripe accounts."""

    def __init__(self, log: logging.Logger, begins: str, ends: str) -> None:
        self._log = log
        self._begins = begins
        self._ends = ends
        self._outages: dict[str, Outage] = {}

    def waits(self, stripe_account: str, error: BillingError, **facts: str) -> None:
        """An account's work waits because of an error."""
        outage = self._outages.get(stripe_account)
        if outage is None:
            outage = self._outages[stripe_account] = Outage(self._log, self._begins, self._ends)
        outage.waits(error, stripe_account=stripe_account, **facts)

    def answered(self, stripe_account: str, **facts: str) -> None:
        """An account's work is done."""
        outage = self._outages.pop(stripe_account, None)
        if outage is not None:
            outage.answered(stripe_account=stripe_account, **facts)

    def cause(self, stripe_account: str) -> str:
        """Why an account's work waits, as far as this process knows; empty where it does not."""
        outage = self._outages.get(stripe_account)
        return "" if outage is None else outage.cause
