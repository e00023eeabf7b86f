"""Connections."""

from collections.abc import Mapping
from typing import Final

from billing_client.v1 import connection_service_pb2 as pb

from application.connections.use_cases import ConnectionStatus
from domain.connections import ConnectionKind, ConnectionState, Mode
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
    connection = status.connection
    message = pb.Connection(
        account=status.account,
        mode=_MODES[status.mode],
        state=pb.Connection.STATE_NOT_CONNECTED,
    )
    if connection is not None:
        message.state = _STATES[connection.state]
        message.kind = _KINDS[connection.kind]
        message.stripe_account = connection.stripe_account
        message.connect_time.CopyFrom(timestamp_message(connection.connected_at))
    if status.stripe is not None:
        message.stripe.CopyFrom(_stripe_message(status.stripe))
    return message


def _stripe_message(account: StripeAccount) -> pb.StripeAccount:
    return pb.StripeAccount(
        charges_enabled=account.charges_enabled,
        payouts_enabled=account.payouts_enabled,
        default_currency=account.default_currency or "",
        country=account.country or "",
        capabilities=account.capabilities,
    )
