"""Questions about figures: what callers ask, and what is wrong with it."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from application.analytics.ports import FigureRow
from application.analytics.trust import Trust
from domain.analytics import Bucket
from domain.errors import FieldViolation, InvalidArgument
from domain.money import CURRENCIES
from domain.periods import MAX_PERIOD, YEARS, Granularity, Period, edges, zone_of

CURRENCY_RULE: Final = "a currency that Stripe knows, lower-case ISO 4217, such as usd"


@dataclass(frozen=True, slots=True)
class Question:
    """What every question has. None and empty stand for what the caller left out.

    `as_of` is an instant of our clock, of questions of the ledger alone.
    """

    start: dt.datetime | None
    end: dt.datetime | None
    time_zone: str
    granularity: Granularity = Granularity.DAY
    currency: str = ""
    base_total: bool = False
    as_of: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """What every answer tells of the time that it is of.

    `so_far` is as much of `previous` as has passed of `period`; None unless that is running.
    `trust` is from before the figures were read.
    """

    period: Period
    previous: Period
    so_far: Period | None
    buckets: Sequence[Bucket]
    trust: Trust


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was checked: of whom, over which edges, compared with which stretch.

    `reads` holds what is read for it, by metric and currency: parts of one answer share it.
    """

    account: str
    stripe_account: str
    currency: str
    base_total: bool
    edges: Sequence[dt.datetime]
    time: Compared
    reads: dict[tuple[str, str], asyncio.Future[Any]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @property
    def as_of(self) -> dt.datetime | None:
        """The instant as of which figures are asked for; None: as they are known now."""
        return self.time.trust.as_of

    @property
    def edges_before(self) -> Sequence[dt.datetime]:
        """The period before, parted where as much of it has passed as of a running period."""
        parted = self.time.so_far
        middle = [] if parted is None or parted.end == self.time.previous.end else [parted.end]
        return (self.time.previous.start, *middle, self.time.previous.end)

    def codes(self, *parts: Sequence[FigureRow]) -> list[str]:
        """The currencies of an answer: those that occur, or the one asked for; in order."""
        codes = {row.currency for rows in parts for row in rows}
        return sorted(codes | ({self.currency} if self.currency else set()))


def checked(
    question: Question, violations: Sequence[FieldViolation]
) -> tuple[Period, Sequence[dt.datetime]]:
    """The period and its bucket edges, or InvalidArgument with every violation at once."""
    all_violations = [*violations]
    named = {violation.field for violation in violations}
    start, end = question.start, question.end
    for name, instant in (("start_time", start), ("end_time", end)):
        if instant is None:
            if f"period.{name}" not in named:
                all_violations.append(FieldViolation(f"period.{name}", "is required"))
        elif instant.year not in YEARS:
            all_violations.append(
                FieldViolation(f"period.{name}", f"years from {YEARS[0]} to {YEARS[-1]}")
            )
    if start is not None and end is not None:
        if end <= start:
            all_violations.append(FieldViolation("period.end_time", "must be after start_time"))
        elif end - start > MAX_PERIOD:
            rule = f"at most {MAX_PERIOD.days} days after start_time"
            all_violations.append(FieldViolation("period.end_time", rule))
    try:
        zone_of(question.time_zone)
    except ValueError as error:
        all_violations.append(FieldViolation("period.time_zone", str(error)))
    if question.currency and question.currency not in CURRENCIES:
        all_violations.append(FieldViolation("currency", CURRENCY_RULE))
    if all_violations or start is None or end is None:
        raise InvalidArgument(all_violations)
    period = Period(start, end, question.time_zone)
    try:
        return period, edges(period, question.granularity)
    except ValueError as error:
        rule = str(error).removeprefix("granularity: ")
        raise InvalidArgument([FieldViolation("granularity", rule)]) from None
