"""CheckoutService's methods about checkouts."""

from billing_client.v1 import checkout_service_pb2 as pb
from billing_client.v1 import checkout_service_pb2_grpc as pb_grpc
from typing_extensions import override

from application.checkouts.commands import CheckoutRefund, CheckoutRetry, ListCheckouts
from application.checkouts.executing import CheckoutCalls
from application.checkouts.refunding import SaleRefunds
from interfaces.grpc.checkouts.checkout_mapping import (
    checkout_message,
    checkouts_message,
    read_order,
    read_resolution,
)
from interfaces.grpc.core.calls import Context, current_caller


class CheckoutsServicer(pb_grpc.CheckoutServiceServicer):
    """What is bought."""

    def __init__(self, checkouts: CheckoutCalls, refunds: SaleRefunds) -> None:
        self._checkouts = checkouts
        self._refunds = refunds

    @override
    async def ExecuteCheckout(
        self, request: pb.ExecuteCheckoutRequest, context: Context
    ) -> pb.Checkout:
        caller = current_caller()
        order = read_order(caller, request)
        return checkout_message(await self._checkouts.execute(caller, request.request_id, order))

    @override
    async def ConfirmCheckout(
        self, request: pb.ConfirmCheckoutRequest, context: Context
    ) -> pb.Checkout:
        return checkout_message(
            await self._checkouts.confirm(current_caller(), request.request_id, request.id)
        )

    @override
    async def RetryPayment(self, request: pb.RetryPaymentRequest, context: Context) -> pb.Checkout:
        retry = CheckoutRetry(request.id, request.payment_method)
        return checkout_message(
            await self._checkouts.retry(current_caller(), request.request_id, retry)
        )

    @override
    async def CancelCheckout(
        self, request: pb.CancelCheckoutRequest, context: Context
    ) -> pb.Checkout:
        return checkout_message(
            await self._checkouts.cancel(current_caller(), request.request_id, request.id)
        )

    @override
    async def RefundCheckout(
        self, request: pb.RefundCheckoutRequest, context: Context
    ) -> pb.Checkout:
        order = CheckoutRefund(request.id, request.amount, request.reason, request.return_cost)
        return checkout_message(
            await self._refunds.refund(current_caller(), request.request_id, order)
        )

    @override
    async def ResolveCheckout(
        self, request: pb.ResolveCheckoutRequest, context: Context
    ) -> pb.Checkout:
        resolution = read_resolution(request)
        return checkout_message(
            await self._checkouts.resolve(current_caller(), request.request_id, resolution)
        )

    @override
    async def GetCheckout(self, request: pb.GetCheckoutRequest, context: Context) -> pb.Checkout:
        return checkout_message(await self._checkouts.get(current_caller(), request.id))

    @override
    async def ListCheckouts(
        self, request: pb.ListCheckoutsRequest, context: Context
    ) -> pb.ListCheckoutsResponse:
        query = ListCheckouts(request.page_size, request.page_token, request.needs_attention)
        return checkouts_message(await self._checkouts.list(current_caller(), query))
