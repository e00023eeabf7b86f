"""What Stripe tells of the accounts that are connected to it.

Implementations never configure anything globally: the Stripe account comes with every call, so two
accounts' calls in flight at once never mix. All methods raise

- RateLimited (STRIPE_RATE_LIMITED) where the account's budget is used up within the caller's wait;
- FailedPrecondition (STRIPE_CONNECTION_REVOKED) where Stripe refuses the platform this account;
- Unavailable (STRIPE_UNAVAILABLE) where the request was not sent or refused unexecuted;
- NotUnderstood (STRIPE_NOT_UNDERSTOOD) where what Stripe shows cannot be read: no retry mends that.
"""

from typing import Protocol

from domain.stripe_accounts import StripeAccount


class StripeAccounts(Protocol):
    """Stripe accounts themselves."""

    async def get(self, stripe_account: str) -> StripeAccount:
        """A connected account, as the platform's key sees it now.

        Raises FailedPrecondition (STRIPE_CONNECTION_REVOKED) where Stripe gives no access to it.
        """
        ...

    async def platform(self) -> StripeAccount:
        """The platform's own account."""
        ...
