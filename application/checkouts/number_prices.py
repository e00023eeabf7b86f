"""What the platform asks for phone numbers."""

from typing import Protocol

from domain.phone_numbers import NumberKind, NumberPrice


class NumberPrices(Protocol):
    """The platform's prices of phone numbers, by country and kind.

    The boundary is here because the platform keeps them, behind its internal API or in a file.
    Numbers are provisioned by jobs, not through here.
    """

    async def price(self, country: str, kind: NumberKind, currency: str) -> NumberPrice | None:
        """What numbers cost for a period, in `currency`; None: they are not sold.

        What is told is about exactly these, and whole: no price below zero, a currency that Stripe
        knows, tiers up to any quantity. It may be a minute old. Raises Unavailable
        (PRICE_UNAVAILABLE) where the list does not answer within two seconds, or not with a price.
        """
        ...
