"""Wallets: whose credit, with whom, and how their owners set them."""

import datetime as dt
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from domain.accounts import ACCOUNT_ID
from domain.ids import ID_RULE, is_object_id
from domain.money import exponent

MAX_AMOUNT: Final = 1_000_000_000_000
"""No entry moves more minor units: in millionths it still fits into 63 bits."""

MAX_MULTIPLIERS: Final = 200
_REMEMBERED: Final = 8
"""How many of their last changes settings know by name."""

SERVICE: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
SERVICE_RULE: Final = "1 to 64 lower-case letters, digits, _, . or -, the first a letter"

MULTIPLIER_RULE: Final = "a decimal from 1 to 10 with at most 4 places, such as 1.25"
_MULTIPLIER: Final = re.compile(r"[0-9]{1,2}(\.[0-9]{1,4})?")


def is_multiplier(text: str) -> bool:
    """Whether a text may be what a parent's sub-accounts pay of the platform's price."""
    return bool(_MULTIPLIER.fullmatch(text)) and 1 <= Decimal(text) <= 10


@dataclass(frozen=True, slots=True)
class Wallet:
    """Credit of `account` with its creditor: its `parent`, or the platform where that is None.

    `currency` is that of every amount in it, the deployment's BASE_CURRENCY. ValueError for what is
    no account's id, an account that is its own creditor, or a currency that Stripe does not know.
    """

    account: str
    parent: str | None
    currency: str

    def __post_init__(self) -> None:
        if not ACCOUNT_ID.fullmatch(self.account):
            raise ValueError("account: not an account's id")
        if self.parent is not None and not ACCOUNT_ID.fullmatch(self.parent):
            raise ValueError("parent: not an account's id")
        if self.parent == self.account:
            raise ValueError("parent: an account is not its own creditor")
        exponent(self.currency)

    @property
    def name(self) -> str:
        """What its entries are kept under: `acme`, or `lily@acme` with a parent."""
        return self.account if self.parent is None else f"{self.account}@{self.parent}"


@dataclass(frozen=True, slots=True)
class AutoReload:
    """When a wallet reloads itself, in minor units of its currency.

    Due while what is available is below `threshold`; `amount` is charged as often as it takes,
    `most_per_charge` at once at most and `most_per_day` on a UTC day. `payment_method` is one of
    the owner's where the wallet is paid. `off_because` says why it was given up; empty: armed.
    """

    threshold: int
    amount: int
    payment_method: str
    most_per_charge: int
    most_per_day: int
    off_because: str = ""

    def __post_init__(self) -> None:
        for name in ("threshold", "amount", "most_per_charge", "most_per_day"):
            value = getattr(self, name)
            least = 0 if name == "threshold" else 1
            if type(value) is not int or not least <= value <= MAX_AMOUNT:
                raise ValueError(f"{name}: an integer from {least} to {MAX_AMOUNT:,}")
        if not self.amount <= self.most_per_charge <= self.most_per_day:
            raise ValueError("amount: at most most_per_charge, and that at most most_per_day")
        if not is_object_id(self.payment_method):
            raise ValueError(f"payment_method: {ID_RULE}")


@dataclass(frozen=True, slots=True)
class WalletSettings:
    """What the owner (`auto_reload`) and the creditor (`multipliers`) have set.

    `multipliers`: service → what the sub-account pays of the platform's price, decimal text; under
    `*` stands that of every other service. `revision` grows by one with each change, from 1; 0 is
    that of a wallet for which nothing was ever set. `changes` are the names of the last ones, so
    that a change which is made again is known.
    """

    wallet: str
    updated_at: dt.datetime
    auto_reload: AutoReload | None = None
    multipliers: Mapping[str, str] = field(default_factory=dict)
    revision: int = 1
    changes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.revision < 0:
            raise ValueError("revision: from 0")
        if len(self.multipliers) > MAX_MULTIPLIERS:
            raise ValueError(f"multipliers: at most {MAX_MULTIPLIERS}")
        for service, multiplier in self.multipliers.items():
            if service != "*" and not SERVICE.fullmatch(service):
                raise ValueError(f"multipliers: a service has {SERVICE_RULE}")
            if not is_multiplier(multiplier):
                raise ValueError(f"multipliers: {MULTIPLIER_RULE}")

    @property
    def etag(self) -> str:
        """Another one for each revision of each wallet's settings."""
        return hashlib.sha256(f"{self.wallet}/{self.revision}".encode()).hexdigest()[:16]

    def next(self, change: str, now: dt.datetime) -> "WalletSettings":
        """The next revision, made by a change of this name."""
        changes = (*self.changes, change)[-_REMEMBERED:]
        return replace(self, updated_at=now, revision=self.revision + 1, changes=changes)

    def multiplier(self, service: str) -> str:
        """What the sub-account pays of the platform's price for a service."""
        return self.multipliers.get(service) or self.multipliers.get("*") or "1"


@dataclass(frozen=True, slots=True)
class Buyer:
    """The customer that an account is at the Stripe account where its wallet is paid."""

    account: str
    stripe_account: str
    customer: str
    created_at: dt.datetime

    def __post_init__(self) -> None:
        if not ACCOUNT_ID.fullmatch(self.account):
            raise ValueError("account: not an account's id")
        for name in ("stripe_account", "customer"):
            if not is_object_id(getattr(self, name)):
                raise ValueError(f"{name}: {ID_RULE}")
