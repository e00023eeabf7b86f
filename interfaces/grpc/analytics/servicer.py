"""AnalyticsService."""

from billing_client.v1 import analytics_service_pb2 as pb
from billing_client.v1 import analytics_service_pb2_grpc as pb_grpc
from typing_extensions import override

from application.analytics.use_cases import RevenueAnalytics
from domain.errors import FieldViolation
from interfaces.grpc.analytics import mapping
from interfaces.grpc.core.calls import Context, current_caller


class AnalyticsServicer(pb_grpc.AnalyticsServiceServicer):
    """Questions about revenue."""

    def __init__(self, analytics: RevenueAnalytics) -> None:
        self._analytics = analytics

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
