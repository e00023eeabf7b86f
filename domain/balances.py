"""Balances: what Stripe holds for an account, and what the mirrored transactions make of it.

Stripe tells the present balance alone, and an answer is true at some instant of an interval. So a
reading that agreed with the transactions is kept, and what comes later is added to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

SECOND_MS: Final = 1_000
HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Tie:
    """What is sure: transactions created before `before_ms` add up to `total` minor units."""

    before_ms: int
    total: int


@dataclass(frozen=True, slots=True)
class CurrencyReading:
    """A balance in one currency, in minor units.

    `instant_available` is a part of `available`; `reserved` of neither that nor of `pending`. The
    mappings hold the parts by source type. `tie` is that of the last reading that agreed.
    """

    currency: str
    available: int = 0
    pending: int = 0
    instant_available: int = 0
    reserved: int = 0
    available_by_source: Mapping[str, int] = field(default_factory=dict)
    pending_by_source: Mapping[str, int] = field(default_factory=dict)
    tie: Tie | None = None

    @property
    def total(self) -> int:
        """What the transactions of the balance add up to, as Stripe has it."""
        return self.available + self.pending


@dataclass(frozen=True, slots=True)
class BalanceReading:
    """A balance as it was at some instant from `start_ms` to `end_ms`, in Stripe's time."""

    start_ms: int
    end_ms: int
    currencies: tuple[CurrencyReading, ...]

    @property
    def hour(self) -> int:
        """The hour that it is of, in hours since 1970."""
        return self.start_ms // HOUR_MS

    @property
    def agrees(self) -> bool:
        """Whether every currency agreed with the transactions."""
        sure = self.certain_before_ms
        return all(one.tie is not None and one.tie.before_ms >= sure for one in self.currencies)

    @property
    def certain_before_ms(self) -> int:
        """What was created before this second was there when it was read, and is in it."""
        return self.start_ms // SECOND_MS * SECOND_MS - SECOND_MS

    def of(self, currency: str) -> CurrencyReading | None:
        """The part in one currency."""
        return next((one for one in self.currencies if one.currency == currency), None)


@dataclass(frozen=True, slots=True)
class Compared:
    """A reading in one currency beside the mirror: `mirrored`, added up from `since_ms` on.

    None: from the beginning. `difference` is None where it is not known. `reading` has the tie that
    follows.
    """

    reading: CurrencyReading
    mirrored: int
    since_ms: int | None
    difference: int | None


def compare(
    reading: CurrencyReading,
    before: Tie | None,
    *,
    certain_before_ms: int,
    certain: int,
    possible: Sequence[tuple[int, int]],
    complete: bool,
) -> Compared:
    """Compare a reading with the transactions that came since a tie.

    `certain` is the net of those from the tie to `certain_before_ms`; `possible` are those from
    then to the end of the reading, as (created, net): Stripe may have had the first ones only, in
    this order. `complete` says whether all of them were read. A reading agrees where it has one of
    those sums, and is the next tie. Where it lies between them nobody can say: of a second we know
    the transactions, and not which came first.
    """
    since = None if before is None else before.before_ms
    start = (0 if before is None else before.total) + certain
    sums = [start]
    for _, net in sorted(possible):
        sums.append(sums[-1] + net)
    if complete and reading.total in sums:
        tie = Tie(max(certain_before_ms, since or 0), start)
        return Compared(replace(reading, tie=tie), reading.total, since, 0)
    known = complete and not min(sums) < reading.total < max(sums)
    difference = reading.total - sums[-1] if known else None
    return Compared(replace(reading, tie=before), sums[-1], since, difference)
