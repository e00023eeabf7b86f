"""Anchors of balances: kept readings that all rows were read past, and the beginning."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from typing_extensions import override

from application.analytics.tie_out import RUN_UP, Anchors
from application.background.checkpoints import Checkpoints
from application.background.clock import Clock
from application.payouts.ports import BalanceReadings
from application.upkeep.backfill import Backfill
from application.upkeep.refresh_balance_transactions import TASK as TRANSACTIONS
from application.upkeep.watermark import WindowState
from domain.balances import BalanceReading
from domain.mirror import AHEAD_MS
from domain.periods import to_milliseconds
from domain.tie_out import BEGINNING, Anchor, anchor_of

_PAGE: Final = 1_000
_LONGEST_MS: Final = 60_000
"""A reading that took longer tells hardly when it was: it is passed over."""


class BalanceAnchors(Anchors):
    """The readings that a loop and callers keep, as far as balance transactions are known."""

    def __init__(
        self,
        readings: BalanceReadings,
        backfill: Backfill,
        checkpoints: Checkpoints,
        clock: Clock,
    ) -> None:
        self._readings = readings
        self._backfill = backfill
        self._checkpoints = checkpoints
        self._clock = clock

    @override
    async def around(self, stripe_account: str, start_ms: int, end_ms: int) -> Sequence[Anchor]:
        known_ms = await self.known_ms(stripe_account)
        before = _known(
            reversed(await self._readings.before(stripe_account, start_ms, limit=RUN_UP)), known_ms
        )
        within: list[BalanceReading] = []
        since = start_ms
        while page := await self._readings.between(stripe_account, since, end_ms + 1, limit=_PAGE):
            within += page
            since = page[-1].start_ms + 1
        # One that took too long is passed over, so a few.
        behind = await self._readings.between(stripe_account, end_ms + 1, known_ms, limit=RUN_UP)
        beginning = () if before else await self._beginning(stripe_account)
        anchors = (*beginning, *before, *_known(within, known_ms))
        return (*anchors, *_known(behind, known_ms)[:1])

    @override
    async def after(
        self, stripe_account: str, start_ms: int | None, *, limit: int
    ) -> Sequence[Anchor]:
        beginning = await self._beginning(stripe_account) if start_ms is None else ()
        since, known_ms = (start_ms or 0) + 1, await self.known_ms(stripe_account)
        while found := await self._readings.between(stripe_account, since, known_ms, limit=limit):
            if anchors := _known(found, known_ms):
                return (*beginning, *anchors)[:limit]
            since = found[-1].start_ms + 1
        return beginning

    async def _beginning(self, stripe_account: str) -> Sequence[Anchor]:
        return (BEGINNING,) if await self._backfill.has_ended(stripe_account) else ()

    async def known_ms(self, stripe_account: str) -> int:
        """Up to when all balance transactions are known, in Stripe's time; 0: nobody can say."""
        checkpoint = await self._checkpoints.load(stripe_account, TRANSACTIONS)
        through = msgspec.convert(checkpoint.state, WindowState).through_ms
        if through is None or through > to_milliseconds(self._clock.now()) + AHEAD_MS:
            return 0  # set by a `Date` that lied: the next listing begins anew
        return through


def _known(readings: Iterable[BalanceReading], known_ms: int) -> Sequence[Anchor]:
    """The readings that all rows were read past, and that did not take too long."""
    return [
        anchor_of(each)
        for each in readings
        if each.end_ms < known_ms and each.end_ms - each.start_ms <= _LONGEST_MS
    ]
