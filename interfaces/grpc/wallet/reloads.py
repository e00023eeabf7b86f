"""WalletService's methods about reloads."""

from billing_client.v1 import wallet_service_pb2 as pb
from billing_client.v1 import wallet_service_pb2_grpc as pb_grpc
from typing_extensions import override

from application.wallet.commands import ListReloads, ReloadDecision, ReloadPart, ReloadRetry
from application.wallet.reloading import ReloadCalls
from interfaces.grpc.core.calls import Context, current_caller
from interfaces.grpc.wallet.reload_mapping import (
    RESOLUTIONS,
    read_reload,
    reload_message,
    reloads_message,
)


class ReloadServicer(pb_grpc.WalletServiceServicer):
    """Reloads: paid at Stripe, credited here."""

    def __init__(self, reloads: ReloadCalls) -> None:
        self._reloads = reloads

    @override
    async def ReloadWallet(self, request: pb.ReloadWalletRequest, context: Context) -> pb.Reload:
        order = read_reload(request)
        return reload_message(
            await self._reloads.reload(current_caller(), request.request_id, order)
        )

    @override
    async def RetryReload(self, request: pb.RetryReloadRequest, context: Context) -> pb.Reload:
        retry = ReloadRetry(request.id, request.payment_method)
        return reload_message(
            await self._reloads.retry(current_caller(), request.request_id, retry)
        )

    @override
    async def CancelReload(self, request: pb.CancelReloadRequest, context: Context) -> pb.Reload:
        return reload_message(
            await self._reloads.cancel(current_caller(), request.request_id, request.id)
        )

    @override
    async def RefundReload(self, request: pb.RefundReloadRequest, context: Context) -> pb.Reload:
        amount = request.amount
        part = ReloadPart(request.id, amount.amount, amount.currency, request.reason)
        return reload_message(
            await self._reloads.give_back(current_caller(), request.request_id, part)
        )

    @override
    async def ResolveReload(self, request: pb.ResolveReloadRequest, context: Context) -> pb.Reload:
        resolution = RESOLUTIONS.get(request.resolution)
        decision = ReloadDecision(request.id, resolution, request.reason)
        return reload_message(
            await self._reloads.resolve(current_caller(), request.request_id, decision)
        )

    @override
    async def GetReload(self, request: pb.GetReloadRequest, context: Context) -> pb.Reload:
        return reload_message(await self._reloads.get(current_caller(), request.id))

    @override
    async def ListReloads(
        self, request: pb.ListReloadsRequest, context: Context
    ) -> pb.ListReloadsResponse:
        query = ListReloads(request.page_size, request.page_token)
        return reloads_message(await self._reloads.list(current_caller(), query))
