"""What falls due: billing cycles, payouts, late captures. Moving the clock runs it in order."""

import logging
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final, Generic, TypeAlias, TypeVar

from sandbox.emulator.core.clock import Clock
from sandbox.emulator.core.errors import ApiError
from sandbox.emulator.core.store import Store
from sandbox.emulator.core.values import Scope

C = TypeVar("C")
"""The call that a job runs in."""

Job: TypeAlias = Callable[[C], object]
Begin: TypeAlias = Callable[[Scope, str, str], C]
"""Begins a call on an object: (scope, noun, id)."""

MOST_DUE: Final = 500
"""What one call runs, so that no request waits for the whole of a long move."""

_LOG: Final = logging.getLogger("sandbox.emulator")


class Schedule(Generic[C]):
    """Jobs by their instant; those of one instant run in the order in which they were added.

    A job runs with the clock held at its instant, so what it makes is created then. It concerns
    one object; when that is gone by then, nothing happens. There is no way to cancel a job: it
    looks whether its object still wants it.
    """

    def __init__(self, clock: Clock, store: Store, begin: Begin[C]) -> None:
        self._clock = clock
        self._store = store
        self._begin = begin
        self._jobs: list[tuple[int, int, Scope, str, str, Job[C]]] = []
        self._added = 0
        self._running = False

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, instant: int, scope: Scope, noun: str, identifier: str, run: Job[C]) -> None:
        """Let `run` happen to an object at `instant`; an empty id names none."""
        self._added += 1
        heappush(self._jobs, (instant, self._added, scope, noun, identifier, run))

    def run_due(self) -> bool:
        """Run what is due, MOST_DUE jobs at most; whether more is due."""
        if self._running:
            return False
        now = self._clock.now()
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
        if identifier and self._store.shelf(scope, noun).get(identifier) is None:
            return
        try:
            with self._clock.held(instant):
                run(self._begin(scope, noun, identifier))
        except ApiError as error:
            # Nobody asked, so nobody hears of it: a cycle that cannot be billed, say.
            _LOG.warning("%s %s could not be done when it fell due: %s", noun, identifier, error)
