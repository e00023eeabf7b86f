"""Reloads: what a payment buys, how it stands at Stripe, and what of it was given back.

Pure rules. What is posted for them is in `domain.ledger`.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from domain.disputes import Dispute
from domain.money import Money, charge_step, exponent, largest_charge, smallest_charge
from domain.rates import Rate
from domain.refunds import Refund

ACTION_TIME: Final = dt.timedelta(hours=1)
"""How long a payer may take to confirm, or to give another payment method."""

RATE_AGE: Final = dt.timedelta(hours=24)
"""How long after the end of its day a rate still counts."""

AGAIN_AFTER: Final = (dt.timedelta(hours=1), dt.timedelta(days=1), dt.timedelta(days=3))
"""How long after each decline in a row a wallet that reloads itself tries again."""

FINAL_DECLINES: Final = frozenset(
    {
        "authentication_required", "do_not_try_again", "expired_card", "fraudulent",
        "incorrect_number", "invalid_account", "invalid_number", "lost_card", "no_account",
        "pickup_card", "restricted_card", "revocation_of_all_authorizations",
        "revocation_of_authorization", "stolen_card", "stop_payment_order",
    }
)  # fmt: skip
"""Declines that the same payment method will not get over without the payer (Stripe's docs,
"Decline codes", "Card authentication and 3D Secure"), and the advice that says so."""


class ReloadState(StrEnum):
    """How far a reload has come, in words for people."""

    FROZEN = "frozen"
    CHARGING = "charging"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    PAID = "paid"
    CREDITED = "credited"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    NEEDS_ATTENTION = "needs_attention"

    @property
    def was_paid(self) -> bool:
        """Whether the payment succeeded."""
        return self in (ReloadState.PAID, ReloadState.CREDITED)

    @property
    def ended_unpaid(self) -> bool:
        """Whether it was not paid, and will not be."""
        return self in (ReloadState.FAILED, ReloadState.CANCELED, ReloadState.EXPIRED)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a payment must be before it is credited, as it was fixed before Stripe was called."""

    payment_intent: str
    customer: str
    amount: Money
    livemode: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """What Stripe shows of a payment that succeeded."""

    payment_intent: str
    customer: str
    amount: Money
    received: Money
    livemode: bool


def differences(wanted: Wanted, shown: Shown) -> Sequence[str]:
    """The names of what is not as it was asked for; none: it may be credited."""
    pairs = {
        "payment_intent": (wanted.payment_intent, shown.payment_intent),
        "customer": (wanted.customer, shown.customer),
        "livemode": (wanted.livemode, shown.livemode),
        "currency": (wanted.amount.currency, shown.amount.currency),
        "amount_received": (wanted.amount, shown.received),
    }
    return [name for name, (one, other) in pairs.items() if one != other]


def credit_of(amount: Money, rate: str, currency: str) -> int:
    """What a payment buys, in minor units of the wallet's currency, rounded half to even, once.

    `rate`: units of the wallet's currency for one unit of the payment's, both major; empty within
    one currency.
    """
    if not rate:
        return amount.amount
    minor = Fraction(Decimal(rate)) * Fraction(10) ** (
        exponent(currency) - exponent(amount.currency)
    )
    return amount.times(minor, currency).amount


def usable_rate(rates: Iterable[Rate], now: dt.datetime) -> Rate | None:
    """The latest of some rates of one currency that counts now; None where none does.

    A rate is that of a UTC day. It counts from the day's beginning until RATE_AGE after its end: so
    today's and yesterday's do.
    """
    latest = max((rate for rate in rates if rate.date <= now.date()), key=_date, default=None)
    return latest if latest is not None and now - _end_of(latest) < RATE_AGE else None


def _date(rate: Rate) -> dt.date:
    return rate.date


def _end_of(rate: Rate) -> dt.datetime:
    return rate_time(rate) + dt.timedelta(days=1)


def rate_time(rate: Rate) -> dt.datetime:
    """When a rate was true: the beginning of its UTC day."""
    return dt.datetime.combine(rate.date, dt.time(), dt.UTC)


def amount_rules(amount: int, currency: str) -> Sequence[str]:
    """What forbids Stripe to charge an amount in a known currency; every rule that it breaks."""
    least, most, step = smallest_charge(currency), largest_charge(currency), charge_step(currency)
    rules = []
    if not least <= amount <= most:
        rules.append(f"{least:,} to {most:,} minor units of {currency}")
    if amount % step:
        rules.append(f"a multiple of {step} minor units of {currency}")
    return rules


@dataclass(frozen=True, slots=True)
class Lost:
    """What of a payment is gone and what is withheld, in minor units of its currency."""

    gone: int = 0
    withheld: int = 0

    @property
    def left(self) -> int:
        """Both together."""
        return self.gone + self.withheld


def lost_of(paid: int, refunds: Iterable[Refund], disputes: Iterable[Dispute]) -> Lost:
    """What of a payment of `paid` minor units is lost, by how its refunds and disputes stand now.

    Gone are refunds that succeeded and disputes that were lost; withheld is what open disputes have
    withdrawn. Both together are never more than was paid. An inquiry, a prevented and a won dispute
    lose nothing (docs, "How disputes work"). An open one has the money between its first balance
    transaction and its second one, which returns it.
    """
    refunded = sum(one.amount.amount for one in refunds if one.status == "succeeded")
    contested = list(disputes)
    given_up = sum(one.amount.amount for one in contested if one.status == "lost")
    gone = min(paid, refunded + given_up)
    out = sum(one.amount.amount for one in contested if _withholds(one))
    return Lost(gone, min(paid - gone, out))


def _withholds(dispute: Dispute) -> bool:
    settled = dispute.status in ("lost", "won", "prevented")
    if settled or dispute.status.startswith("warning_"):
        return False
    return len(dispute.balance_transactions) % 2 == 1


def due_charge(available: int, threshold: int, amount: int) -> int:
    """What a wallet is to reload itself by: the smallest multiple of `amount` with which at least
    `threshold` is available. 0 where that is so already.
    """
    short = threshold - available
    return 0 if short <= 0 else -(-short // amount) * amount


def again_at(declines: Sequence[str], last: dt.datetime) -> dt.datetime | None:
    """When a wallet tries again after declines in a row, the last one at `last`. None: never.

    `declines` are Stripe's codes, or its advice where that is final.
    """
    if any(code in FINAL_DECLINES for code in declines) or len(declines) > len(AGAIN_AFTER):
        return None
    return last if not declines else last + AGAIN_AFTER[len(declines) - 1]
