"""The calls of MirrorService that commands make, each on a channel of its own."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from billing_client.v1 import mirror_service_pb2 as pb
from billing_client.v1 import mirror_service_pb2_grpc as pb_grpc

from interfaces.cli.client import Connect

_READ: Final = ("mirror.read",)
_WRITE: Final = ("mirror.read", "mirror.write")

Start: TypeAlias = (
    pb.StartBackfillRequest
    | pb.StartReconciliationRequest
    | pb.StartRebuildRequest
    | pb.StartProofRequest
    | pb.StartFactsRebuildRequest
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command is asked to do. `name` is its own."""

    name: str
    kind: pb.Operation.Kind.ValueType
    account: str
    start: Start

    def again(self, option: str) -> str:
        """The command that comes back to it."""
        account = f" --account {self.account}" if self.account else ""
        return f"billing {self.name}{account} {option}"


class MirrorCalls:
    """The calls. An empty account is the token's own; an operator's: the platform itself."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    @asynccontextmanager
    async def _stub(
        self, scopes: Sequence[str]
    ) -> AsyncGenerator["pb_grpc.MirrorServiceAsyncStub", None]:
        async with self._connect(scopes) as channel:
            yield pb_grpc.MirrorServiceStub(channel)

    async def start(self, asked: Asked) -> pb.Operation:
        """Start it, or learn of the same that runs."""
        async with self._stub(_WRITE) as stub:
            match asked.start:
                case pb.StartBackfillRequest():
                    return await stub.StartBackfill(asked.start)
                case pb.StartReconciliationRequest():
                    return await stub.StartReconciliation(asked.start)
                case pb.StartProofRequest():
                    return await stub.StartProof(asked.start)
                case pb.StartFactsRebuildRequest():
                    return await stub.StartFactsRebuild(asked.start)
                case _:
                    return await stub.StartRebuild(asked.start)

    async def watch(self, asked: Asked) -> AsyncGenerator[pb.Operation, None]:
        """The operation as it gets on, until it or the call ends."""
        request = pb.WatchOperationRequest(account=asked.account, kind=asked.kind)
        async with self._stub(_READ) as stub:
            async for operation in stub.WatchOperation(request):
                yield operation

    async def cancel(self, asked: Asked) -> pb.Operation:
        """The operation once it is cancelled."""
        request = pb.CancelOperationRequest(account=asked.account, kind=asked.kind)
        async with self._stub(_WRITE) as stub:
            return await stub.CancelOperation(request)

    async def reports(self, account: str, limit: int) -> pb.ListReportsResponse:
        """The last reports."""
        async with self._stub(_READ) as stub:
            return await stub.ListReports(pb.ListReportsRequest(account=account, page_size=limit))

    async def report(self, account: str, report: str) -> pb.MirrorReport:
        """One report with its findings."""
        async with self._stub(_READ) as stub:
            return await stub.GetReport(pb.GetReportRequest(account=account, id=report))

    async def status(self, account: str) -> pb.MirrorStatus:
        """How the mirror stands."""
        async with self._stub(_READ) as stub:
            return await stub.GetMirrorStatus(pb.GetMirrorStatusRequest(account=account))
