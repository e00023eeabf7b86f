"""Revenue questions, answered from the mirror."""

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from application.analytics.ports import Analytics, StatusRow, VolumeRow
from application.background.clock import Clock
from application.connections.use_cases import Connections
from application.requests.callers import Caller
from domain.analytics import FAILED, SUCCEEDED, Bucket, Comparison, buckets
from domain.errors import FieldViolation, InvalidArgument
from domain.money import CURRENCIES
from domain.periods import MAX_PERIOD, YEARS, Granularity, Period, edges, previous, zone_of


@dataclass(frozen=True, slots=True)
class Question:
    """What every question has. None and empty stand for what the caller left out."""

    start: dt.datetime | None
    end: dt.datetime | None
    time_zone: str
    granularity: Granularity = Granularity.DAY
    currency: str = ""


@dataclass(frozen=True, slots=True)
class CurrencyVolume:
    """Gross volume in one currency: `amounts` and `counts` hold a figure a bucket."""

    currency: str
    total: Comparison
    amounts: Sequence[int]
    counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class GrossVolume:
    """Gross volume of a period and the one before, per currency in order of its code."""

    period: Period
    previous: Period
    buckets: Sequence[Bucket]
    currencies: Sequence[CurrencyVolume]


@dataclass(frozen=True, slots=True)
class ChargeCounts:
    """Numbers of charges of a period and the one before; the series hold a figure a bucket."""

    period: Period
    previous: Period
    buckets: Sequence[Bucket]
    succeeded: Comparison
    failed: Comparison
    succeeded_series: Sequence[int]
    failed_series: Sequence[int]


class RevenueAnalytics:
    """Answers the questions of one connection.

    `violations` are those of reading the caller's input; they are refused with the rest.
    """

    def __init__(self, analytics: Analytics, connections: Connections, clock: Clock) -> None:
        self._analytics = analytics
        self._connections = connections
        self._clock = clock

    async def gross_volume(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> GrossVolume:
        """What was captured of charges that succeeded."""
        period, bucket_edges = _checked(question, violations)
        connection = await self._connections.of(caller)
        before = previous(period)
        currency = question.currency or None
        now_rows, before_rows = await asyncio.gather(
            self._analytics.gross_volume(connection.stripe_account, bucket_edges, currency),
            self._analytics.gross_volume(
                connection.stripe_account, (before.start, before.end), currency
            ),
        )
        return GrossVolume(
            period,
            before,
            buckets(bucket_edges, self._clock.now()),
            _volumes(now_rows, before_rows, len(bucket_edges) - 1, question.currency),
        )

    async def charge_counts(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> ChargeCounts:
        """How many charges succeeded and failed: attempts, not payments."""
        period, bucket_edges = _checked(question, violations)
        connection = await self._connections.of(caller)
        before = previous(period)
        currency = question.currency or None
        now_rows, before_rows = await asyncio.gather(
            self._analytics.charge_counts(
                connection.stripe_account, bucket_edges, currency, (SUCCEEDED, FAILED)
            ),
            self._analytics.charge_counts(
                connection.stripe_account, (before.start, before.end), currency,
                (SUCCEEDED, FAILED),
            ),
        )  # fmt: skip
        width = len(bucket_edges) - 1
        succeeded, failed = (_counts(now_rows, status, width) for status in (SUCCEEDED, FAILED))
        succeeded_before, failed_before = (
            sum(_counts(before_rows, status, 1)) for status in (SUCCEEDED, FAILED)
        )
        return ChargeCounts(
            period,
            before,
            buckets(bucket_edges, self._clock.now()),
            Comparison(sum(succeeded), succeeded_before),
            Comparison(sum(failed), failed_before),
            succeeded,
            failed,
        )


def _checked(
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
        rule = "a currency that Stripe knows, lower-case ISO 4217, such as usd"
        all_violations.append(FieldViolation("currency", rule))
    if all_violations or start is None or end is None:
        raise InvalidArgument(all_violations)
    period = Period(start, end, question.time_zone)
    try:
        return period, edges(period, question.granularity)
    except ValueError as error:
        rule = str(error).removeprefix("granularity: ")
        raise InvalidArgument([FieldViolation("granularity", rule)]) from None


def _volumes(
    now_rows: Sequence[VolumeRow], before_rows: Sequence[VolumeRow], width: int, currency: str
) -> list[CurrencyVolume]:
    amounts: dict[str, list[int]] = defaultdict(lambda: [0] * width)
    counts: dict[str, list[int]] = defaultdict(lambda: [0] * width)
    for row in now_rows:
        amounts[row.currency][row.bucket] += row.amount
        counts[row.currency][row.bucket] += row.count
    before: dict[str, int] = defaultdict(int)
    for row in before_rows:
        before[row.currency] += row.amount
    asked = {currency} if currency else set()
    return [
        CurrencyVolume(
            code, Comparison(sum(amounts[code]), before[code]), amounts[code], counts[code]
        )
        for code in sorted(amounts.keys() | before.keys() | asked)
    ]


def _counts(rows: Sequence[StatusRow], status: str, width: int) -> list[int]:
    series = [0] * width
    for row in rows:
        if row.status == status:
            series[row.bucket] += row.count
    return series
