"""Looking customers up at Stripe itself: the mirror may be a moment behind."""

from collections.abc import Sequence
from typing import Protocol

from domain.customers import Customer


class CustomerLookup(Protocol):
    """Reads customers as they are now; raises what `application.mirror.stripe` promises.

    Never by Stripe's Search, which lags behind what it searches.
    """

    async def get(self, stripe_account: str, customer: str) -> Customer | None:
        """A customer; None for one that is deleted, or that there never was."""
        ...

    async def by_email(self, stripe_account: str, email: str) -> Sequence[Customer]:
        """The customers with exactly this address, upper and lower case told apart, newest first.

        At most the newest hundred.
        """
        ...
