"""Payouts, what they consist of, and balances."""

from typing import Final

from billing_client.v1 import payout_service_pb2 as pb

from application.payouts.balance import ComparedBalance
from application.payouts.commands import ListPayouts, ListPayoutTransactions
from application.payouts.ports import Destination
from application.payouts.use_cases import ListedPayout, PayoutDetails, PayoutSummary
from application.requests.paging import Page
from domain.balance_transactions import BalanceTransaction
from domain.balances import Compared
from domain.errors import FieldViolation
from domain.payout_summary import SummaryRow
from domain.periods import from_milliseconds
from domain.reporting_categories import category_of
from interfaces.grpc.core.metadata import callers_own
from interfaces.grpc.core.money import money_message
from interfaces.grpc.core.timestamps import read_instant, timestamp_message

_ORDERS: Final = {
    pb.PAYOUT_ORDER_UNSPECIFIED: "arrival_date",
    pb.PAYOUT_ORDER_ARRIVAL_TIME: "arrival_date",
    pb.PAYOUT_ORDER_CREATE_TIME: "created",
}


def read_list(request: pb.ListPayoutsRequest, violations: list[FieldViolation]) -> ListPayouts:
    """Which payouts to list."""
    if request.order not in _ORDERS:
        violations.append(FieldViolation("order", "an order that this contract knows"))
    return ListPayouts(
        page_size=request.page_size,
        page_token=request.page_token,
        statuses=tuple(request.statuses),
        automatic=request.automatic if request.HasField("automatic") else None,
        currency=request.currency,
        arrival_after=read_instant(request, "arrival_after", violations),
        arrival_before=read_instant(request, "arrival_before", violations),
        created_after=read_instant(request, "created_after", violations),
        created_before=read_instant(request, "created_before", violations),
        order=_ORDERS.get(request.order, "arrival_date"),
        oldest_first=request.oldest_first,
    )


def read_transactions(request: pb.ListPayoutTransactionsRequest) -> ListPayoutTransactions:
    """Which transactions of a payout to list."""
    return ListPayoutTransactions(
        payout=request.id,
        page_size=request.page_size,
        page_token=request.page_token,
        reporting_category=request.reporting_category,
    )


def payouts_message(page: Page[ListedPayout]) -> pb.ListPayoutsResponse:
    """A page of payouts."""
    return pb.ListPayoutsResponse(
        payouts=map(payout_message, page.items),
        next_page_token=page.next_page_token,
        previous_page_token=page.previous_page_token,
    )


def payout_message(listed: ListedPayout) -> pb.Payout:
    """A payout, without what is Billing's own."""
    payout, fee = listed.payout, listed.payout.application_fee_amount
    return pb.Payout(
        id=payout.id,
        create_time=timestamp_message(payout.created),
        amount=money_message(payout.amount.amount, payout.amount.currency),
        status=payout.status,
        arrival_time=timestamp_message(payout.arrival_date),
        failure_time=timestamp_message(listed.failed_at) if listed.failed_at else None,
        automatic=payout.automatic,
        type=payout.type or "",
        method=payout.method or "",
        source_type=payout.source_type or "",
        destination=payout.destination or "",
        balance_transaction=payout.balance_transaction or "",
        failure_code=payout.failure_code or "",
        failure_message=payout.failure_message or "",
        failure_balance_transaction=payout.failure_balance_transaction or "",
        original_payout=payout.original_payout or "",
        reversed_by=payout.reversed_by or "",
        reconciliation_status=payout.reconciliation_status or "",
        trace_id=(payout.trace_id.value or "") if payout.trace_id else "",
        statement_descriptor=payout.statement_descriptor or "",
        description=payout.description or "",
        application_fee=money_message(fee.amount, fee.currency) if fee else None,
        metadata=callers_own(payout.metadata),
    )


