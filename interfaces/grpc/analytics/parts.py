"""Answers about what came of gross volume: net, payments, what went back, payouts."""

from typing import Final

from billing_client.v1 import analytics_service_pb2 as service_pb
from billing_client.v1 import money_figures_pb2 as pb
from billing_client.v1 import money_pb2

from application.analytics.customers import Spender, TopCustomers
from application.analytics.net import CurrencyNet, NetVolume
from application.analytics.payments import CurrencyPayments, Failures, Payments
from application.analytics.payouts import Payouts
from application.analytics.returns import Disputes, Refunds, TakenBack
from application.analytics.use_cases import RevenueSplit
from domain.attempts import PaymentOutcome
from domain.balances import BalanceReading
from domain.periods import from_milliseconds
from interfaces.grpc.analytics.figures import (
    amount_message,
    base_message,
    count_message,
    missing_rates,
    named_amounts,
    named_counts,
    ratio,
    timeline_message,
)
from interfaces.grpc.analytics.trust_mapping import bucket_trust_message, trust_message
from interfaces.grpc.core.money import money_message
from interfaces.grpc.core.periods import period_message
from interfaces.grpc.core.timestamps import timestamp_message

PENDING: Final = "pending"
IN_TRANSIT: Final = "in_transit"


def net_message(answer: NetVolume) -> pb.NetVolume:
    """Net volume, a part for each settlement currency."""
    return pb.NetVolume(
        timeline=timeline_message(answer.time),
        trust=trust_message(
            answer.time.trust, currencies=answer.trusts, missing_rates=missing_rates(answer.base)
        ),
        currencies=[_net(each) for each in answer.currencies],
        base=base_message(answer.base),
    )


def _net(part: CurrencyNet) -> pb.CurrencyNet:
    code, fees = part.currency, part.fees
    return pb.CurrencyNet(
        currency=code,
        net=amount_message(part.net, code),
        stripe_fees=amount_message(fees.stripe, code),
        application_fees=amount_message(fees.application, code),
        tax_fees=amount_message(fees.tax, code),
        other_parts=named_amounts(part.other, code),
        apart=named_amounts({name.value: of for name, of in part.apart.items()}, code),
        provisional=_known(part.provisional, code),
        stands=[bucket_trust_message(bucket, code) for bucket in part.stands],
        **{name.value: amount_message(series, code) for name, series in part.parts.items()},
    )


def _known(amount: int | None, currency: str) -> money_pb2.Money | None:
    return None if amount is None else money_message(amount, currency)


def payments_message(answer: Payments) -> pb.PaymentFigures:
    """Payments by what became of them."""
    outcomes = {
        outcome.value: count_message(answer.outcomes[outcome]) for outcome in PaymentOutcome
    }
    return pb.PaymentFigures(
        timeline=timeline_message(answer.time),
        trust=trust_message(answer.time.trust),
        payments=count_message(answer.payments),
        recovered=count_message(answer.recovered),
        attempts=count_message(answer.attempts),
        attempts_made=count_message(answer.attempts_made),
        success_rate=ratio(answer.success_rate),
        previous_success_rate=ratio(answer.previous_success_rate),
        currencies=[_payments(each) for each in answer.currencies],
        **outcomes,
    )


def _payments(part: CurrencyPayments) -> pb.CurrencyPayments:
    code = part.currency
    now, before = part.average, part.previous_average
    return pb.CurrencyPayments(
        currency=code,
        paid=count_message(part.paid),
        captured=amount_message(part.captured, code),
        average=None if now is None else money_message(now, code),
        previous_average=None if before is None else money_message(before, code),
    )


def failures_message(answer: Failures) -> pb.Failures:
    """Failed attempts by reason, and attempts by risk."""
    return pb.Failures(
        timeline=timeline_message(answer.time),
        trust=trust_message(answer.time.trust),
        declined=count_message(answer.declined),
        blocked=count_message(answer.blocked),
        reasons=named_counts(answer.reasons),
        risk_levels=named_counts(answer.risk_levels),
    )


def split_message(answer: RevenueSplit) -> pb.RevenueSplit:
    """Gross volume by what it was for."""
    return pb.RevenueSplit(
        timeline=timeline_message(answer.time),
        trust=trust_message(answer.time.trust, currencies=answer.trusts),
        currencies=[
            pb.CurrencySplit(
                currency=part.currency,
                total=amount_message(part.total, part.currency),
                parts=named_amounts(part.parts, part.currency),
                provisional=money_message(part.provisional, part.currency),
            )
            for part in answer.currencies
        ],
    )


