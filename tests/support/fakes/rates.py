"""Exchange rates, in memory."""

import datetime as dt
from collections.abc import Sequence

from typing_extensions import override

from application.analytics.ports import Rates
from domain.rates import Place, Rate


class FakeRates(Rates):
    """Rates in a dictionary. `between` are written by somebody else just before the next are."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str, Place], Rate] = {}
        self.between: list[tuple[str, str, Rate]] = []

    @override
    async def standing(self, account: str, base: str, places: Sequence[Place]) -> Sequence[Rate]:
        keys = [(account, base, place) for place in places]
        return [self.kept[key] for key in keys if key in self.kept]

    @override
    async def add(self, account: str, base: str, rates: Sequence[Rate]) -> None:
        for of, in_, rate in (*self.between, *((account, base, rate) for rate in rates)):
            self.kept.setdefault((of, in_, rate.place), rate)
        self.between.clear()

    @override
    async def list(
        self, account: str, base: str, currency: str | None, *, after: Place | None, limit: int
    ) -> Sequence[Rate]:
        found = {
            (rate.currency, rate.date): rate
            for (of, in_, _), rate in self.kept.items()
            if (of, in_) == (account, base) and currency in (None, rate.currency)
        }
        start = None if after is None else (after[1], after[0])
        return [found[place] for place in sorted(found) if start is None or place > start][:limit]

    @override
    async def find(
        self, account: str, base: str, currencies: Sequence[str], first: dt.date, last: dt.date
    ) -> Sequence[Rate]:
        return [
            rate
            for (of, in_, _), rate in self.kept.items()
            if (of, in_) == (account, base)
            and rate.currency in currencies
            and first <= rate.date <= last
        ]
