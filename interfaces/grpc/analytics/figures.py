"""Figures that all answers share: timelines, comparisons, series."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from billing_client.v1 import figures_pb2 as pb
from billing_client.v1 import period_pb2

from application.analytics.asking import BaseVolume, Series
from application.analytics.questions import Compared
from interfaces.grpc.core.money import money_message
from interfaces.grpc.core.periods import period_message
from interfaces.grpc.core.timestamps import timestamp_message


def timeline_message(time: Compared) -> pb.Timeline:
    """The time that an answer is of."""
    return pb.Timeline(
        period=period_message(time.period),
        previous_period=period_message(time.previous),
        previous_so_far=so_far_message(time),
        buckets=[
            pb.TimeBucket(
                start_time=timestamp_message(bucket.start),
                end_time=timestamp_message(bucket.end),
                partial=bucket.partial,
            )
            for bucket in time.buckets
        ],
    )


def so_far_message(time: Compared) -> period_pb2.Period | None:
    """As much of the period before as has passed of this one, if it runs."""
    return None if time.so_far is None else period_message(time.so_far)


def amount_message(series: Series, currency: str) -> pb.AmountFigure:
    """An amount of a currency."""
    total, so_far = series.total, series.total.previous_so_far
    return pb.AmountFigure(
        current=money_message(total.current, currency),
        previous=money_message(total.previous, currency),
        growth=ratio(total.growth),
        previous_so_far=None if so_far is None else money_message(so_far, currency),
        growth_so_far=ratio(total.growth_so_far),
        amounts=series.values,
    )


def count_message(series: Series) -> pb.CountFigure:
    """A number of things."""
    total = series.total
    return pb.CountFigure(
        current=total.current,
        previous=total.previous,
        growth=ratio(total.growth),
        previous_so_far=total.previous_so_far,
        growth_so_far=ratio(total.growth_so_far),
        counts=series.values,
    )


def named_amounts(parts: Mapping[str, Series], currency: str) -> list[pb.NamedAmount]:
    """Parts of an amount, in their order."""
    return [
        pb.NamedAmount(name=name, amount=amount_message(series, currency))
        for name, series in parts.items()
    ]


def named_counts(parts: Mapping[str, Series]) -> list[pb.NamedCount]:
    """Parts of a number, in their order."""
    return [pb.NamedCount(name=name, count=count_message(series)) for name, series in parts.items()]


def base_message(volume: BaseVolume | None) -> pb.BaseVolume | None:
    """A total in the base currency, if it was asked for."""
    if volume is None:
        return None
    code = volume.currency
    return pb.BaseVolume(
        currency=code,
        current=None if volume.total is None else money_message(volume.total, code),
        previous=None if volume.previous is None else money_message(volume.previous, code),
        growth=ratio(volume.growth),
        missing_currencies=volume.missing,
        previous_missing_currencies=volume.previous_missing,
        amounts=[money_message(amount, code) for amount in volume.amounts],
    )


def missing_rates(*volumes: BaseVolume | None) -> Sequence[str]:
    """The currencies that lack a rate for a total that was asked for."""
    return [
        code
        for volume in volumes
        if volume is not None
        for code in (*volume.missing, *volume.previous_missing)
    ]


def ratio(value: Fraction | None) -> float | None:
    """A ratio for people to read: the only float in an answer."""
    return None if value is None else float(value)
