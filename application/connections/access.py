"""Whose mirror: which Stripe account a caller may look at, and let work be done on."""

from application.connections.platform import Platform
from application.connections.use_cases import Connections
from application.requests.callers import Caller


class MirrorAccess:
    """Finds the Stripe account that a caller's account stands for: an operator's is the platform's.

    Who has lost his connection sees nothing of it any more: the Stripe account may be another's.
    """

    def __init__(self, connections: Connections, platform: Platform) -> None:
        self._connections = connections
        self._platform = platform

    async def stripe_account(self, caller: Caller) -> str:
        """The Stripe account.

        Raises FailedPrecondition (STRIPE_NOT_CONNECTED, STRIPE_CONNECTION_REVOKED).
        """
        if caller.is_operator:
            return await self._platform.stripe_account()
        return (await self._connections.of(caller)).stripe_account
