"""The platform's own Stripe account."""

from application.connections.deployment import Deployment
from application.connections.stripe import StripeAccounts
from domain.connections import Mode
from domain.errors import FailedPrecondition, Reason


class Platform:
    """Knows the deployment's mode and the id of the platform's own Stripe account."""

    def __init__(self, deployment: Deployment, stripe: StripeAccounts, mode: Mode) -> None:
        self._deployment = deployment
        self._stripe = stripe
        self._mode = mode
        self._account = ""

    async def claim_store(self) -> None:
        """Stamp the store with this deployment's mode. FailedPrecondition where it has the other.

        Test and live objects never share a store.
        """
        stamped = await self._deployment.stamp(self._mode)
        if stamped is not self._mode:
            raise FailedPrecondition(
                Reason.INTERNAL,
                f"the store holds {stamped} objects and STRIPE_SECRET_KEY is a {self._mode} key; "
                "use another store or the other key",
                subject="STRIPE_SECRET_KEY",
            )

    async def stripe_account(self) -> str:
        """The platform's own Stripe account: asked of Stripe once, then kept for good."""
        if not await self.known_stripe_account():
            found = (await self._stripe.platform()).id
            await self._deployment.keep_platform_account(found)
            self._account = found
        return self._account

    async def known_stripe_account(self) -> str:
        """The same without asking Stripe; empty while nobody has: nothing of it is mirrored."""
        if not self._account:
            self._account = await self._deployment.platform_account() or ""
        return self._account
