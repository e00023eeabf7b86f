"""Connections."""

from collections.abc import Mapping
from typing import Final

from billing_client.v1 import connection_service_pb2 as pb

from application.connecting.commands import BeginConnection, CompleteConnection
from application.connecting.use_cases import Begun
from application.connections.use_cases import ConnectionStatus
from application.requests.paging import Page
from domain.connections import Connection, ConnectionKind, ConnectionState, Mode
from domain.stripe_accounts import StripeAccount
from interfaces.grpc.core.timestamps import timestamp_message

_STATES: Final[Mapping[ConnectionState, pb.Connection.State.ValueType]] = {
    ConnectionState.ACTIVE: pb.Connection.STATE_ACTIVE,
    ConnectionState.REVOKED: pb.Connection.STATE_REVOKED,
}
_MODES: Final[Mapping[Mode, pb.Connection.Mode.ValueType]] = {
    Mode.TEST: pb.Connection.MODE_TEST,
    Mode.LIVE: pb.Connection.MODE_LIVE,
}
_KINDS: Final[Mapping[ConnectionKind, pb.Connection.Kind.ValueType]] = {
    ConnectionKind.MANUAL: pb.Connection.KIND_MANUAL,
    ConnectionKind.OAUTH: pb.Connection.KIND_OAUTH,
}


def connection_message(status: ConnectionStatus) -> pb.Connection:
    """A connection, or that there is none."""
    if status.connection is not None:
        message = link_message(status.connection)
    else:
        message = pb.Connection(
            account=status.account,
            mode=_MODES[status.mode],
            state=pb.Connection.STATE_NOT_CONNECTED,
        )
    if status.stripe is not None:
        message.stripe.CopyFrom(_stripe_message(status.stripe))
    return message


def link_message(connection: Connection) -> pb.Connection:
    """A connection without what Stripe says of it."""
    return pb.Connection(
        account=connection.account,
        mode=_MODES[connection.mode],
        state=_state(connection),
        kind=_KINDS[connection.kind],
        stripe_account=connection.stripe_account,
        connect_time=timestamp_message(connection.connected_at),
    )


def page_message(page: Page[Connection]) -> pb.ListConnectionsResponse:
    """A page of connections."""
    return pb.ListConnectionsResponse(
        connections=map(link_message, page.items), next_page_token=page.next_page_token
    )


def begun_message(begun: Begun) -> pb.BeginConnectionResponse:
    """Where to send the browser."""
    return pb.BeginConnectionResponse(
        authorize_url=begun.authorize_url, expire_time=timestamp_message(begun.state.expires_at)
    )


def read_begin(request: pb.BeginConnectionRequest) -> BeginConnection:
    """Where to begin."""
    return BeginConnection(request.redirect_uri, request.session_digest)


def read_complete(request: pb.CompleteConnectionRequest) -> CompleteConnection:
    """What Stripe sent back."""
    return CompleteConnection(
        state=request.state,
        code=request.code,
        error=request.error,
        redirect_uri=request.redirect_uri,
        session_digest=request.session_digest,
    )


def _state(connection: Connection) -> pb.Connection.State.ValueType:
    active = connection.state is ConnectionState.ACTIVE
    if active and connection.ending_since is not None:
        return pb.Connection.STATE_DISCONNECTING
    return _STATES[connection.state]


def _stripe_message(account: StripeAccount) -> pb.StripeAccount:
    return pb.StripeAccount(
        charges_enabled=account.charges_enabled,
        payouts_enabled=account.payouts_enabled,
        default_currency=account.default_currency or "",
        country=account.country or "",
        capabilities=account.capabilities,
    )
