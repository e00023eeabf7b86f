"""What falls due: billing cycles, payouts, late captures. Moving the clock runs it in order."""

import logging
from collections.abc import Callable
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, TypeAlias

from sandbox.emulator.core.call import Call
from sandbox.emulator.core.errors import ApiError
from sandbox.emulator.core.values import Scope

if TYPE_CHECKING:
    from sandbox.emulator.core.world import World

Run: TypeAlias = Callable[[Call], object]

MOST_DUE: Final = 500
"""What one call runs, so that no request waits for the whole of a long move."""

_LOG: Final = logging.getLogger("sandbox.emulator")


class Schedule:
    """Jobs by their instant; those of one instant run in the order in which they were added.

    A job runs with the clock held at its instant, so what it makes is created then. It concerns
    one object; when that is gone by then, nothing happens. There is no way to cancel a job: it
    looks whether its object still wants it.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self._jobs: list[tuple[int, int, Scope, str, str, Run]] = []
        self._added = 0
        self._running = False

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, instant: int, scope: Scope, noun: str, identifier: str, run: Run) -> None:
        """Let `run` happen to an object at `instant`; an empty id names none."""
        self._added += 1
        heappush(self._jobs, (instant, self._added, scope, noun, identifier, run))

    def run_due(self) -> bool:
        """Run what is due, MOST_DUE jobs at most; whether more is due."""
        if self._running:
            return False
        now = self._world.clock.now()
        self._running = True
        try:
            for _ in range(MOST_DUE):
                if not self._jobs or self._jobs[0][0] > now:
                    return False
                self._run_first()
        finally:
            self._running = False
        return bool(self._jobs) and self._jobs[0][0] <= now

    def _run_first(self) -> None:
        instant, _, scope, noun, identifier, run = heappop(self._jobs)
        world = self._world
        call = Call(world, scope, world.nouns.named(noun), {}, identifier)
        if identifier and call.shelf(noun).get(identifier) is None:
            return
        try:
            with world.clock.held(instant):
                run(call)
        except ApiError as error:
            # Nobody asked, so nobody hears of it: a cycle that cannot be billed, say.
            _LOG.warning("%s %s could not be done when it fell due: %s", noun, identifier, error)
