"""What a process does first that has the store for itself."""

import logging

from application.background.clock import Clock
from application.background.takeover import Takeover
from application.operations.log import OperationLog

_log = logging.getLogger(__name__)


class TakingOver:
    """Takes over what processes that have ended still hold, so that nobody waits for its end.

    Only for a process that nothing else works beside on its store, and before it begins any work.
    Contacts' leases stay: they belong to mutations, which are carried on from here, not to
    processes.
    """

    def __init__(self, takeover: Takeover, operations: OperationLog, clock: Clock) -> None:
        self._takeover = takeover
        self._operations = operations
        self._clock = clock

    async def take_over(self) -> None:
        """Take it over. Raises Unavailable (STORE_UNAVAILABLE)."""
        ended = await self._takeover.end_leases(now=self._clock.now())
        self._operations.take_over()
        if ended:
            _log.info("what an ended process held was taken over", extra={"count": ended})
