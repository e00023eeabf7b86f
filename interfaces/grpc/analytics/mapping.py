"""Questions about revenue and their answers."""

from typing import Any

from billing_client.v1 import analytics_service_pb2 as pb
from billing_client.v1 import money_figures_pb2

from application.analytics.overview import Overview
from application.analytics.questions import Question
from application.analytics.rates import ImportedRates, ImportRates, RateRow
from application.analytics.use_cases import ChargeCounts, CurrencyVolume, GrossVolume
from application.requests.paging import Page
from domain.analytics import Bucket, Comparison
from domain.errors import FieldViolation
from domain.rates import Rate
from interfaces.grpc.analytics import parts, subscriber_parts
from interfaces.grpc.analytics.figures import (
    amount_message,
    base_message,
    missing_rates,
    ratio,
    so_far_message,
)
from interfaces.grpc.analytics.trust_mapping import trust_message
from interfaces.grpc.core.money import money_message
from interfaces.grpc.core.periods import period_message, read_granularity
from interfaces.grpc.core.timestamps import read_instant, timestamp_message


def read_question(request: Any, violations: list[FieldViolation]) -> Question:
    """What is asked: every question has the same fields, or some of them."""
    period, fields = request.period, request.DESCRIPTOR.fields_by_name
    granularity = request.granularity if "granularity" in fields else 0
    return Question(
        start=read_instant(period, "start_time", violations, path="period.start_time"),
        end=read_instant(period, "end_time", violations, path="period.end_time"),
        time_zone=period.time_zone,
        granularity=read_granularity(granularity, violations),
        currency=request.currency,
        base_total="base_total" in fields and request.base_total,
        as_of=read_instant(request, "as_of", violations) if "as_of" in fields else None,
    )


def overview_message(answer: Overview) -> pb.Overview:
    """All parts of one period."""
    missing = missing_rates(answer.gross.base, answer.net.base)
    return pb.Overview(
        trust=trust_message(answer.time.trust, missing_rates=missing),
        gross=gross_volume_message(answer.gross),
        net=parts.net_message(answer.net),
        payments=parts.payments_message(answer.payments),
        failures=parts.failures_message(answer.failures),
        split=parts.split_message(answer.split),
        refunds=parts.refunds_message(answer.refunds),
        disputes=parts.disputes_message(answer.disputes),
        payouts=parts.payouts_message(answer.payouts),
        mrr=subscriber_parts.mrr_message(answer.subscriptions.mrr),
        subscribers=subscriber_parts.subscribers_message(answer.subscriptions.subscribers),
        trials=subscriber_parts.trials_message(answer.subscriptions.trials),
        customers=subscriber_parts.customers_message(answer.subscriptions.customers),
    )


def gross_volume_message(answer: GrossVolume) -> pb.GrossVolume:
    """Gross volume, a part for each currency."""
    return pb.GrossVolume(
        trust=trust_message(
            answer.time.trust, currencies=answer.trusts, missing_rates=missing_rates(answer.base)
        ),
        period=period_message(answer.time.period),
        previous_period=period_message(answer.time.previous),
        previous_so_far=so_far_message(answer.time),
        currencies=[_currency(volume, answer) for volume in answer.currencies],
        base=base_message(answer.base),
        settled=[
            money_figures_pb2.SettledVolume(
                currency=settled.currency,
                volume=amount_message(settled.volume, settled.currency),
                provisional=money_message(settled.provisional, settled.currency),
            )
            for settled in answer.settled
        ],
    )


def charge_counts_message(answer: ChargeCounts) -> pb.ChargeCounts:
    """Numbers of charges."""
    series = zip(answer.time.buckets, answer.succeeded_series, answer.failed_series, strict=True)
    return pb.ChargeCounts(
        trust=trust_message(answer.time.trust),
        period=period_message(answer.time.period),
        previous_period=period_message(answer.time.previous),
        previous_so_far=so_far_message(answer.time),
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
        growth=ratio(volume.total.growth),
        buckets=[_volume(bucket, amount, count, code) for bucket, amount, count in series],
        previous_so_far=None if so_far is None else money_message(so_far, code),
        growth_so_far=ratio(volume.total.growth_so_far),
        provisional=money_message(volume.provisional, code),
    )


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
        growth=ratio(comparison.growth),
        previous_so_far=comparison.previous_so_far,
        growth_so_far=ratio(comparison.growth_so_far),
    )
