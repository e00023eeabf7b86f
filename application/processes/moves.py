"""The moves of one run: from stage to stage, or back, until it rests or waits."""

import asyncio
import datetime as dt
import logging
from dataclasses import replace
from typing import Final

from application.mutations.failures import is_definite
from application.processes.ports import Course
from application.processes.process import AnyProcess, Stuck, Waits
from application.processes.progress import (
    TRIES,
    entered,
    failed,
    turned_back,
    waited,
    went_on,
)
from application.processes.run import LeaseLost, ProcessRun
from domain.errors import BillingError, RateLimited, Reason

BOUND_SECONDS: Final = 80.0
"""How long one move may take, whoever waits for it."""

_log = logging.getLogger(__name__)


class Moves:
    """Moves one process under its lease."""

    def __init__(self, process: AnyProcess, run: ProcessRun) -> None:
        self._process = process
        self._run = run
        stages = process.stages
        self._stages: Final = stages
        self._pivot: Final = next((n for n, one in enumerate(stages) if one.pivot), len(stages))

    async def go_on(self) -> None:
        """Stage by stage, until it rests or waits, or something goes wrong."""
        self._run.progress = replace(self._run.progress, look_at=None)
        for _ in range(2 * len(self._stages) + 3):  # each way once, and to turn
            if self._run.progress.attention or not await self._moved():
                break
        look_at = self._run.progress.look_at
        if look_at is not None and look_at <= self._run.now():  # that is what was just done
            self._run.progress = replace(self._run.progress, look_at=None)

    async def _moved(self) -> bool:
        """One move; whether another may follow at once."""
        self._turn_where_settled()
        await self._save_a_turn()
        try:
            async with asyncio.timeout(BOUND_SECONDS):
                return await self._move()
        except Waits as waits:
            self._run.progress = waited(self._run.progress, waits.state, self._run.now())
            return self._run.progress.turning and self._may_turn()
        except Stuck as stuck:
            self._run.progress = replace(self._run.progress, tries=TRIES - 1, paused_until=None)
            return await self._failed(stuck.why)
        except TimeoutError:
            return await self._failed(Reason.STRIPE_UNAVAILABLE)
        except LeaseLost:
            raise  # the process is somebody else's
        except RateLimited as error:
            # Our own pace, and no fault of the process: it uses up none of its tries.
            wait = dt.timedelta(seconds=max(error.retry_after_seconds, 1))
            until = self._run.now() + wait
            self._run.progress = replace(
                self._run.progress, trouble=str(error.reason), paused_until=until
            )
            return False
        except BillingError as error:
            if error.reason is Reason.STORE_UNAVAILABLE:
                raise
            if is_definite(error) and self._refuses():
                if not self._run.progress.turning:
                    self._run.turn_back(error)
                if self._run.steps.is_settled:
                    self._turn()
                    return True
            return await self._failed(error.reason)
        except Exception:  # noqa: BLE001 - whatever it is, other processes go on
            _log.exception(
                "a process broke", extra={"kind": self._process.kind, "process_id": self._run.id}
            )
            return await self._failed("DEFECT")

    async def _move(self) -> bool:
        progress = self._run.progress
        match progress.course:
            case Course.FORWARD:
                stage = self._stages[progress.stage]
                await stage.do(self._run)
                self._arrive(progress.stage + 1)
            case Course.BACKWARD:
                if progress.stage >= 0:
                    undo = self._stages[progress.stage].undo
                    if undo is not None:
                        await undo(self._run)
                self._retreat(progress.stage - 1)
            case Course.COMPLETED | Course.TAKEN_BACK:
                await self._process.tend(self._run)
                self._run.progress = went_on(self._run.progress, self._run.progress.stage)
                return False
        return True

    def _arrive(self, stage: int) -> None:
        progress = went_on(self._run.progress, stage)
        if stage == len(self._stages):
            progress = replace(progress, course=Course.COMPLETED, look_at=None)
        state = self._stages[stage].state if stage < len(self._stages) else self._process.completed
        self._run.progress = entered(progress, state, self._run.now())

    def _retreat(self, stage: int) -> None:
        progress = went_on(self._run.progress, max(stage, -1))
        if stage < 0:
            progress = replace(progress, course=Course.TAKEN_BACK, look_at=None)
            failure = self._run.failure
            state = self._process.taken_back if failure is None else self._process.ended(failure)
            progress = entered(progress, state, self._run.now())
        self._run.progress = progress

    def _turn_where_settled(self) -> None:
        """Turn back as is wanted, unless an unknown outcome keeps it, or the pivot."""
        progress = self._run.progress
        if not progress.turning:
            return
        if progress.course is not Course.FORWARD or progress.stage > self._pivot:
            self._run.progress = replace(progress, turning=False, failure=None)  # it came too late
        elif self._may_turn():
            self._turn()

    def _turn(self) -> None:
        why = str(self._run.failure.reason) if self._run.failure else ""
        self._run.progress = turned_back(
            self._run.progress, self._process.compensating, self._run.now(), why
        )

    async def _save_a_turn(self) -> None:
        """Which way it goes is durable before anything is done on it."""
        if self._run.progress.course is Course.BACKWARD is not self._run.stored.course:
            await self._run.save()

    async def _failed(self, why: str) -> bool:
        """Count a try; the last one is told to people before it is stored."""
        progress = failed(self._run.progress, str(why), self._run.now())
        if progress.attention:
            _log.error(
                "a process needs attention",
                extra={
                    "kind": self._process.kind,
                    "process_id": self._run.id,
                    "reason": progress.attention,
                },
            )
            try:
                await self._process.attention(self._run)
            except Exception:  # noqa: BLE001 - the last try is tried again, and told again
                _log.exception("nobody was told", extra={"process_id": self._run.id})
                before = replace(self._run.progress, tries=TRIES - 2)
                progress = failed(before, str(why), self._run.now())
        self._run.progress = progress
        return False

    def _refuses(self) -> bool:
        """Whether a refusal of the stage in hand turns it back: up to the pivot itself."""
        progress = self._run.progress
        return progress.course is Course.FORWARD and progress.stage <= self._pivot

    def _may_turn(self) -> bool:
        """Whether it may turn back without asking the stage in hand: that is not the pivot.

        The pivot may be done, and nobody has written that down yet.
        """
        progress = self._run.progress
        before_the_pivot = progress.course is Course.FORWARD and progress.stage < self._pivot
        return before_the_pivot and self._run.steps.is_settled
