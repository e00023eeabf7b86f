"""PaymentMethodService."""

from billing_client.v1 import payment_method_service_pb2 as pb
from billing_client.v1 import payment_method_service_pb2_grpc as pb_grpc
from google.protobuf.empty_pb2 import Empty
from typing_extensions import override

from application.payment_methods.use_cases import PaymentMethods
from interfaces.grpc.core.calls import Context, current_caller
from interfaces.grpc.payment_methods import mapping


class PaymentMethodServicer(pb_grpc.PaymentMethodServiceServicer):
    """What the customers of an account's Stripe connection pay with."""

    def __init__(self, payment_methods: PaymentMethods) -> None:
        self._payment_methods = payment_methods

    @override
    async def ListPaymentMethods(
        self, request: pb.ListPaymentMethodsRequest, context: Context
    ) -> pb.ListPaymentMethodsResponse:
        query = mapping.read_list(request)
        return mapping.page_message(await self._payment_methods.list(current_caller(), query))

    @override
    async def AttachPaymentMethod(
        self, request: pb.AttachPaymentMethodRequest, context: Context
    ) -> pb.PaymentMethod:
        wanted = mapping.read_method(request)
        owned = await self._payment_methods.attach(current_caller(), request.request_id, wanted)
        return mapping.method_message(owned)

    @override
    async def DetachPaymentMethod(
        self, request: pb.DetachPaymentMethodRequest, context: Context
    ) -> Empty:
        wanted = mapping.read_method(request)
        await self._payment_methods.detach(current_caller(), request.request_id, wanted)
        return Empty()

    @override
    async def SetDefaultPaymentMethod(
        self, request: pb.SetDefaultPaymentMethodRequest, context: Context
    ) -> pb.PaymentMethod:
        wanted = mapping.read_method(request)
        owned = await self._payment_methods.set_default(
            current_caller(), request.request_id, wanted
        )
        return mapping.method_message(owned)

    @override
    async def CreateSetupIntent(
        self, request: pb.CreateSetupIntentRequest, context: Context
    ) -> pb.SetupIntent:
        wanted = mapping.read_setup(request)
        setup = await self._payment_methods.create_setup(
            current_caller(), request.request_id, wanted
        )
        return mapping.setup_message(setup)
