"""Accounts of the platform."""

from collections.abc import Sequence
from typing import Protocol

from domain.accounts import Account


class Accounts(Protocol):
    """Reads the platform's accounts; the embedded setting keeps them as well.

    Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def get(self, account: str) -> Account | None:
        """The account of an id, or None."""
        ...

    async def add(self, account: Account) -> None:
        """Keep a new account, durably. Raises AlreadyExists where the id is taken."""
        ...

    async def list_all(self, *, after: str, limit: int) -> Sequence[Account]:
        """Accounts of the whole platform with an id above `after`, in order of id.

        For operators: it reads across tenants.
        """
        ...
