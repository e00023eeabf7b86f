"""What callers ask of wallets."""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from domain.money import Money
from domain.wallets import AutoReload


@dataclass(frozen=True, slots=True)
class Debit:
    """Units of a service to pay for."""

    service: str
    quantity: int
    description: str = ""


@dataclass(frozen=True, slots=True)
class UsageRefund:
    """Units to give back of the entry of usage or cost with this sequence."""

    sequence: int
    quantity: int
    reason: str


class AdjustmentKind(StrEnum):
    """What a creditor may do to a wallet."""

    GRANT = "grant"
    WRITE_OFF = "write_off"
    OVERDRAFT = "overdraft"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """One of these, with its amount in minor units; `kind` None where the caller named none."""

    kind: AdjustmentKind | None
    amount: int
    currency: str
    reason: str


@dataclass(frozen=True, slots=True)
class ListEntries:
    """A page of entries, newest first."""

    page_size: int = 0
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class ReloadOrder:
    """Credit to buy for `amount` minor units of `currency`.

    Empty `payment_method`: the owner's default where it is paid. `keeps_method`: keep it for
    payments without the payer.
    """

    amount: int
    currency: str
    payment_method: str = ""
    keeps_method: bool = False

    @property
    def paid(self) -> Money:
        """What the payer pays. ValueError for what is no currency."""
        return Money(self.amount, self.currency)


@dataclass(frozen=True, slots=True)
class ReloadRetry:
    """A declined reload to try with another payment method."""

    reload: str
    payment_method: str


@dataclass(frozen=True, slots=True)
class ReloadPart:
    """A part of a reload's payment to give back, in minor units of its currency."""

    reload: str
    amount: int
    currency: str
    reason: str


class Resolution(StrEnum):
    """What becomes of a reload that needs attention. CLOSE ends it where it stands."""

    RETRY = "retry"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class ReloadDecision:
    """What people have decided about a reload, and why."""

    reload: str
    resolution: Resolution | None
    reason: str


@dataclass(frozen=True, slots=True)
class ListReloads:
    """A page of reloads, newest first."""

    page_size: int = 0
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class AutoReloadValues:
    """When a wallet is to reload itself, as the caller wrote it: nothing is checked yet."""

    threshold: int
    amount: int
    payment_method: str
    most_per_charge: int
    most_per_day: int


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """Another auto-reload, None for none. Empty `etag`: whatever it is."""

    auto_reload: AutoReload | None
    etag: str


@dataclass(frozen=True, slots=True)
class RebillingChange:
    """Other multipliers, all of them. Empty `etag`: whatever it is."""

    multipliers: dict[str, str]
    etag: str


@dataclass(frozen=True, slots=True)
class Span:
    """A period; None: as far as there is something."""

    start: dt.datetime | None = None
    end: dt.datetime | None = None
