"""Deriving anew: where rows tell about others something else than a release before had it.

The rules are `domain.attribution` and `domain.attempts`; what is stored of them follows from the
mirrored transactions and charges, so they are gone through once a rule, and Stripe is not asked.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from application.background.checkpoints import Checkpoint, Checkpoints
from application.background.clock import Clock
from application.mirror.enrichment import Enrichment
from application.mirror.nouns import BALANCE_TRANSACTIONS, CHARGES, NOUN_BY_NAME
from application.mirror.ports import NEWEST_FIRST, Filter, Mirror, Noun
from application.requests.paging import Position
from domain.attribution import RULES, SETTLED, mistaken, told_by
from domain.balance_transactions import BalanceTransaction
from domain.mirror import Facet, Snapshot

TASK: Final = "deriving"
_ROWS: Final = 500
_MAX_PAGES: Final = 1_000_000
_TELLING: Final[tuple[Noun[Any], ...]] = (BALANCE_TRANSACTIONS, CHARGES)


@dataclass(frozen=True, slots=True)
class _State:
    """By which rules all is derived, or is being derived: then it goes on behind `after`.

    `noun` is the place of the noun in `_TELLING` that is gone through.
    """

    rules: int = 0
    after: tuple[int, str] | None = None
    finished: bool = False
    noun: int = 0


class Deriving:
    """Derives anew what an account's mirrored transactions and charges tell about other rows."""

    def __init__(self, mirror: Mirror, checkpoints: Checkpoints, clock: Clock) -> None:
        self._mirror = mirror
        self._enrichment = Enrichment(mirror)
        self._checkpoints = checkpoints
        self._clock = clock

    async def run(self, stripe_account: str) -> int:
        """Go through all rows that tell, if they were derived by other rules; how many they were.

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
            noun = _TELLING[state.noun]
            page = await self._mirror.list(
                noun,
                stripe_account,
                Filter(),
                order=NEWEST_FIRST,
                after=after,
                limit=_ROWS,
            )
            snapshots = [row.snapshot for row in page.rows if row.snapshot is not None]
            if noun is BALANCE_TRANSACTIONS:
                await self._derive(stripe_account, snapshots)
            else:
                await self._enrichment.after(noun, snapshots)
            looked_at += len(snapshots)
            if page.next is not None:
                state = _State(RULES, (int(page.next.value), page.next.id), noun=state.noun)
            elif state.noun + 1 < len(_TELLING):
                state = _State(RULES, noun=state.noun + 1)
            else:
                state = _State(RULES, finished=True)
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
            for name, facet in told_by(snapshot):
                facets[name].append(facet)
        for name, derived in facets.items():
            for start in range(0, len(derived), _ROWS):
                await self._mirror.derive(NOUN_BY_NAME[name], derived[start : start + _ROWS])

    async def _save(self, checkpoint: Checkpoint, state: _State) -> Checkpoint:
        told = replace(checkpoint, state=msgspec.to_builtins(state))
        return await self._checkpoints.save(told, now=self._clock.now())
