"""Sums of facts as figures: of the period asked for, of the one before, and a bucket."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from application.analytics.asking import Series as Figure
from application.analytics.fact_figures import BEFORE, FactFigures, FactSum
from application.analytics.questions import Asked
from domain.analytics import Comparison
from domain.facts import Series
from domain.mrr import MOVEMENTS


@dataclass(frozen=True, slots=True)
class FactSums:
    """The sums of a series: of the period asked for, and of the one before."""

    asked: Asked
    now: Sequence[FactSum]
    before: Sequence[FactSum]

    def where(self, keep: Callable[[FactSum], bool]) -> "FactSums":
        return replace(
            self, now=list(filter(keep, self.now)), before=list(filter(keep, self.before))
        )

    def of(self, kind: str) -> "FactSums":
        return self.where(lambda row: row.kind == kind)

    @property
    def moved(self) -> "FactSums":
        return self.where(lambda row: row.kind in MOVEMENTS)

    @property
    def figure(self) -> Figure:
        """How many: in all, in the period before, and a bucket."""
        counts = [0] * (len(self.asked.edges) - 1)
        for row in self.now:
            if row.bucket != BEFORE:
                counts[row.bucket] += row.count
        earlier = [row for row in self.before if row.bucket != BEFORE]
        so_far = None
        if self.asked.time.so_far is not None:
            so_far = sum(row.count for row in earlier if row.bucket == 0)
        return Figure(Comparison(sum(counts), sum(row.count for row in earlier), so_far), counts)


async def sums_of(
    facts: FactFigures, asked: Asked, series: Series, *, opening: bool = False
) -> FactSums:
    """The sums of a series; `opening` adds those of all that was before, in bucket BEFORE."""
    now, before = await asyncio.gather(
        *(
            facts.sums(
                asked.stripe_account, series, edges, opening=opening, known_by=asked.as_of
            )
            for edges in (asked.edges, asked.edges_before)
        )
    )  # fmt: skip
    return FactSums(asked, now, before)
