"""ChargeService."""

from billing_client.v1 import charge_service_pb2 as pb
from billing_client.v1 import charge_service_pb2_grpc as pb_grpc
from typing_extensions import override

from application.charges.use_cases import Charges
from domain.errors import FieldViolation
from interfaces.grpc.charges import mapping
from interfaces.grpc.core.calls import Context, current_caller


class ChargeServicer(pb_grpc.ChargeServiceServicer):
    """Charges of an account's Stripe connection, and their refunds."""

    def __init__(self, charges: Charges) -> None:
        self._charges = charges

    @override
    async def ListCharges(
        self, request: pb.ListChargesRequest, context: Context
    ) -> pb.ListChargesResponse:
        violations: list[FieldViolation] = []
        query = mapping.read_list(request, violations)
        return mapping.charges_message(
            await self._charges.list(current_caller(), query, violations)
        )

    @override
    async def GetCharge(self, request: pb.GetChargeRequest, context: Context) -> pb.Charge:
        return mapping.charge_message(await self._charges.get(current_caller(), request.id))

    @override
    async def RefundCharge(self, request: pb.RefundChargeRequest, context: Context) -> pb.Refund:
        violations: list[FieldViolation] = []
        order = mapping.read_refund(request, violations)
        refund = await self._charges.refund(current_caller(), request.request_id, order, violations)
        return mapping.refund_message(refund)

    @override
    async def ListRefunds(
        self, request: pb.ListRefundsRequest, context: Context
    ) -> pb.ListRefundsResponse:
        violations: list[FieldViolation] = []
        query = mapping.read_list_refunds(request, violations)
        page = await self._charges.refunds(current_caller(), query, violations)
        return mapping.refunds_message(page)
