"""Answers about subscribers, and what products brought."""

from billing_client.v1 import subscriber_figures_pb2 as pb

from application.analytics.product_revenue import CurrencyProducts, ProductRevenue
from application.analytics.subscribers import (
    Cohorts,
    CurrencyMrr,
    Customers,
    Mrr,
    Subscribers,
    Trials,
)
from domain.analytics import growth
from domain.cohorts import Cohort
from domain.mrr import MOVEMENTS
from domain.trials import CONVERTED, NOT_CONVERTED, PENDING
from interfaces.grpc.analytics.figures import (
    count_message,
    named_amounts,
    named_counts,
    ratio,
    timeline_message,
)
from interfaces.grpc.analytics.trust_mapping import trust_message
from interfaces.grpc.core.money import money_message
from interfaces.grpc.core.timestamps import timestamp_message


def mrr_message(answer: Mrr) -> pb.Mrr:
    """MRR, a part for each currency."""
    return pb.Mrr(
        timeline=timeline_message(answer.time),
        trust=trust_message(answer.time.trust),
        currencies=map(_mrr, answer.currencies),
        unpriced=[
            pb.UnpricedCount(cause=cause, count=count)
            for cause, count in sorted(answer.unpriced.items())
        ],
    )


def _mrr(part: CurrencyMrr) -> pb.CurrencyMrr:
    code, levels = part.currency, part.waterfall
    kinds = dict.fromkeys((*MOVEMENTS, *levels.movements, *part.previous.movements))
    return pb.CurrencyMrr(
        currency=code,
        start=money_message(levels.start, code),
        end=money_message(levels.end, code),
        growth=ratio(growth(levels.end, levels.start)),
        levels=levels.levels,
        movements=named_amounts({kind: part.movement(kind) for kind in kinds}, code),
        arr=money_message(part.arr, code),
        before_discounts=money_message(part.before_discounts, code),
        scheduled_cancellations=money_message(part.scheduled, code),
        gross_churn=ratio(part.churn.gross),
        net_churn=ratio(part.churn.net),
    )


def subscribers_message(answer: Subscribers) -> pb.Subscribers:
    """Who has MRR, who came and who went."""
    return pb.Subscribers(
        timeline=timeline_message(answer.time),
        trust=trust_message(answer.time.trust),
        start=answer.start,
        end=answer.end,
        levels=answer.counts,
        movements=named_counts(answer.movements),
        churned=named_counts(answer.churned),
        lost=answer.lost,
        previous_lost=answer.previous_lost,
        churn_rate=ratio(answer.churn_rate),
        previous_churn_rate=ratio(answer.previous_churn_rate),
        scheduled_cancellations=answer.scheduled,
    )


def trials_message(answer: Trials) -> pb.Trials:
    """Trials by what became of them."""
    return pb.Trials(
        timeline=timeline_message(answer.time),
        trust=trust_message(answer.time.trust),
        converted=count_message(answer.outcomes[CONVERTED]),
        pending=count_message(answer.outcomes[PENDING]),
        not_converted=count_message(answer.outcomes[NOT_CONVERTED]),
        conversion_rate=ratio(answer.conversion_rate),
        previous_conversion_rate=ratio(answer.previous_conversion_rate),
    )


def customers_message(answer: Customers) -> pb.Customers:
    """New customers, and first-time payers."""
    return pb.Customers(
        timeline=timeline_message(answer.time),
        trust=trust_message(answer.time.trust),
        created=count_message(answer.created),
        first_payers=count_message(answer.first_payers),
    )


def cohorts_message(answer: Cohorts, currency: str) -> pb.ListCohortsResponse:
    """A cohort a month; amounts of one currency alone where one is asked for."""
    return pb.ListCohortsResponse(
        timeline=timeline_message(answer.time),
        trust=trust_message(answer.time.trust),
        cohorts=[_cohort(each, currency) for each in answer.cohorts],
        mean_retention=[
            pb.MeanRetention(months=months, retention=ratio(mean))
            for months, mean in enumerate(answer.means)
        ],
    )


def _cohort(cohort: Cohort, currency: str) -> pb.Cohort:
    return pb.Cohort(
        start_time=timestamp_message(cohort.start),
        size=cohort.size,
        cells=[
            pb.CohortCell(
                subscribers=cell.subscribers,
                retention=ratio(cohort.retention(months)),
                mrr=[
                    money_message(amount, code)
                    for code, amount in cell.mrr.items()
                    if currency in ("", code)
                ],
                partial=cell.partial,
            )
            for months, cell in enumerate(cohort.cells)
        ],
    )


def products_message(answer: ProductRevenue) -> pb.ListProductRevenueResponse:
    """What products brought, a part for each currency."""
    return pb.ListProductRevenueResponse(
        timeline=timeline_message(answer.time),
        trust=trust_message(answer.time.trust),
        currencies=map(_products, answer.currencies),
    )


def _products(part: CurrencyProducts) -> pb.CurrencyProducts:
    code = part.currency
    return pb.CurrencyProducts(
        currency=code,
        gross=money_message(part.gross, code),
        previous_gross=money_message(part.previous_gross, code),
        rows=[
            pb.ProductRevenueRow(
                kind=row.kind,
                product=row.product,
                name=row.name or "",
                deleted=row.deleted,
                captured=money_message(row.captured, code),
                refunded=money_message(row.refunded, code),
                previous_captured=money_message(row.previous_captured, code),
                previous_refunded=money_message(row.previous_refunded, code),
            )
            for row in part.rows
        ],
    )
