"""AnalyticsService."""

from dataclasses import dataclass

from billing_client.v1 import analytics_service_pb2 as pb
from billing_client.v1 import analytics_service_pb2_grpc as pb_grpc
from billing_client.v1 import money_figures_pb2 as figures_pb
from billing_client.v1 import subscriber_figures_pb2 as subscriber_pb
from billing_client.v1 import tie_out_pb2
from typing_extensions import override

from application.analytics.customers import CustomerAnalytics
from application.analytics.explanation import Explaining
from application.analytics.fact_rows import FactLists
from application.analytics.net import NetAnalytics
from application.analytics.overview import OverviewAnalytics
from application.analytics.payments import PaymentAnalytics
from application.analytics.payouts import PayoutAnalytics
from application.analytics.product_revenue import ProductAnalytics
from application.analytics.rates import ExchangeRates, ListRates
from application.analytics.restatements import ListRestatements, Restatements
from application.analytics.returns import ReturnAnalytics
from application.analytics.subscribers import SubscriberAnalytics
from application.analytics.tie_out import TieOuts
from application.analytics.use_cases import RevenueAnalytics
from domain.errors import FieldViolation
from interfaces.grpc.analytics import (
    fact_mapping,
    mapping,
    parts,
    subscriber_parts,
    tie_out_mapping,
    trust_mapping,
)
from interfaces.grpc.core.calls import Context, current_caller


@dataclass(frozen=True, slots=True)
class Analyses:
    """The use cases that answer, by topic."""

    revenue: RevenueAnalytics
    net: NetAnalytics
    payments: PaymentAnalytics
    returns: ReturnAnalytics
    payouts: PayoutAnalytics
    customers: CustomerAnalytics
    overview: OverviewAnalytics
    tie_outs: TieOuts
    subscribers: SubscriberAnalytics
    products: ProductAnalytics
    facts: FactLists


