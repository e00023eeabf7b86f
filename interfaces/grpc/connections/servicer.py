"""ConnectionService."""

from billing_client.v1 import connection_service_pb2 as pb
from billing_client.v1 import connection_service_pb2_grpc as pb_grpc
from typing_extensions import override

from application.connecting.disconnecting import Disconnecting
from application.connecting.use_cases import Connecting
from application.connections.listing import ConnectionLists
from application.connections.use_cases import Connections
from interfaces.grpc.connections import mapping
from interfaces.grpc.core.calls import Context, current_caller


class ConnectionServicer(pb_grpc.ConnectionServiceServicer):
    """An account's link to its own Stripe account."""

    def __init__(
        self,
        connections: Connections,
        connecting: Connecting,
        disconnecting: Disconnecting,
        lists: ConnectionLists,
    ) -> None:
        self._connections = connections
        self._connecting = connecting
        self._disconnecting = disconnecting
        self._lists = lists

    @override
    async def BeginConnection(
        self, request: pb.BeginConnectionRequest, context: Context
    ) -> pb.BeginConnectionResponse:
        begun = await self._connecting.begin(current_caller(), mapping.read_begin(request))
        return mapping.begun_message(begun)

    @override
    async def CompleteConnection(
        self, request: pb.CompleteConnectionRequest, context: Context
    ) -> pb.Connection:
        connection = await self._connecting.complete(
            current_caller(), request.request_id, mapping.read_complete(request)
        )
        return mapping.link_message(connection)

    @override
    async def VerifyConnection(
        self, request: pb.VerifyConnectionRequest, context: Context
    ) -> pb.Connection:
        return mapping.connection_message(await self._connections.verify(current_caller()))

    @override
    async def Disconnect(self, request: pb.DisconnectRequest, context: Context) -> pb.Connection:
        connection = await self._disconnecting.disconnect(
            current_caller(), request.request_id, force=request.force
        )
        return mapping.link_message(connection)

    @override
    async def ListConnections(
        self, request: pb.ListConnectionsRequest, context: Context
    ) -> pb.ListConnectionsResponse:
        page = await self._lists.list(current_caller(), request.page_size, request.page_token)
        return mapping.page_message(page)

    @override
    async def GetConnection(
        self, request: pb.GetConnectionRequest, context: Context
    ) -> pb.Connection:
        status = await self._connections.status(current_caller())
        return mapping.connection_message(status)
