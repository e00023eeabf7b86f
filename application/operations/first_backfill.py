"""The first backfill of a Stripe account: it begins by itself once the account is connected."""

import asyncio
from typing import Final
from uuid import uuid4

from typing_extensions import override

from application.background.clock import Clock
from application.connections.ports import FirstBackfill
from application.operations.log import OperationLog
from domain.errors import Conflict
from domain.operations import (
    ID_CHARACTERS,
    Operation,
    OperationKind,
    OperationOptions,
    OperationState,
)

_GOOD: Final = (OperationState.PENDING, OperationState.RUNNING, OperationState.SUCCEEDED)


class RequestedBackfill(FirstBackfill):
    """Leaves a backfill as an operation that waits, to whichever process has room for it.

    After one that has ended well nothing is read again: what has happened since, catch-up brings.
    One that failed, or was cancelled, was of an earlier connection.
    """

    def __init__(self, log: OperationLog, clock: Clock, wake: asyncio.Event) -> None:
        """`wake` tells this process, if it serves, that an operation waits."""
        self._log = log
        self._clock = clock
        self._wake = wake

    @override
    async def request(self, stripe_account: str) -> None:
        kept = await self._log.find(stripe_account, OperationKind.BACKFILL)
        if kept is None or kept.operation.state not in _GOOD:
            id_, now = uuid4().hex[:ID_CHARACTERS], self._clock.now()
            waiting = Operation(
                id_, stripe_account, OperationKind.BACKFILL, OperationOptions(), now
            )
            try:
                await self._log.save(waiting, kept)
            except Conflict:
                return  # somebody else has begun one
        self._wake.set()
