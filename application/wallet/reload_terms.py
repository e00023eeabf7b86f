"""What is fixed of a reload before Stripe is called, and what it learns afterwards."""

import datetime as dt
from dataclasses import dataclass
from typing import Final

import msgspec

from application.processes.ports import ProcessRecord
from domain.ledger_amounts import share
from domain.money import Money
from domain.reloads import Lost, ReloadState
from domain.wallets import Wallet

KIND: Final = "reload"
"""The kind of the process, and so the beginning of its ids."""


@dataclass(frozen=True, slots=True)
class ReloadTerms:
    """What never changes. Amounts are in minor units: `amount` of `currency`, `credit` of the
    wallet's.

    `rate` is a decimal, empty within one currency; `rate_source` says whose it is, `rate_time` when
    it was true. `automatic`: the wallet reloads itself. `keeps_method`: for payments without the
    payer.
    """

    account: str
    parent: str | None
    wallet_currency: str
    stripe_account: str
    livemode: bool
    customer: str
    payment_method: str
    amount: int
    currency: str
    credit: int
    rate: str = ""
    rate_source: str = ""
    rate_time: dt.datetime | None = None
    automatic: bool = False
    keeps_method: bool = False

    @property
    def wallet(self) -> Wallet:
        """The wallet that is reloaded."""
        return Wallet(self.account, self.parent, self.wallet_currency)

    @property
    def paid(self) -> Money:
        """What the payer pays."""
        return Money(self.amount, self.currency)

    def worth(self, lost: Lost) -> int:
        """What a part of the payment is worth in the wallet's currency."""
        return share(self.credit, lost.left, self.amount)


@dataclass(frozen=True, slots=True)
class PartOrder:
    """A part of the payment that the creditor gives back.

    `number` counts them from 1. `held` is what of the wallet is set aside meanwhile. `outcome` is
    empty while it is under way, GIVEN_BACK, or the reason for which it was not.
    """

    number: int
    request_id: str
    amount: int
    reason: str
    held: int
    outcome: str = ""


GIVEN_BACK: Final = "given_back"
REFUND_FAILED: Final = "REFUND_FAILED"


@dataclass(frozen=True, slots=True)
class Learnt:
    """How far the payment is, and what of it is lost.

    - `attempt` counts the confirmations; `payment_method` is that of the last one (empty: that of
      the terms), `request_ids` who asked for one again.
    - `asks_since`: since when the payer has to do something. `cancels` counts the tries to cancel,
      `gone_for_good` tells that one succeeded.
    - `number`, `gone`, `withheld`: the targets of the last reversal, which are stored before it is
      posted; `unposted` tells that it may not be, `hold` which hold it ends.
    - `changed_at`: when it last changed otherwise than in its state.
    """

    payment_intent: str = ""
    charge: str = ""
    attempt: int = 1
    payment_method: str = ""
    request_ids: tuple[str, ...] = ()
    asks_since: dt.datetime | None = None
    cancels: int = 0
    gone_for_good: bool = False
    decline_code: str = ""
    advice: str = ""
    number: int = 0
    gone: int = 0
    withheld: int = 0
    unposted: bool = False
    hold: str = ""
    parts: tuple[PartOrder, ...] = ()
    changed_at: dt.datetime | None = None

    @property
    def lost(self) -> Lost:
        """What of the payment is lost, by the last reversal."""
        return Lost(self.gone, self.withheld)

    @property
    def under_way(self) -> int:
        """What is being given back, in minor units of the payment's currency."""
        return sum(part.amount for part in self.parts if not part.outcome)


def terms_of(record: ProcessRecord) -> ReloadTerms:
    """What was fixed of a reload."""
    return msgspec.json.decode(record.frozen, type=ReloadTerms)


def learnt_of(record: ProcessRecord) -> Learnt:
    """What a reload has learnt."""
    return msgspec.json.decode(record.progress.data, type=Learnt)


def state_of(record: ProcessRecord) -> ReloadState | None:
    """How far a reload is; None where an operator has closed it in a word of his own."""
    state = record.progress.state
    return ReloadState(state) if state in {*ReloadState} else None


def claim(wallet: Wallet) -> str:
    """What a wallet's one open reload has, and no other."""
    return f"{KIND}/{wallet.name}"