def details_message(details: PayoutDetails) -> pb.PayoutDetails:
    """A payout and what belongs to it."""
    made, failed = details.transaction, details.failure_transaction
    return pb.PayoutDetails(
        payout=payout_message(details.listed),
        balance_transaction=transaction_message(made) if made else None,
        failure_transaction=transaction_message(failed) if failed else None,
        destination=_destination(details.destination) if details.destination else None,
        membership=pb.PayoutMembership.Value(f"PAYOUT_MEMBERSHIP_{details.membership}"),
    )


def _destination(destination: Destination) -> pb.Destination:
    return pb.Destination(
        id=destination.id,
        type=destination.type,
        bank_name=destination.bank_name,
        last4=destination.last4,
        currency=destination.currency,
        country=destination.country,
        deleted=destination.deleted,
    )


def transactions_message(page: Page[BalanceTransaction]) -> pb.ListPayoutTransactionsResponse:
    """A page of what a payout holds."""
    return pb.ListPayoutTransactionsResponse(
        balance_transactions=map(transaction_message, page.items),
        next_page_token=page.next_page_token,
        previous_page_token=page.previous_page_token,
    )


def transaction_message(transaction: BalanceTransaction) -> pb.BalanceTransaction:
    """A balance transaction, and the noun that it tells about."""
    currency = transaction.amount.currency
    category = category_of(transaction.reporting_category, transaction.type)
    return pb.BalanceTransaction(
        id=transaction.id,
        create_time=timestamp_message(transaction.created),
        amount=money_message(transaction.amount.amount, currency),
        fee=money_message(transaction.fee.amount, currency),
        net=money_message(transaction.net.amount, currency),
        type=transaction.type,
        reporting_category=transaction.reporting_category or "",
        status=transaction.status,
        available_time=timestamp_message(transaction.available_on),
        source=transaction.source or "",
        exchange_rate=transaction.exchange_rate or "",
        balance_type=transaction.balance_type or "",
        description=transaction.description or "",
        fee_details=[
            pb.FeeDetail(
                type=detail.type,
                amount=money_message(detail.amount.amount, detail.amount.currency),
                description=detail.description or "",
                application=detail.application or "",
            )
            for detail in transaction.fee_details
        ],
        about=category.noun if category and transaction.source else "",
    )


def summary_message(summary: PayoutSummary) -> pb.PayoutSummary:
    """What a payout consists of."""
    currency = summary.payout.amount.currency
    return pb.PayoutSummary(
        payout=summary.payout.id,
        currency=currency,
        status=summary.payout.status,
        rows=[_row(row, currency) for row in summary.rows],
        read_time=timestamp_message(summary.read_at),
    )


def _row(row: SummaryRow, currency: str) -> pb.PayoutSummaryRow:
    return pb.PayoutSummaryRow(
        reporting_category=row.category,
        part=row.part,
        count=row.count,
        gross=money_message(row.gross, currency),
        fee=money_message(row.fee, currency),
        net=money_message(row.net, currency),
        own=row.own,
    )


def balance_message(balance: ComparedBalance) -> pb.Balance:
    """A balance, beside what the mirror makes of it."""
    return pb.Balance(
        read_start_time=timestamp_message(from_milliseconds(balance.reading.start_ms)),
        read_end_time=timestamp_message(from_milliseconds(balance.reading.end_ms)),
        currencies=map(_currency, balance.currencies),
    )


def _currency(compared: Compared) -> pb.CurrencyBalance:
    reading, code, since = compared.reading, compared.reading.currency, compared.since_ms
    different = compared.difference
    names = sorted({*reading.available_by_source, *reading.pending_by_source})
    return pb.CurrencyBalance(
        currency=code,
        available=money_message(reading.available, code),
        pending=money_message(reading.pending, code),
        instant_available=money_message(reading.instant_available, code),
        reserved=money_message(reading.reserved, code),
        source_types=[
            pb.SourceTypeBalance(
                source_type=name,
                available=money_message(reading.available_by_source.get(name, 0), code),
                pending=money_message(reading.pending_by_source.get(name, 0), code),
            )
            for name in names
        ],
        mirrored=money_message(compared.mirrored, code),
        mirrored_since=None if since is None else timestamp_message(from_milliseconds(since)),
        difference=None if different is None else money_message(different, code),
    )
