"""Accounts: the tenants of the platform. They belong to the platform; Billing reads them."""

import re
from dataclasses import dataclass
from typing import Final

from domain.money import CURRENCIES

ACCOUNT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


MAX_FLAGS: Final = 100
MAX_WORD: Final = 64
"""How many characters a flag, a tier or an owner has at most."""


@dataclass(frozen=True, slots=True)
class Account:
    """A tenant. `parent` is None for a main account; `currency` is lower-case ISO 4217.

    `owner` is the platform's id of the person whose account it is, `tier` its plan with the
    platform; empty: not known. `flags` are what the platform lets it do. All are opaque words.
    """

    id: str
    name: str
    currency: str
    parent: str | None = None
    owner: str = ""
    tier: str = ""
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not ACCOUNT_ID.fullmatch(self.id):
            raise ValueError("id: 1 to 64 letters, digits, - or _, the first a letter or digit")
        if self.currency not in CURRENCIES:
            raise ValueError("currency: a currency that Stripe knows, lower-case ISO 4217")
        if self.parent == self.id:
            raise ValueError("parent: an account is not its own parent")
        if max(map(len, (self.owner, self.tier))) > MAX_WORD:
            raise ValueError(f"owner, tier: at most {MAX_WORD} characters")
        if len(self.flags) > MAX_FLAGS or not all(
            1 <= len(flag) <= MAX_WORD for flag in self.flags
        ):
            raise ValueError(f"flags: at most {MAX_FLAGS}, of 1 to {MAX_WORD} characters")
