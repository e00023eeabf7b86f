"""Deauthorising: a Stripe account's owner takes the platform's access away, at Stripe."""

import datetime as dt
from typing import Final

from application.connections.ports import ConnectionRepository
from application.connections.stripe import StripeAccounts
from application.connections.use_cases import Connections
from domain.connections import Mode
from domain.errors import Conflict, FailedPrecondition, NotUnderstood, Reason
from domain.periods import from_milliseconds

CLOCKS_DIFFER: Final = dt.timedelta(minutes=5)
"""How far Stripe's clock, which dates events, and ours, which dates connections, may differ."""


class Deauthorizing:
    """Revokes the connection that a deauthorisation ends, and no newer one.

    Such an event may come days late, when the owner has long connected again. So what ends a
    connection is not the event but Stripe's word that there is no access now, and only the very
    link is revoked for which Stripe was asked.
    """

    def __init__(
        self,
        repository: ConnectionRepository,
        stripe: StripeAccounts,
        connections: Connections,
        mode: Mode,
    ) -> None:
        self._repository = repository
        self._stripe = stripe
        self._connections = connections
        self._mode = mode

    async def handle(self, stripe_account: str, created_ms: int) -> str:
        """What became of an event of that creation time (Stripe's), in words. Idempotent.

        Raises Conflict where the link changed meanwhile, and what the ports raise: the event then
        has to come again.
        """
        connection = await self._repository.find_by_stripe_account(stripe_account, self._mode)
        if connection is None:
            return "no active connection to revoke"
        if connection.ending_since is not None:
            return "kept the connection: it is being disconnected, and revoked then"
        if from_milliseconds(created_ms) + CLOCKS_DIFFER < connection.connected_at:
            return "kept the connection: it was made after that"
        if await self._has_access(stripe_account):
            return "kept the connection: Stripe gives access still, or again"
        if not await self._repository.revoke(connection):
            raise Conflict(Reason.REQUEST_IN_FLIGHT, "the connection changed meanwhile")
        self._connections.forget(connection.account)
        return "revoked the connection"

    async def _has_access(self, stripe_account: str) -> bool:
        try:
            await self._stripe.get(stripe_account)
        except NotUnderstood:
            return True  # Stripe shows it, however oddly
        except FailedPrecondition as error:
            if error.reason is not Reason.STRIPE_CONNECTION_REVOKED:
                raise
            return False
        return True