class AnalyticsServicer(pb_grpc.AnalyticsServiceServicer):
    """Questions about revenue, and the rates that totals need."""

    def __init__(
        self,
        analyses: Analyses,
        rates: ExchangeRates,
        restatements: Restatements,
        explaining: Explaining,
    ) -> None:
        self._analyses = analyses
        self._rates = rates
        self._restatements = restatements
        self._explaining = explaining

    @override
    async def GetOverview(self, request: pb.GetOverviewRequest, context: Context) -> pb.Overview:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analyses.overview.overview(current_caller(), question, violations)
        return mapping.overview_message(answer)

    @override
    async def GetGrossVolume(
        self, request: pb.GetGrossVolumeRequest, context: Context
    ) -> pb.GrossVolume:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analyses.revenue.gross_volume(current_caller(), question, violations)
        return mapping.gross_volume_message(answer)

    @override
    async def GetNetVolume(
        self, request: pb.GetNetVolumeRequest, context: Context
    ) -> figures_pb.NetVolume:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analyses.net.net_volume(current_caller(), question, violations)
        return parts.net_message(answer)

    @override
    async def GetChargeCounts(
        self, request: pb.GetChargeCountsRequest, context: Context
    ) -> pb.ChargeCounts:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analyses.revenue.charge_counts(current_caller(), question, violations)
        return mapping.charge_counts_message(answer)

    @override
    async def GetPayments(
        self, request: pb.GetPaymentsRequest, context: Context
    ) -> figures_pb.PaymentFigures:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analyses.payments.payments(current_caller(), question, violations)
        return parts.payments_message(answer)

    @override
    async def GetFailures(
        self, request: pb.GetFailuresRequest, context: Context
    ) -> figures_pb.Failures:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analyses.payments.failures(current_caller(), question, violations)
        return parts.failures_message(answer)

    @override
    async def GetRevenueSplit(
        self, request: pb.GetRevenueSplitRequest, context: Context
    ) -> figures_pb.RevenueSplit:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analyses.revenue.revenue_split(current_caller(), question, violations)
        return parts.split_message(answer)

    @override
    async def GetRefunds(
        self, request: pb.GetRefundsRequest, context: Context
    ) -> figures_pb.RefundFigures:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analyses.returns.refunds(current_caller(), question, violations)
        return parts.refunds_message(answer)

    @override
    async def GetDisputes(
        self, request: pb.GetDisputesRequest, context: Context
    ) -> figures_pb.DisputeFigures:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analyses.returns.disputes(current_caller(), question, violations)
        return parts.disputes_message(answer)

    @override
    async def GetPayouts(
        self, request: pb.GetPayoutsRequest, context: Context
    ) -> figures_pb.PayoutFigures:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analyses.payouts.payouts(current_caller(), question, violations)
        return parts.payouts_message(answer)

    @override
    async def ListTopCustomers(
        self, request: pb.ListTopCustomersRequest, context: Context
    ) -> pb.ListTopCustomersResponse:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analyses.customers.top_customers(
            current_caller(), question, request.page_size, request.page_token, violations
        )
        return parts.top_customers_message(answer)

    @override
    async def ListRestatements(
        self, request: pb.ListRestatementsRequest, context: Context
    ) -> pb.ListRestatementsResponse:
        if request.series:
            asked = fact_mapping.read_restated(request)
            facts, of = await self._analyses.facts.restated(current_caller(), asked)
            return fact_mapping.restated_message(facts, of)
        query = ListRestatements(request.page_size, request.page_token)
        page, trust = await self._restatements.list(current_caller(), query)
        return trust_mapping.restatements_message(page, trust)

    @override
    async def ExplainFigure(
        self, request: pb.ExplainFigureRequest, context: Context
    ) -> pb.ExplainFigureResponse:
        violations: list[FieldViolation] = []
        if request.series:
            asked = fact_mapping.read_facts(request, violations)
            explained = await self._analyses.facts.explain(current_caller(), asked, violations)
            return fact_mapping.explained_message(explained)
        query = trust_mapping.read_figure(request, violations)
        explanation = await self._explaining.explain(current_caller(), query, violations)
        return trust_mapping.explanation_message(explanation)

    @override
    async def GetTieOut(
        self, request: tie_out_pb2.GetTieOutRequest, context: Context
    ) -> tie_out_pb2.TieOut:
        violations: list[FieldViolation] = []
        question = tie_out_mapping.read_tie_out(request, violations)
        answer = await self._analyses.tie_outs.of(current_caller(), question, violations)
        return tie_out_mapping.tie_out_message(answer)

    @override
    async def GetMrr(
        self, request: subscriber_pb.GetMrrRequest, context: Context
    ) -> subscriber_pb.Mrr:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analyses.subscribers.mrr(current_caller(), question, violations)
        return subscriber_parts.mrr_message(answer)

    @override
    async def GetSubscribers(
        self, request: subscriber_pb.GetSubscribersRequest, context: Context
    ) -> subscriber_pb.Subscribers:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analyses.subscribers.subscribers(
            current_caller(), question, violations
        )
        return subscriber_parts.subscribers_message(answer)

    @override
    async def GetTrials(
        self, request: subscriber_pb.GetTrialsRequest, context: Context
    ) -> subscriber_pb.Trials:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analyses.subscribers.trials(current_caller(), question, violations)
        return subscriber_parts.trials_message(answer)

    @override
    async def GetCustomers(
        self, request: subscriber_pb.GetCustomersRequest, context: Context
    ) -> subscriber_pb.Customers:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analyses.subscribers.customers(current_caller(), question, violations)
        return subscriber_parts.customers_message(answer)

    @override
    async def ListCohorts(
        self, request: subscriber_pb.ListCohortsRequest, context: Context
    ) -> subscriber_pb.ListCohortsResponse:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analyses.subscribers.cohorts(current_caller(), question, violations)
        return subscriber_parts.cohorts_message(answer, request.currency)

    @override
    async def ListProductRevenue(
        self, request: subscriber_pb.ListProductRevenueRequest, context: Context
    ) -> subscriber_pb.ListProductRevenueResponse:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analyses.products.product_revenue(
            current_caller(), question, request.max_products, violations
        )
        return subscriber_parts.products_message(answer)

    @override
    async def ImportRates(
        self, request: pb.ImportRatesRequest, context: Context
    ) -> pb.ImportRatesResponse:
        imported = await self._rates.import_rates(current_caller(), mapping.read_rates(request))
        return mapping.imported_message(imported)

    @override
    async def ListRates(
        self, request: pb.ListRatesRequest, context: Context
    ) -> pb.ListRatesResponse:
        query = ListRates(request.page_size, request.page_token, request.currency)
        page = await self._rates.list(current_caller(), query)
        return mapping.rates_message(page, self._rates.base_currency)
