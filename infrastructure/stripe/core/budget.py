"""The rate budget: how fast one Stripe account may be asked, and who goes first.

Stripe limits requests by account ("Rate limits": 100 a second live, 25 in a sandbox), and so does
this process. With several processes the setting is each one's share.
"""

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Protocol

from application.mirror.stripe import Priority
from domain.connections import Mode
from domain.errors import RateLimited, Reason

REQUESTS_PER_SECOND: Final = {Mode.TEST: 25.0, Mode.LIVE: 100.0}

MAX_WAITERS: Final = 1_000
"""How many may wait for an account in one priority."""

MAX_ACCOUNTS: Final = 10_000
MAX_PAUSE_SECONDS: Final = 60.0

_BURST_SECONDS: Final = 0.2
_LOOK_FOR_IDLE: Final = 8


class Handle(Protocol):
    """A timer that is set."""

    def cancel(self) -> None:
        """Do not call back any more."""
        ...


class Timer(Protocol):
    """A monotonic clock in seconds that calls back; every event loop is one."""

    def time(self) -> float:
        """The time now."""
        ...

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> Handle:
        """Call `callback` with `args` after `delay` seconds."""
        ...


class RateBudget:
    """A token bucket a Stripe account; waiters are served by priority, then in order of arrival.

    It belongs to one event loop. Waiters, accounts and waits are bounded.
    """

    def __init__(
        self,
        requests_per_second: float,
        *,
        timer: Callable[[], Timer] = asyncio.get_running_loop,
        max_waiters: int = MAX_WAITERS,
        max_accounts: int = MAX_ACCOUNTS,
    ) -> None:
        """Let each account be asked so often, with bursts of a fifth of a second's requests."""
        if requests_per_second <= 0:
            raise ValueError("requests_per_second: must be positive")
        self._rate = requests_per_second
        self._timer = timer
        self._max_waiters = max_waiters
        self._max_accounts = max_accounts
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    async def take(
        self, stripe_account: str, priority: Priority, *, patience_seconds: float
    ) -> None:
        """Return once a request may be sent.

        Raises RateLimited (STRIPE_RATE_LIMITED) where that is not within `patience_seconds`, or
        where too many wait already.
        """
        account = self._account(stripe_account)
        if account.free():
            return
        queue = account.queues[priority]
        if account.seconds_to_token() > patience_seconds or len(queue) >= self._max_waiters:
            raise self._refusal(account)
        waiter = asyncio.get_running_loop().create_future()
        queue.append(waiter)
        limit = self._timer().call_later(patience_seconds, _give_up, waiter)
        account.serve()
        try:
            if not await waiter:
                raise self._refusal(account)
        finally:
            limit.cancel()
            if waiter in queue:  # given up, or cancelled by its caller
                queue.remove(waiter)

    def pause(self, stripe_account: str, seconds: float) -> None:
        """Send nothing for an account for so long: Stripe said `Retry-After`."""
        self._account(stripe_account).pause(min(seconds, MAX_PAUSE_SECONDS))

    def _account(self, stripe_account: str) -> "_Account":
        account = self._accounts.get(stripe_account)
        if account is not None:
            self._accounts.move_to_end(stripe_account)
            return account
        if len(self._accounts) >= self._max_accounts:
            self._drop_an_idle_account()
        account = self._accounts[stripe_account] = _Account(self._rate, self._timer())
        return account

    def _drop_an_idle_account(self) -> None:
        """Forget one of those not asked for longest; a full bucket is the same as a new one."""
        for name, _ in zip(self._accounts, range(_LOOK_FOR_IDLE), strict=False):
            if self._accounts[name].idle():
                del self._accounts[name]
                return
        raise RateLimited(
            Reason.STRIPE_RATE_LIMITED,
            "too many Stripe accounts are asked at once",
            retry_after_seconds=1,
        )

    def _refusal(self, account: "_Account") -> RateLimited:
        return RateLimited(
            Reason.STRIPE_RATE_LIMITED,
            "the Stripe account's request budget is used up",
            retry_after_seconds=max(1, math.ceil(account.seconds_to_token())),
        )


class _Account:
    """One account's bucket and those who wait for it."""

    def __init__(self, rate: float, timer: Timer) -> None:
        self.queues: dict[Priority, deque[asyncio.Future[bool]]] = {
            priority: deque() for priority in sorted(Priority)
        }
        self._rate = rate
        self._capacity = max(1.0, rate * _BURST_SECONDS)
        self._tokens = self._capacity
        self._timer = timer
        self._filled_at = timer.time()
        self._wake: Handle | None = None

    def free(self) -> bool:
        """Take a token, where there is one and nobody waits."""
        return not any(self.queues.values()) and self._take()

    def seconds_to_token(self) -> float:
        """How long until the next token is there."""
        self._fill()
        return max(0.0, (1.0 - self._tokens) / self._rate)

    def pause(self, seconds: float) -> None:
        """Have no token for so long: the bucket owes them."""
        self._fill()
        self._tokens = min(self._tokens, 1.0 - seconds * self._rate)

    def idle(self) -> bool:
        """Whether nobody waits and the bucket is full."""
        self._fill()
        return self._tokens >= self._capacity and not any(self.queues.values())

    def serve(self) -> None:
        """Hand out the tokens that there are; come back for the next while anybody waits."""
        self._wake_off()
        for queue in self.queues.values():
            while queue and (queue[0].done() or self._take()):
                waiter = queue.popleft()
                if not waiter.done():
                    waiter.set_result(True)
        if any(self.queues.values()):
            self._wake = self._timer.call_later(self.seconds_to_token(), self.serve)

    def _take(self) -> bool:
        self._fill()
        # A timer may fire the last nanosecond early: without slack it would only be set again.
        if self._tokens < 1.0 - 1e-6:
            return False
        self._tokens -= 1.0
        return True

    def _fill(self) -> None:
        now = self._timer.time()
        self._tokens = min(self._capacity, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now

    def _wake_off(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None


def _give_up(waiter: "asyncio.Future[bool]") -> None:
    if not waiter.done():
        waiter.set_result(False)
