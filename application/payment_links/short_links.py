"""Short links: a long address behind a short one, for messages with little room."""

from typing import Protocol


class NoShortLink(Exception):
    """There is no short link now. No caller ever sees it: the long address does as well."""


class ShortLinks(Protocol):
    """Makes short links.

    The boundary is here because the service behind it is the platform's own, and may be any other.
    """

    async def shorten(self, url: str) -> str:
        """A short https address that leads to `url`, within a bound of two seconds.

        Asked twice it may give two, both of which lead there. `url` is a secret: it is written
        nowhere else. Raises NoShortLink for whatever reason there is none.
        """
        ...
