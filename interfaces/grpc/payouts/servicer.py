"""PayoutService."""

from billing_client.v1 import payout_service_pb2 as pb
from billing_client.v1 import payout_service_pb2_grpc as pb_grpc
from typing_extensions import override

from application.payouts.balance import Balances
from application.payouts.use_cases import Payouts
from domain.errors import FieldViolation
from interfaces.grpc.core.calls import Context, current_caller
from interfaces.grpc.payouts import mapping


class PayoutServicer(pb_grpc.PayoutServiceServicer):
    """Payouts of an account's Stripe connection, and its balance."""

    def __init__(self, payouts: Payouts, balances: Balances) -> None:
        self._payouts = payouts
        self._balances = balances

    @override
    async def ListPayouts(
        self, request: pb.ListPayoutsRequest, context: Context
    ) -> pb.ListPayoutsResponse:
        violations: list[FieldViolation] = []
        query = mapping.read_list(request, violations)
        return mapping.payouts_message(
            await self._payouts.list(current_caller(), query, violations)
        )

    @override
    async def GetPayout(self, request: pb.GetPayoutRequest, context: Context) -> pb.PayoutDetails:
        return mapping.details_message(await self._payouts.get(current_caller(), request.id))

    @override
    async def ListPayoutTransactions(
        self, request: pb.ListPayoutTransactionsRequest, context: Context
    ) -> pb.ListPayoutTransactionsResponse:
        query = mapping.read_transactions(request)
        return mapping.transactions_message(
            await self._payouts.transactions(current_caller(), query)
        )

    @override
    async def SummarizePayout(
        self, request: pb.SummarizePayoutRequest, context: Context
    ) -> pb.PayoutSummary:
        return mapping.summary_message(await self._payouts.summarize(current_caller(), request.id))

    @override
    async def GetBalance(self, request: pb.GetBalanceRequest, context: Context) -> pb.Balance:
        return mapping.balance_message(await self._balances.of(current_caller()))
