"""Connections: an account's link to its own Stripe account."""

import datetime as dt
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.errors import FailedPrecondition, Reason

STRIPE_ACCOUNT_ID: Final = re.compile(r"acct_[A-Za-z0-9]{1,64}")


class Mode(StrEnum):
    """Whether money is real. A deployment has one mode; the platform key's prefix decides it."""

    TEST = "test"
    LIVE = "live"


class ConnectionState(StrEnum):
    """Whether calls on behalf of the account may be made."""

    ACTIVE = "active"
    REVOKED = "revoked"


class ConnectionKind(StrEnum):
    """How the link was made."""

    MANUAL = "manual"
    OAUTH = "oauth"


@dataclass(frozen=True, slots=True)
class Connection:
    """The link of `account` to `stripe_account`. An account has at most one a mode.

    One Stripe account and mode belongs to one account at a time while the link is active. It is so
    also while it is being ended, since `ending_since`: until Stripe has taken the access back,
    nobody else gets the Stripe account.
    """

    account: str
    stripe_account: str
    mode: Mode
    kind: ConnectionKind
    connected_at: dt.datetime
    state: ConnectionState = ConnectionState.ACTIVE
    scope: str = "read_write"
    ending_since: dt.datetime | None = None

    def __post_init__(self) -> None:
        if not STRIPE_ACCOUNT_ID.fullmatch(self.stripe_account):
            raise ValueError("stripe_account: an id of Stripe's is needed, such as acct_1Abc")

    def is_same_link(self, other: "Connection") -> bool:
        """Whether both are one link, whatever has become of it; another is made at another time."""
        return (self.account, self.stripe_account, self.mode, self.connected_at) == (
            other.account, other.stripe_account, other.mode, other.connected_at,
        )  # fmt: skip


def usable(connection: Connection | None) -> Connection:
    """The connection, if calls may be made with it.

    Raises FailedPrecondition: STRIPE_NOT_CONNECTED without one, STRIPE_CONNECTION_REVOKED where
    Stripe or the account's owner has cut it, or it is being disconnected.
    """
    if connection is None:
        raise FailedPrecondition(
            Reason.STRIPE_NOT_CONNECTED,
            "the account has no Stripe connection; connect it first",
            subject="connection",
        )
    if connection.state is ConnectionState.REVOKED:
        raise FailedPrecondition(
            Reason.STRIPE_CONNECTION_REVOKED,
            "the account's Stripe connection was revoked; connect it again",
            subject="connection",
        )
    if connection.ending_since is not None:
        raise FailedPrecondition(
            Reason.STRIPE_CONNECTION_REVOKED,
            "the account's Stripe connection is being disconnected",
            subject="connection",
        )
    return connection
