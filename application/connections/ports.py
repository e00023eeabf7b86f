"""Connections between accounts and their Stripe accounts."""

import datetime as dt
from collections.abc import Sequence
from typing import Protocol

from domain.accounts import Account
from domain.connections import Connection, Mode


class ConnectionRepository(Protocol):
    """Keeps an account's connection; at most one an account and mode.

    Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def get(self, account: str, mode: Mode) -> Connection | None:
        """The account's connection, revoked ones included, or None."""
        ...

    async def find_by_stripe_account(self, stripe_account: str, mode: Mode) -> Connection | None:
        """The active connection of a Stripe account, or None.

        Whose it is: for the event pipeline and operators, which come from Stripe's side.
        """
        ...

    async def put(self, connection: Connection) -> None:
        """Store an account's connection in place of its earlier one, durably and atomically.

        Raises AlreadyExists (STRIPE_ACCOUNT_TAKEN) where another account's active connection holds
        the same Stripe account and mode; a unique index proves it under concurrency.
        """
        ...

    async def revoke(self, connection: Connection) -> bool:
        """Make this very link REVOKED, durably and atomically; False where it is there no more.

        It is the same link while its account, Stripe account, mode and `connected_at` are equal and
        it is active. An account that was connected anew meanwhile is left alone.
        """
        ...

    async def mark(self, connection: Connection, *, ending_since: dt.datetime) -> bool:
        """Mark this very link as being ended, durably and atomically.

        False where it is there no more (as `revoke` says), or bears another mark. To mark it so
        again is no change. A marked one is found and listed like others.
        """
        ...

    async def unmark(self, connection: Connection, *, ending_since: dt.datetime) -> bool:
        """Take that very mark from this very link; False where it does not bear it."""
        ...

    async def list_active(self, mode: Mode, *, after: str, limit: int) -> Sequence[Connection]:
        """Active connections whose Stripe account is above `after`, in order of Stripe account.

        For the flows that keep every mirror current: it reads across tenants.
        """
        ...


class KnownAccounts(Protocol):
    """Which accounts there are. Raises Unavailable (STORE_UNAVAILABLE)."""

    async def get(self, account: str) -> Account | None:
        """The account of an id, or None."""
        ...


class FirstBackfill(Protocol):
    """Brings all that a newly connected Stripe account holds into the mirror, in the background.

    The boundary is here because connecting does not know how long work is done.
    """

    async def request(self, stripe_account: str) -> None:
        """See to it that a backfill waits, runs, or has ended well. Durable; may be repeated.

        Raises Unavailable (STORE_UNAVAILABLE).
        """
        ...
