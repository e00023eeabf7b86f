"""What a store remembers of the deployment that uses it."""

from typing import Protocol

from domain.connections import Mode


class Deployment(Protocol):
    """The store's stamp. Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer."""

    async def stamp(self, mode: Mode) -> Mode:
        """Stamp a store that has no stamp yet, atomically; returns the mode that stands.

        A caller whose mode is another must not go on: test and live objects never share a store.
        """
        ...

    async def platform_account(self) -> str | None:
        """The id of the platform's own Stripe account, once it is known."""
        ...

    async def keep_platform_account(self, stripe_account: str) -> None:
        """Remember the id of the platform's own Stripe account, durably."""
        ...

    async def check(self) -> None:
        """Write something small, durably, and read it back: returning proves that both can be done.

        For many processes, and again and again: it takes no room that grows.
        """
        ...
