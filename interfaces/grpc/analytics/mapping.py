"""Questions about revenue and their answers."""

from collections.abc import Sequence
from fractions import Fraction

from billing_client.v1 import analytics_service_pb2 as pb
from billing_client.v1 import period_pb2

from application.analytics.rates import ImportedRates, ImportRates, RateRow
from application.analytics.use_cases import (
    BaseVolume,
    ChargeCounts,
    Compared,
    CurrencyVolume,
    GrossVolume,
    Question,
)
from application.requests.paging import Page
from domain.analytics import Bucket, Comparison
from domain.errors import FieldViolation
from domain.rates import Rate
from interfaces.grpc.analytics.trust_mapping import trust_message
from interfaces.grpc.core.money import money_message
from interfaces.grpc.core.periods import period_message, read_granularity
from interfaces.grpc.core.timestamps import read_instant, timestamp_message


def read_question(
    request: pb.GetGrossVolumeRequest | pb.GetChargeCountsRequest, violations: list[FieldViolation]
) -> Question:
    """What is asked: every question has the same fields."""
    period = request.period
    return Question(
        start=read_instant(period, "start_time", violations, path="period.start_time"),
        end=read_instant(period, "end_time", violations, path="period.end_time"),
        time_zone=period.time_zone,
        granularity=read_granularity(request.granularity, violations),
        currency=request.currency,
        base_total=isinstance(request, pb.GetGrossVolumeRequest) and request.base_total,
    )


def gross_volume_message(answer: GrossVolume) -> pb.GrossVolume:
    """Gross volume, a part for each currency."""
    return pb.GrossVolume(
        period=period_message(answer.time.period),
        previous_period=period_message(answer.time.previous),
        previous_so_far=_so_far(answer.time),
        currencies=[_currency(volume, answer) for volume in answer.currencies],
        base=None if answer.base is None else _base(answer.base),
        trust=trust_message(answer.time.trust, missing_rates=_missing(answer.base)),
    )


def charge_counts_message(answer: ChargeCounts) -> pb.ChargeCounts:
    """Numbers of charges."""
    series = zip(answer.time.buckets, answer.succeeded_series, answer.failed_series, strict=True)
    return pb.ChargeCounts(
        period=period_message(answer.time.period),
        previous_period=period_message(answer.time.previous),
        previous_so_far=_so_far(answer.time),
        trust=trust_message(answer.time.trust),
        succeeded=_count(answer.succeeded),
        failed=_count(answer.failed),
        buckets=[
            pb.ChargeCountBucket(
                start_time=timestamp_message(bucket.start),
                end_time=timestamp_message(bucket.end),
                succeeded=succeeded,
                failed=failed,
                partial=bucket.partial,
            )
            for bucket, succeeded, failed in series
        ],
    )


def read_rates(request: pb.ImportRatesRequest) -> ImportRates:
    """The rates to keep, as the caller wrote them."""
    rows = [RateRow(row.date, row.currency, row.rate) for row in request.rows]
    return ImportRates(rows, request.base_currency, request.validate_only)


def imported_message(imported: ImportedRates) -> pb.ImportRatesResponse:
    """What became of the rows."""
    return pb.ImportRatesResponse(
        base_currency=imported.base_currency,
        written_count=imported.written,
        known_count=imported.known,
    )


def rates_message(page: Page[Rate], base_currency: str) -> pb.ListRatesResponse:
    """A page of rates."""
    rates = [
        pb.Rate(date=rate.date.isoformat(), currency=rate.currency, rate=rate.rate)
        for rate in page.items
    ]
    return pb.ListRatesResponse(
        base_currency=base_currency, rates=rates, next_page_token=page.next_page_token
    )


def _currency(volume: CurrencyVolume, answer: GrossVolume) -> pb.CurrencyVolume:
    code, so_far = volume.currency, volume.total.previous_so_far
    series = zip(answer.time.buckets, volume.amounts, volume.counts, strict=True)
    return pb.CurrencyVolume(
        currency=code,
        current=money_message(volume.total.current, code),
        previous=money_message(volume.total.previous, code),
        growth=_growth(volume.total.growth),
        buckets=[_volume(bucket, amount, count, code) for bucket, amount, count in series],
        previous_so_far=None if so_far is None else money_message(so_far, code),
        growth_so_far=_growth(volume.total.growth_so_far),
    )


def _base(volume: BaseVolume) -> pb.BaseVolume:
    code = volume.currency
    return pb.BaseVolume(
        currency=code,
        current=None if volume.total is None else money_message(volume.total, code),
        previous=None if volume.previous is None else money_message(volume.previous, code),
        growth=_growth(volume.growth),
        missing_currencies=volume.missing,
        previous_missing_currencies=volume.previous_missing,
        amounts=[money_message(amount, code) for amount in volume.amounts],
    )


def _missing(volume: BaseVolume | None) -> Sequence[str]:
    return () if volume is None else (*volume.missing, *volume.previous_missing)


def _volume(bucket: Bucket, amount: int, count: int, currency: str) -> pb.VolumeBucket:
    return pb.VolumeBucket(
        start_time=timestamp_message(bucket.start),
        end_time=timestamp_message(bucket.end),
        amount=money_message(amount, currency),
        charge_count=count,
        partial=bucket.partial,
    )


def _count(comparison: Comparison) -> pb.CountComparison:
    return pb.CountComparison(
        current=comparison.current,
        previous=comparison.previous,
        growth=_growth(comparison.growth),
        previous_so_far=comparison.previous_so_far,
        growth_so_far=_growth(comparison.growth_so_far),
    )


def _so_far(time: Compared) -> period_pb2.Period | None:
    return None if time.so_far is None else period_message(time.so_far)


def _growth(growth: Fraction | None) -> float | None:
    """A ratio for people to read: the only float in an answer."""
    return None if growth is None else float(growth)
