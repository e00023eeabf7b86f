"""WalletService: wallets, what they are spent on, and what their owners and creditors set."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from billing_client.v1 import wallet_service_pb2 as pb
from billing_client.v1 import wallet_service_pb2_grpc as pb_grpc
from typing_extensions import override

from application.wallet.adjustments import Adjustments
from application.wallet.commands import Debit, ListEntries, UsageRefund
from application.wallet.preparing import MethodPreparation
from application.wallet.rebilling import Rebillings
from application.wallet.reloading import ReloadCalls
from application.wallet.statements import Statements
from application.wallet.usage import Usage
from application.wallet.use_cases import AccountWallets
from domain.errors import FieldViolation
from interfaces.grpc.core.calls import Context, current_caller
from interfaces.grpc.wallet import mapping
from interfaces.grpc.wallet.reloads import ReloadServicer


class WalletServicer(ReloadServicer, pb_grpc.WalletServiceServicer):
    """Prepaid credit. What is about reloads stands in a class of its own."""

    def __init__(
        self, wallets: AccountWallets, usage: Usage, adjustments: Adjustments,
        rebillings: Rebillings, preparation: MethodPreparation, statements: Statements,
        reloads: ReloadCalls,
    ) -> None:  # fmt: skip
        super().__init__(reloads)
        self._wallets = wallets
        self._usage = usage
        self._adjustments = adjustments
        self._rebillings = rebillings
        self._preparation = preparation
        self._statements = statements

    @override
    async def GetWallet(self, request: pb.GetWalletRequest, context: Context) -> pb.AccountWallet:
        view = await self._wallets.get(current_caller(), methods=request.payment_methods)
        return mapping.wallet_message(view)

    @override
    async def PrepareMethod(
        self, request: pb.PrepareMethodRequest, context: Context
    ) -> pb.PreparedMethod:
        prepared = await self._preparation.prepare(
            current_caller(), request.request_id, request.customer
        )
        return mapping.prepared_message(prepared)

    @override
    async def ListEntries(
        self, request: pb.ListEntriesRequest, context: Context
    ) -> pb.ListEntriesResponse:
        query = ListEntries(request.page_size, request.page_token)
        return mapping.entries_message(await self._wallets.entries(current_caller(), query))

    @override
    async def UpdateWalletSettings(
        self, request: pb.UpdateWalletSettingsRequest, context: Context
    ) -> pb.WalletSettings:
        violations: list[FieldViolation] = []
        settings = await self._wallets.update_settings(
            current_caller(),
            request.request_id,
            mapping.read_auto_reload(request, violations),
            request.settings.etag,
            tuple(request.update_mask.paths),
            violations,
        )
        return mapping.settings_message(settings)

    @override
    async def GetRebilling(self, request: pb.GetRebillingRequest, context: Context) -> pb.Rebilling:
        violations: list[FieldViolation] = []
        span = mapping.read_span(request, violations)
        return mapping.rebilling_message(
            await self._rebillings.get(current_caller(), span, violations)
        )

    @override
    async def UpdateRebilling(
        self, request: pb.UpdateRebillingRequest, context: Context
    ) -> pb.RebillingSettings:
        settings = await self._wallets.update_rebilling(
            current_caller(),
            request.request_id,
            request.settings.multipliers,
            request.settings.etag,
            mapping.given_settings(request),
        )
        return mapping.rebilling_settings_message(settings)

    @override
    async def DebitUsage(self, request: pb.DebitUsageRequest, context: Context) -> pb.WalletEntry:
        debit = Debit(request.service, request.quantity, request.description)
        return mapping.entry_message(
            await self._usage.debit(current_caller(), request.request_id, debit)
        )

    @override
    async def RefundUsage(self, request: pb.RefundUsageRequest, context: Context) -> pb.WalletEntry:
        refund = UsageRefund(request.sequence, request.quantity, request.reason)
        return mapping.entry_message(
            await self._usage.refund(current_caller(), request.request_id, refund)
        )

    @override
    async def AdjustWallet(
        self, request: pb.AdjustWalletRequest, context: Context
    ) -> pb.WalletEntry:
        adjustment = mapping.read_adjustment(request)
        return mapping.entry_message(
            await self._adjustments.adjust(current_caller(), request.request_id, adjustment)
        )

    @override
    async def ExportStatement(
        self, request: pb.ExportStatementRequest, context: Context
    ) -> AsyncGenerator[pb.ExportStatementResponse, None]:
        violations: list[FieldViolation] = []
        span = mapping.read_span(request, violations)
        async with aclosing(self._statements.export(current_caller(), span, violations)) as parts:
            async for part in parts:
                yield pb.ExportStatementResponse(csv=part)
