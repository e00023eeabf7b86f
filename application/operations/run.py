"""One operation in the hands of this process: its work, its signs of life, and its end."""

import asyncio
import datetime as dt
import logging
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from application.background.clock import Clock
from application.background.outages import Outage
from application.background.retries import Sleep, hear_waits
from application.operations.log import Kept, OperationLog
from application.operations.work import Work
from domain.back_off import BackOff
from domain.errors import BillingError, Conflict, RateLimited, Reason, Unavailable
from domain.operations import Operation, OperationState

SAVE_SECONDS: Final = 2.0
"""How often a running operation is saved: its sign of life, and what other processes see of it."""

FIRST_PAUSE_SECONDS: Final = 5.0
LAST_PAUSE_SECONDS: Final = 600.0
_PAUSES: Final = BackOff(FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS)
ELSEWHERE_SECONDS: Final = 60.0
"""How long to keep away from work that another one is at."""

_SAVES: Final = 3

_log = logging.getLogger(__name__)


class Lost(Exception):
    """The operation is another one's now, or is ended. `now` is what was found in its place."""

    def __init__(self, now: Operation | None) -> None:
        super().__init__("the operation was taken")
        self.now = now


class OperationRun:
    """Carries an operation out: nobody else does as long as it is saved every minute.

    What Stripe or the store refuses for now is tried again, with a growing pause and for as long as
    it takes; only what no waiting can mend ends an operation as FAILED.
    """

    def __init__(
        self,
        kept: Kept,
        log: OperationLog,
        work: Work,
        clock: Clock,
        *,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`kept` bears the owner that stands for this run."""
        self.operation = kept.operation
        self.owner = kept.operation.owner
        self._kept = kept
        self._log = log
        self._work = work
        self._clock = clock
        self._sleep = sleep
        self._saving = asyncio.Lock()
        self._waiting = Outage(_log, "an operation waits", "an operation goes on")

    async def carry_out(self) -> None:
        """Work to the end. Cut off, it stops at once, and whoever saves it next goes on there."""
        working = asyncio.ensure_future(self._finish())
        try:
            while not await self._is_over(working):
                await self._save_if_possible()
            ended = working.result()
            await self._tidy()
            while not await self._save_if_possible(ended):
                await self._sleep(SAVE_SECONDS)
            self.operation = ended
        except Lost as lost:
            await _stopped(working)
            if lost.now is not None and lost.now.state is OperationState.CANCELLED:
                await self._tidy()
        finally:
            await _stopped(working)

    async def give_back(self) -> None:
        """Free the operation for anybody, at once. Only after `carry_out` was cut off."""
        if self.operation.ended:
            return
        try:
            await self._save(self.operation.given_back())
        except (Lost, BillingError):
            return  # it is no longer ours, or will be free when its last sign of life is old

    async def _finish(self) -> Operation:
        """Try until the end is known; the operation as it then is."""
        hear_waits(self._hear)
        retries, elsewhere = 0, False
        while True:
            before = self.operation.progress
            try:
                if elsewhere and await self._log.is_elsewhere(self.operation):
                    raise Conflict(
                        Reason.REQUEST_IN_FLIGHT, "the same work is being done elsewhere"
                    )
                return await self._attempt()
            except (Unavailable, RateLimited, Conflict) as error:
                elsewhere = error.reason is Reason.REQUEST_IN_FLIGHT
                if self.operation.progress != before:
                    retries = 0
                    self._waiting.answered(**self._who())
                pause = ELSEWHERE_SECONDS if elsewhere else _PAUSES.longest(retries)
                await self._wait(error, pause)
                retries += 1
            except BillingError as error:
                return self.operation.failed(error.reason, error.message, self._clock.now())
            except Lost:
                raise
            except Exception:  # noqa: BLE001 - whatever it is, the operation ends and says so
                _log.exception("an operation failed", extra=self._who())
                words = "a defect in Billing; the log tells more"
                return self.operation.failed(Reason.INTERNAL, words, self._clock.now())

    async def _attempt(self) -> Operation:
        """Work from where it stands to the end."""
        if not self.operation.prepared:
            await self._work.prepare(self.operation)
            self.operation = replace(self.operation, prepared=True)
            await self._save()
        report_id = await self._work.report(self.operation)
        if not report_id:
            async with aclosing(self._work.steps(self.operation)) as steps:
                async for step in steps:
                    self.operation = self.operation.advanced(step.progress)
                    report_id = step.report_id
        return self.operation.succeeded(report_id, self._clock.now())

    async def _wait(self, error: BillingError, seconds: float) -> None:
        if isinstance(error, RateLimited):
            seconds = max(seconds, error.retry_after_seconds)
        self._hear(error, seconds)
        self._waiting.waits(error, **self._who())
        await self._sleep(seconds)

    def _hear(self, error: BillingError, seconds: float) -> None:
        """Let the operation say for what it waits, from the first try that was refused on."""
        until = self._clock.now() + dt.timedelta(seconds=seconds)
        self.operation = self.operation.waiting(error.reason, error.message, until)

    async def _is_over(self, working: "asyncio.Future[Operation]") -> bool:
        """Wait until the next sign of life is due, or the work is over; whether it is."""
        resting: asyncio.Future[Any] = asyncio.ensure_future(self._sleep(SAVE_SECONDS))
        try:
            await asyncio.wait([working, resting], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _stopped(resting)
        return working.done()

    async def _save_if_possible(self, ended: Operation | None = None) -> bool:
        """Save; whether the store took it. Raises Lost."""
        try:
            await self._save(ended)
        except (Unavailable, RateLimited):
            return False
        return True

    async def _save(self, changed: Operation | None = None) -> None:
        """Save the operation as it is, or as it is to be. Raises Lost, and what the store raises.

        Lost is whoever finds that another owner, or an end, was saved meanwhile.
        """
        async with self._saving:
            for _ in range(_SAVES):
                operation = changed or self.operation
                try:
                    self._kept = await self._log.save(operation, self._kept)
                except Conflict:
                    found = await self._log.find(operation.stripe_account, operation.kind)
                    if found is None or found.operation.owner != self.owner:
                        raise Lost(found.operation if found else None) from None
                    self._kept = found  # our own save, whose answer was lost
                else:
                    return
            raise Unavailable(Reason.STORE_UNAVAILABLE, "the store does not keep the operation")

    async def _tidy(self) -> None:
        try:
            await self._work.tidy(self.operation)
        except BillingError as error:  # the next operation of its kind removes it
            told = {**self._who(), "error": error.message}
            _log.warning("an operation has left something behind", extra=told)

    def _who(self) -> dict[str, str]:
        return {"stripe_account": self.operation.stripe_account, "kind": self.operation.kind}


async def _stopped(future: "asyncio.Future[Any]") -> None:
    """Cancel what still runs, and wait until it has ended."""
    future.cancel()
    await asyncio.gather(future, return_exceptions=True)
