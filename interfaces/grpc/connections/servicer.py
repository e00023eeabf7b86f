"""ConnectionService."""

from billing_client.v1 import connection_service_pb2 as pb
from billing_client.v1 import connection_service_pb2_grpc as pb_grpc
from typing_extensions import override

from application.connections.use_cases import Connections
from interfaces.grpc.connections import mapping
from interfaces.grpc.core.calls import Context, current_caller


class ConnectionServicer(pb_grpc.ConnectionServiceServicer):
    """An account's link to its own Stripe account."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @override
    async def GetConnection(
        self, request: pb.GetConnectionRequest, context: Context
    ) -> pb.Connection:
        status = await self._connections.status(current_caller())
        return mapping.connection_message(status)
