"""Periods and granularities."""

from collections.abc import Mapping
from typing import Final

from billing_client.v1 import period_pb2

from domain.errors import FieldViolation
from domain.periods import Granularity, Period
from interfaces.grpc.core.timestamps import timestamp_message

_GRANULARITIES: Final[Mapping[int, Granularity]] = {
    period_pb2.GRANULARITY_UNSPECIFIED: Granularity.DAY,
    period_pb2.GRANULARITY_HOUR: Granularity.HOUR,
    period_pb2.GRANULARITY_DAY: Granularity.DAY,
    period_pb2.GRANULARITY_WEEK: Granularity.WEEK,
    period_pb2.GRANULARITY_MONTH: Granularity.MONTH,
}


def period_message(period: Period) -> period_pb2.Period:
    """A period, with its time zone."""
    return period_pb2.Period(
        start_time=timestamp_message(period.start),
        end_time=timestamp_message(period.end),
        time_zone=period.time_zone,
    )


def read_granularity(value: int, violations: list[FieldViolation]) -> Granularity:
    """The granularity of an enum value; days where none is given."""
    if value not in _GRANULARITIES:
        violations.append(FieldViolation("granularity", "one of HOUR, DAY, WEEK, MONTH"))
    return _GRANULARITIES.get(value, Granularity.DAY)
