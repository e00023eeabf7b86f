"""Which currencies a Stripe account takes payments in."""

from typing import Protocol


class TakenCurrencies(Protocol):
    """Tells whether a Stripe account takes payments in a currency.

    The boundary is here because Stripe says so by an account's country, and changes it at times.
    """

    async def takes(self, stripe_account: str, currency: str) -> bool:
        """Whether it takes them, as far as is known; True where nobody can tell now.

        Then Stripe itself refuses the payment, and nothing is charged. Raises Unavailable
        (STORE_UNAVAILABLE) alone.
        """
        ...
