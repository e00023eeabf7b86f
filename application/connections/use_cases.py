"""Connections: which Stripe account a caller's account stands for."""

from dataclasses import dataclass, replace
from typing import Final

from application.background.clock import Clock
from application.connections.ports import ConnectionRepository, KnownAccounts
from application.connections.stripe import StripeAccounts
from application.mirror.nouns import STRIPE_ACCOUNTS
from application.mirror.ports import Mirror
from application.requests.callers import Caller
from domain.connections import Connection, ConnectionState, Mode, usable
from domain.errors import (
    FailedPrecondition,
    NotFound,
    NotUnderstood,
    RateLimited,
    Reason,
    Unavailable,
)
from domain.stripe_accounts import StripeAccount

_CACHE_SECONDS: Final = 2
_CACHE_SIZE: Final = 10_000


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """An account's connection (None: not connected) and what Stripe says of it now.

    `stripe` is what the mirror shows where Stripe does not answer, and None where that shows
    nothing, or there is no connection.
    """

    account: str
    mode: Mode
    connection: Connection | None
    stripe: StripeAccount | None


class Connections:
    """Finds the connection that every use case needs first.

    Found ones are remembered for two seconds: another process's change is seen that much later.
    """

    def __init__(
        self,
        repository: ConnectionRepository,
        stripe: StripeAccounts,
        mirror: Mirror,
        clock: Clock,
        mode: Mode,
        *,
        accounts: KnownAccounts | None = None,
    ) -> None:
        """`accounts` tells an account that is not there from one without a connection."""
        self._repository = repository
        self._stripe = stripe
        self._mirror = mirror
        self._clock = clock
        self._mode = mode
        self._accounts = accounts
        self._cache: dict[str, tuple[float, Connection]] = {}

    async def of(self, caller: Caller) -> Connection:
        """The caller's usable connection.

        Raises FailedPrecondition (STRIPE_NOT_CONNECTED, STRIPE_CONNECTION_REVOKED), and NotFound
        where there is no such account.
        """
        now = self._clock.now().timestamp()
        until, cached = self._cache.get(caller.account, (0.0, None))
        if cached is not None and now < until:
            return cached
        connection = usable(await self.standing(caller.account))
        if len(self._cache) >= _CACHE_SIZE:
            self._cache.clear()
        self._cache[caller.account] = (now + _CACHE_SECONDS, connection)
        return connection

    async def standing(self, account: str) -> Connection | None:
        """The connection as it is kept, revoked ones too. NotFound where there is no account."""
        connection = await self._repository.get(account, self._mode)
        accounts = self._accounts
        if connection is None and accounts is not None and await accounts.get(account) is None:
            raise NotFound("account", account)
        return connection

    async def status(self, caller: Caller) -> ConnectionStatus:
        """The account's connection, and what Stripe says of it. NotFound: there is no account."""
        connection = await self.standing(caller.account)
        stripe = None
        if connection is not None and connection.state is ConnectionState.ACTIVE:
            try:
                stripe = await self._stripe.get(connection.stripe_account)
            except (Unavailable, RateLimited, NotUnderstood):
                stripe = await self._mirrored(connection.stripe_account)
            except FailedPrecondition:
                connection = replace(connection, state=ConnectionState.REVOKED)
        return ConnectionStatus(caller.account, self._mode, connection, stripe)

    async def verify(self, caller: Caller) -> ConnectionStatus:
        """The account's connection as Stripe confirms it: without access it is revoked for good.

        One that is being disconnected is left to that. NotFound: there is no account. Raises what
        `StripeAccounts` promises, but for the refusal of access.
        """
        link = await self.standing(caller.account)
        stripe = None
        if link is not None and link.state is ConnectionState.ACTIVE:
            try:
                stripe = await self._stripe.get(link.stripe_account)
            except FailedPrecondition as error:
                if error.reason is not Reason.STRIPE_CONNECTION_REVOKED:
                    raise
                if link.ending_since is None:
                    await self._repository.revoke(link)
                self.forget(caller.account)
                link = await self.standing(caller.account)
        return ConnectionStatus(caller.account, self._mode, link, stripe)

    def forget(self, account: str) -> None:
        """Remember an account's connection no longer, since it has changed."""
        self._cache.pop(account, None)

    async def _mirrored(self, stripe_account: str) -> StripeAccount | None:
        """What Stripe said of a Stripe account last."""
        rows = await self._mirror.fetch(STRIPE_ACCOUNTS, stripe_account, [stripe_account])
        row = rows.get(stripe_account)
        return row.snapshot.object if row and row.snapshot else None
