"""Trust in replies, restatements and explained figures as messages."""

import datetime as dt
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final

from billing_client.v1 import analytics_service_pb2 as pb
from billing_client.v1 import trust_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from application.analytics.explanation import ExplainFigure, Explanation
from application.analytics.restatements import Cause, LedgerEntry, Restatement
from application.analytics.trust import BucketTrust, CurrencyTrust, Trust
from application.requests.paging import Page
from domain.errors import FieldViolation
from interfaces.grpc.core.money import money_message
from interfaces.grpc.core.timestamps import read_instant, timestamp_message

_CAUSES: Final[Mapping[Cause, pb.RestatementCause.ValueType]] = {
    Cause.LATE: pb.RESTATEMENT_CAUSE_LATE,
    Cause.CHANGED: pb.RESTATEMENT_CAUSE_CHANGED,
    Cause.REMOVED: pb.RESTATEMENT_CAUSE_REMOVED,
}


def trust_message(
    trust: Trust, *, currencies: Iterable[CurrencyTrust] = (), missing_rates: Iterable[str] = ()
) -> trust_pb2.Trust:
    """What every reply tells beside its figures; of its figures, and rates that are missing."""
    standing = trust.standing
    return trust_pb2.Trust(
        time_zone=trust.time_zone,
        data_through=_instant(standing.data_through),
        closed_through=_instant(standing.closed_through),
        dead_letter_count=standing.dead_letters,
        history_importing=standing.importing,
        history_start_time=_instant(standing.history_start),
        as_of=_instant(trust.as_of),
        currencies=[_currency(each) for each in currencies],
        missing_rate_currencies=sorted({*missing_rates}),
    )


def bucket_trust_message(trust: BucketTrust, currency: str) -> trust_pb2.BucketTrust:
    """Whether a bucket's figure, in a currency, still moves."""
    restated = trust.restated
    return trust_pb2.BucketTrust(
        closed=trust.closed,
        restated=None if restated is None else money_message(restated, currency),
        restatement_count=trust.restatements,
    )


def restatements_message(page: Page[Restatement], trust: Trust) -> pb.ListRestatementsResponse:
    """A page of restatements."""
    return pb.ListRestatementsResponse(
        restatements=[_restatement(each) for each in page.items],
        next_page_token=page.next_page_token,
        trust=trust_message(trust),
    )


def read_figure(
    request: pb.ExplainFigureRequest, violations: list[FieldViolation]
) -> ExplainFigure:
    """Which figure is to be explained."""
    if request.kinds:
        violations.append(FieldViolation("kinds", "are of facts: name their series, too"))
    return ExplainFigure(
        start=read_instant(request, "start_time", violations),
        end=read_instant(request, "end_time", violations),
        currency=request.currency,
        reporting_categories=tuple(request.reporting_categories),
        as_of=read_instant(request, "as_of", violations),
        page_size=request.page_size,
        page_token=request.page_token,
    )


def explanation_message(explanation: Explanation) -> pb.ExplainFigureResponse:
    """A page of a figure's rows."""
    return pb.ExplainFigureResponse(
        amount=money_message(explanation.amount.amount, explanation.amount.currency),
        fee=money_message(explanation.fee.amount, explanation.fee.currency),
        row_count=explanation.row_count,
        rows=[
            pb.FigureRow(
                balance_transaction=row.balance_transaction,
                entry=_entry(row.entry),
                source=row.source,
            )
            for row in explanation.rows
        ],
        next_page_token=explanation.next_page_token,
        known_time=timestamp_message(explanation.known_at),
        trust=trust_message(explanation.trust),
    )


def _restatement(restatement: Restatement) -> pb.Restatement:
    return pb.Restatement(
        balance_transaction=restatement.balance_transaction,
        cause=_CAUSES[restatement.cause],
        known_time=timestamp_message(restatement.known_at),
        first_known_time=timestamp_message(restatement.first_known_at),
        before=None if restatement.before is None else _entry(restatement.before),
        after=None if restatement.after is None else _entry(restatement.after),
    )


def _entry(entry: LedgerEntry) -> pb.LedgerEntry:
    return pb.LedgerEntry(
        create_time=timestamp_message(entry.created),
        amount=money_message(entry.amount.amount, entry.amount.currency),
        fee=money_message(entry.fee.amount, entry.fee.currency),
        reporting_category=entry.reporting_category,
        balance_type=entry.balance_type,
    )


def _currency(trust: CurrencyTrust) -> trust_pb2.CurrencyTrust:
    code, provisional, restated = trust.currency, trust.provisional, trust.restated
    return trust_pb2.CurrencyTrust(
        currency=code,
        provisional=None if provisional is None else money_message(provisional, code),
        provisional_share=_share(trust.provisional_share),
        restated=None if restated is None else money_message(restated, code),
        restated_share=_share(trust.restated_share),
    )


def _share(share: Fraction | None) -> float | None:
    """A ratio for people to read."""
    return None if share is None else float(share)


def _instant(instant: dt.datetime | None) -> Timestamp | None:
    return None if instant is None else timestamp_message(instant)
