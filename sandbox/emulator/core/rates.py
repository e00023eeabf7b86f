"""Stripe's rate limit (docs, "Rate limits"): so many requests a second an account and mode."""

import time
from collections import deque
from collections.abc import Callable

from sandbox.emulator.core.errors import ApiError
from sandbox.emulator.core.values import Scope


class Rates:
    """Counts requests of the last second of wall time; without a limit it counts nothing."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._limit: int | None = None
        self._seen: dict[Scope, deque[float]] = {}

    def limit(self, per_second: int | None) -> None:
        """Allow so many from now on, None any number; ValueError below 1."""
        if per_second is not None and per_second < 1:
            raise ValueError("per_second is at least 1")
        self._limit = per_second
        self._seen.clear()

    def check(self, scope: Scope) -> None:
        """Count a request; ApiError 429 `rate_limit` when it is one too many, and uncounted."""
        if self._limit is None:
            return
        now, seen = self._now(), self._seen.setdefault(scope, deque())
        while seen and seen[0] <= now - 1:
            seen.popleft()
        if len(seen) >= self._limit:
            raise ApiError(
                429,
                "Request rate limit exceeded. You can learn more about rate limits here "
                "https://stripe.com/docs/rate-limits.",
                code="rate_limit",
                headers={"Stripe-Rate-Limited-Reason": "global-rate"},
            )
        seen.append(now)
