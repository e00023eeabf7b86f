"""PaymentLinkService."""

from billing_client.v1 import payment_link_service_pb2 as pb
from billing_client.v1 import payment_link_service_pb2_grpc as pb_grpc
from typing_extensions import override

from application.payment_links.use_cases import PaymentLinks
from domain.errors import FieldViolation
from interfaces.grpc.core.calls import Context, current_caller
from interfaces.grpc.payment_links import mapping


class PaymentLinkServicer(pb_grpc.PaymentLinkServiceServicer):
    """Addresses where contacts of the CRM pay."""

    def __init__(self, payment_links: PaymentLinks) -> None:
        self._payment_links = payment_links

    @override
    async def CreatePaymentLink(
        self, request: pb.CreatePaymentLinkRequest, context: Context
    ) -> pb.PaymentLink:
        violations: list[FieldViolation] = []
        wanted = mapping.read_create(request, violations)
        link = await self._payment_links.create(
            current_caller(), request.request_id, wanted, violations
        )
        return mapping.link_message(link)
