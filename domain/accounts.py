"""Accounts: the tenants of the platform. They belong to the platform; Billing reads them."""

import re
from dataclasses import dataclass
from typing import Final

from domain.money import CURRENCIES

ACCOUNT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Account:
    """A tenant. `parent` is None for a main account; `currency` is lower-case ISO 4217."""

    id: str
    name: str
    currency: str
    parent: str | None = None

    def __post_init__(self) -> None:
        if not ACCOUNT_ID.fullmatch(self.id):
            raise ValueError("id: 1 to 64 letters, digits, - or _, the first a letter or digit")
        if self.currency not in CURRENCIES:
            raise ValueError("currency: a currency that Stripe knows, lower-case ISO 4217")
        if self.parent == self.id:
            raise ValueError("parent: an account is not its own parent")
