"""Deriving anew: where transactions tell about something else than a release before had it.

The rule is `domain.attribution`; what is stored of it follows from the mirrored transactions, so
they are gone through once a rule, and Stripe is not asked.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from application.background.checkpoints import Checkpoint, Checkpoints
from application.background.clock import Clock
from application.mirror.nouns import BALANCE_TRANSACTIONS, NOUN_BY_NAME
from application.mirror.ports import NEWEST_FIRST, Filter, Mirror
from application.requests.paging import Position
from domain.attribution import RULES, SETTLED, mistaken, settlement
from domain.balance_transactions import BalanceTransaction
from domain.mirror import Facet, Snapshot

TASK: Final = "deriving"
_ROWS: Final = 500
_MAX_PAGES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _State:
    """By which rules all is derived, or is being derived: then it goes on behind `after`."""

    rules: int = 0
    after: tuple[int, str] | None = None
    finished: bool = False


class Deriving:
    """Derives anew what an account's mirrored balance transactions tell about other rows."""

    def __init__(self, mirror: Mirror, checkpoints: Checkpoints, clock: Clock) -> None:
        self._mirror = mirror
        self._checkpoints = checkpoints
        self._clock = clock

    async def run(self, stripe_account: str) -> int:
        """Go through all transactions if they were derived by other rules; how many were looked at.

        Goes on where an earlier run has ended. What comes meanwhile is derived as it comes. Raises
        Conflict (REQUEST_IN_FLIGHT) where another process is at it, and what the mirror raises.
        """
        checkpoint = await self._checkpoints.load(stripe_account, TASK)
        state = msgspec.convert(checkpoint.state, _State)
        if state.rules != RULES:
            state = _State(RULES)
        looked_at = 0
        for _ in range(_MAX_PAGES):
            if state.finished:
                break
            after = None if state.after is None else Position(*state.after)
            page = await self._mirror.list(
                BALANCE_TRANSACTIONS,
                stripe_account,
                Filter(),
                order=NEWEST_FIRST,
                after=after,
                limit=_ROWS,
            )
            snapshots = [row.snapshot for row in page.rows if row.snapshot is not None]
            await self._derive(stripe_account, snapshots)
            looked_at += len(snapshots)
            state = _State(RULES, finished=True)
            if page.next is not None:
                state = _State(RULES, (int(page.next.value), page.next.id))
            checkpoint = await self._save(checkpoint, state)
        return looked_at

    async def _derive(
        self, stripe_account: str, snapshots: Sequence[Snapshot[BalanceTransaction]]
    ) -> None:
        facets: dict[str, list[Facet]] = defaultdict(list)
        told = {snapshot.id: snapshot for snapshot in snapshots}
        sources = sorted(
            {one.object.source for one in snapshots if one.object and one.object.source}
        )
        for name in SETTLED:
            rows: Any = await self._mirror.fetch(NOUN_BY_NAME[name], stripe_account, sources)
            facets[name] += [facet for row in rows.values() for facet in mistaken(name, row, told)]
        for snapshot in snapshots:
            if place := settlement(snapshot):
                facets[place[0]].append(place[1])
        for name, derived in facets.items():
            for start in range(0, len(derived), _ROWS):
                await self._mirror.derive(NOUN_BY_NAME[name], derived[start : start + _ROWS])

    async def _save(self, checkpoint: Checkpoint, state: _State) -> Checkpoint:
        told = replace(checkpoint, state=msgspec.to_builtins(state))
        return await self._checkpoints.save(told, now=self._clock.now())
