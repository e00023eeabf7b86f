"""AnalyticsService."""

from billing_client.v1 import analytics_service_pb2 as pb
from billing_client.v1 import analytics_service_pb2_grpc as pb_grpc
from typing_extensions import override

from application.analytics.explanation import Explaining
from application.analytics.rates import ExchangeRates, ListRates
from application.analytics.restatements import ListRestatements, Restatements
from application.analytics.use_cases import RevenueAnalytics
from domain.errors import FieldViolation
from interfaces.grpc.analytics import mapping, trust_mapping
from interfaces.grpc.core.calls import Context, current_caller


class AnalyticsServicer(pb_grpc.AnalyticsServiceServicer):
    """Questions about revenue, and the rates that totals need."""

    def __init__(
        self,
        analytics: RevenueAnalytics,
        rates: ExchangeRates,
        restatements: Restatements,
        explaining: Explaining,
    ) -> None:
        self._analytics = analytics
        self._rates = rates
        self._restatements = restatements
        self._explaining = explaining

    @override
    async def GetGrossVolume(
        self, request: pb.GetGrossVolumeRequest, context: Context
    ) -> pb.GrossVolume:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analytics.gross_volume(current_caller(), question, violations)
        return mapping.gross_volume_message(answer)

    @override
    async def GetChargeCounts(
        self, request: pb.GetChargeCountsRequest, context: Context
    ) -> pb.ChargeCounts:
        violations: list[FieldViolation] = []
        question = mapping.read_question(request, violations)
        answer = await self._analytics.charge_counts(current_caller(), question, violations)
        return mapping.charge_counts_message(answer)

    @override
    async def ListRestatements(
        self, request: pb.ListRestatementsRequest, context: Context
    ) -> pb.ListRestatementsResponse:
        query = ListRestatements(request.page_size, request.page_token)
        page, trust = await self._restatements.list(current_caller(), query)
        return trust_mapping.restatements_message(page, trust)

    @override
    async def ExplainFigure(
        self, request: pb.ExplainFigureRequest, context: Context
    ) -> pb.ExplainFigureResponse:
        violations: list[FieldViolation] = []
        query = trust_mapping.read_figure(request, violations)
        explanation = await self._explaining.explain(current_caller(), query, violations)
        return trust_mapping.explanation_message(explanation)

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