def top_customers_message(answer: TopCustomers) -> service_pb.ListTopCustomersResponse:
    """A page of the customers who spent most."""
    unnamed = answer.unnamed
    return service_pb.ListTopCustomersResponse(
        period=period_message(answer.time.period),
        trust=trust_message(answer.time.trust),
        customers=[_spender(each, answer.currency) for each in answer.customers],
        unnamed=None if unnamed is None else _spender(unnamed, answer.currency),
        next_page_token=answer.next_page_token,
    )


def _spender(spender: Spender, currency: str) -> pb.TopCustomer:
    return pb.TopCustomer(
        customer=spender.customer,
        name=spender.name or "",
        deleted=spender.deleted,
        amount=money_message(spender.amount, currency),
        charge_count=spender.count,
    )


def refunds_message(answer: Refunds) -> pb.RefundFigures:
    """Refunds, a part for each settlement currency."""
    return pb.RefundFigures(
        timeline=timeline_message(answer.time),
        trust=trust_message(answer.time.trust, currencies=answer.trusts),
        currencies=[_refunds(each) for each in answer.currencies],
    )


def _refunds(part: TakenBack) -> pb.CurrencyRefunds:
    code = part.currency
    return pb.CurrencyRefunds(
        currency=code,
        amount=amount_message(part.amount, code),
        refunded=amount_message(part.taken, code),
        returned=amount_message(part.returned, code),
        count=None if part.count is None else count_message(part.count),
        rate=ratio(part.rate),
        previous_rate=ratio(part.previous_rate),
        provisional=_known(part.provisional, code),
        stands=[bucket_trust_message(bucket, code) for bucket in part.stands],
    )


def disputes_message(answer: Disputes) -> pb.DisputeFigures:
    """Disputes, a part for each settlement currency."""
    return pb.DisputeFigures(
        timeline=timeline_message(answer.time),
        trust=trust_message(answer.time.trust, currencies=answer.trusts),
        currencies=[_disputes(each) for each in answer.currencies],
        count=None if answer.count is None else count_message(answer.count),
        statuses=[
            pb.DisputeStatusCount(status=status, count=count)
            for status, count in answer.statuses.items()
        ],
        rate=ratio(answer.count_rate),
        previous_rate=ratio(answer.previous_count_rate),
        closings=named_counts(answer.closings),
        win_rate=ratio(answer.win_rate),
        previous_win_rate=ratio(answer.previous_win_rate),
    )


def _disputes(part: TakenBack) -> pb.CurrencyDisputes:
    code = part.currency
    return pb.CurrencyDisputes(
        currency=code,
        amount=amount_message(part.amount, code),
        withdrawn=amount_message(part.taken, code),
        reinstated=amount_message(part.returned, code),
        count=None if part.count is None else count_message(part.count),
        rate=ratio(part.rate),
        previous_rate=ratio(part.previous_rate),
        provisional=_known(part.provisional, code),
        stands=[bucket_trust_message(bucket, code) for bucket in part.stands],
    )


def payouts_message(answer: Payouts) -> pb.PayoutFigures:
    """Payouts, a part for each currency."""
    return pb.PayoutFigures(
        timeline=timeline_message(answer.time),
        trust=trust_message(answer.time.trust),
        currencies=[
            pb.CurrencyPayouts(
                currency=part.currency,
                arrived=amount_message(part.arrived, part.currency),
                arrived_count=count_message(part.arrived_count),
                returned=amount_message(part.returned, part.currency),
                returned_count=count_message(part.returned_count),
                pending=money_message(part.under_way.get(PENDING, 0), part.currency),
                in_transit=money_message(part.under_way.get(IN_TRANSIT, 0), part.currency),
            )
            for part in answer.currencies
        ],
        balance=None if answer.balance is None else _balance(answer.balance),
    )


def _balance(reading: BalanceReading) -> pb.LastBalance:
    return pb.LastBalance(
        read_start_time=timestamp_message(from_milliseconds(reading.start_ms)),
        read_end_time=timestamp_message(from_milliseconds(reading.end_ms)),
        currencies=[
            pb.LastCurrencyBalance(
                currency=part.currency,
                available=money_message(part.available, part.currency),
                pending=money_message(part.pending, part.currency),
            )
            for part in reading.currencies
        ],
    )
