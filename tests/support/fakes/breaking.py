"""Ports that break where a test says so: a process that dies, a store that fails, an interruption.

They stand before the real adapter, so that what was done before the break is really there.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from domain.errors import Reason, Unavailable

Interrupt = Callable[[str], Awaitable[None]]


class Died(BaseException):
    """The process was killed: nothing that runs sees it coming or cleans up."""


class Breaking:
    """A port whose methods call `before` and `after` with their name around the real one's.

    `before_with` gets the arguments as well.
    """

    def __init__(
        self,
        port: Any,
        *,
        before: Interrupt | None = None,
        after: Interrupt | None = None,
        before_with: Callable[..., Awaitable[None]] | None = None,
    ) -> None:
        self._port = port
        self._before, self._after, self._before_with = before, after, before_with

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._port, name)

        async def method(*args: Any, **options: Any) -> Any:
            if self._before is not None:
                await self._before(name)
            if self._before_with is not None:
                await self._before_with(name, *args, **options)
            result = await real(*args, **options)
            if self._after is not None:
                await self._after(name)
            return result

        return method


class Crash:
    """Ends the process, or fails the store, at the call of a number (from 0), over all ports.

    A process that has died does nothing any more: each later call dies too.
    """

    def __init__(self, at: int, *, store_fails: bool = False) -> None:
        self._at, self._store_fails = at, store_fails
        self.calls = 0
        self.happened = False

    async def __call__(self, where: str) -> None:
        number, self.calls = self.calls, self.calls + 1
        if self._store_fails:
            if number == self._at:
                self.happened = True
                raise Unavailable(Reason.STORE_UNAVAILABLE, f"{where} fails")
        elif number >= self._at:
            self.happened = True
            raise Died(where)
