"""Seeking customers at Stripe itself: the mirror may be a moment behind."""

from collections.abc import Sequence
from typing import Protocol

from domain.customers import Customer


class CustomerLookup(Protocol):
    """Lists customers as they are now; raises what `application.mirror.stripe` promises.

    Never by Stripe's Search, which lags behind what it searches.
    """

    async def by_email(self, stripe_account: str, email: str) -> Sequence[Customer]:
        """The customers with exactly this address, upper and lower case told apart, newest first.

        At most the newest hundred.
        """
        ...
