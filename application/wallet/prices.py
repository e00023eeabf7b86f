"""What the platform asks for a unit of each service."""

from typing import Protocol


class PriceList(Protocol):
    """The platform's prices, in the deployment's base currency.

    The boundary is here because the platform keeps them, behind its internal API or in a file.
    """

    async def price(self, service: str) -> str | None:
        """The price of a unit in major units, a decimal by `is_price`; None: no such service.

        It may be a minute old. Raises Unavailable (PRICE_UNAVAILABLE) where the list does not
        answer within two seconds, or not with a price.
        """
        ...
