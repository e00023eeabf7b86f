"""MirrorService."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from billing_client.v1 import mirror_service_pb2 as pb
from billing_client.v1 import mirror_service_pb2_grpc as pb_grpc
from typing_extensions import override

from application.operations.use_cases import Operations
from application.upkeep.reports import MirrorReports
from application.upkeep.status import MirrorStatuses
from domain.operations import OperationKind, OperationOptions
from interfaces.grpc.core.calls import Context, current_caller
from interfaces.grpc.mirror import mapping


class MirrorServicer(pb_grpc.MirrorServiceServicer):
    """Long work on the mirror, its reports, and how the mirror stands."""

    def __init__(
        self, operations: Operations, reports: MirrorReports, statuses: MirrorStatuses
    ) -> None:
        self._operations = operations
        self._reports = reports
        self._statuses = statuses

    @override
    async def StartBackfill(
        self, request: pb.StartBackfillRequest, context: Context
    ) -> pb.Operation:
        options = OperationOptions(restart=request.restart)
        return await self._start(OperationKind.BACKFILL, options)

    @override
    async def StartReconciliation(
        self, request: pb.StartReconciliationRequest, context: Context
    ) -> pb.Operation:
        options = OperationOptions(repair=request.repair)
        return await self._start(OperationKind.RECONCILE, options)

    @override
    async def StartRebuild(self, request: pb.StartRebuildRequest, context: Context) -> pb.Operation:
        return await self._start(OperationKind.REBUILD, OperationOptions())

    @override
    async def StartProof(self, request: pb.StartProofRequest, context: Context) -> pb.Operation:
        return await self._start(OperationKind.PROOF, OperationOptions())

    @override
    async def StartFactsRebuild(
        self, request: pb.StartFactsRebuildRequest, context: Context
    ) -> pb.Operation:
        return await self._start(OperationKind.REBUILD_FACTS, OperationOptions())

    @override
    async def GetOperation(self, request: pb.GetOperationRequest, context: Context) -> pb.Operation:
        kind = mapping.read_kind(request.kind)
        return mapping.operation_message(await self._operations.get(current_caller(), kind))

    @override
    async def WatchOperation(
        self, request: pb.WatchOperationRequest, context: Context
    ) -> AsyncGenerator[pb.Operation, None]:
        kind = mapping.read_kind(request.kind)
        async with aclosing(self._operations.watch(current_caller(), kind)) as operations:
            async for operation in operations:
                yield mapping.operation_message(operation)

    @override
    async def CancelOperation(
        self, request: pb.CancelOperationRequest, context: Context
    ) -> pb.Operation:
        kind = mapping.read_kind(request.kind)
        return mapping.operation_message(await self._operations.cancel(current_caller(), kind))

    @override
    async def ListReports(
        self, request: pb.ListReportsRequest, context: Context
    ) -> pb.ListReportsResponse:
        page = await self._reports.list(current_caller(), request.page_size, request.page_token)
        return mapping.reports_message(page)

    @override
    async def GetReport(self, request: pb.GetReportRequest, context: Context) -> pb.MirrorReport:
        report = await self._reports.get(current_caller(), request.id)
        return mapping.report_message(report, findings=True)

    @override
    async def GetMirrorStatus(
        self, request: pb.GetMirrorStatusRequest, context: Context
    ) -> pb.MirrorStatus:
        return mapping.status_message(await self._statuses.of(current_caller()))

    async def _start(self, kind: OperationKind, options: OperationOptions) -> pb.Operation:
        operation = await self._operations.start(current_caller(), kind, options)
        return mapping.operation_message(operation)
