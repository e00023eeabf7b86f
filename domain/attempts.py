"""Attempts: what became of a payment, by the charges that tried to take it.

docs/metrics.md defines the words; the facet stands on the payment intent's row.
"""

from collections.abc import Sequence
from enum import StrEnum
from functools import reduce
from typing import Final

from domain.analytics import FAILED, SUCCEEDED
from domain.charges import Charge
from domain.mirror import Facet, Snapshot, Version
from domain.periods import to_milliseconds

ATTEMPTS: Final = "attempts"
"""The facet of a payment intent that tells of its charges."""

BLOCKED: Final = "blocked"
"""The `outcome_type` of what Stripe did not let through: neither success nor failure."""

_MOST_STEPS: Final = 999


class PaymentOutcome(StrEnum):
    """What became of a payment; each is exactly one."""

    PAID = "paid"
    OPEN = "open"
    FAILED = "failed"
    BLOCKED = "blocked"


def took_money(charge: Charge) -> bool:
    """Whether a charge is a success: an authorisation alone is none."""
    return charge.status == SUCCEEDED and charge.amount_captured.amount > 0


def declined(charge: Charge) -> bool:
    """Whether a charge failed, and not because Stripe blocked it."""
    return charge.status == FAILED and charge.outcome_type != BLOCKED


def outcome_of(status: str, outcome_type: str | None, *, paid: bool) -> PaymentOutcome:
    """What became of a payment of one charge."""
    if paid:
        return PaymentOutcome.PAID
    if status != FAILED:
        return PaymentOutcome.OPEN
    return PaymentOutcome.BLOCKED if outcome_type == BLOCKED else PaymentOutcome.FAILED


def attempts(intent: str, snapshots: Sequence[Snapshot[Charge]]) -> Facet | None:
    """What all charges of an intent tell of it; None where there is none.

    `first_attempt` is in milliseconds, `captured` in minor units of `currency`, that of the first
    attempt. `recovered`: an attempt was declined before the first that took money.
    """
    live = [(snapshot.object, snapshot) for snapshot in snapshots if snapshot.object is not None]
    if not live:
        return None
    live.sort(key=lambda pair: (pair[0].created, pair[0].id))
    charges = [charge for charge, _ in live]
    first, taken = charges[0], [took_money(charge) for charge in charges]
    before_success = charges[: taken.index(True)] if any(taken) else []
    values = {
        "first_attempt": to_milliseconds(first.created),
        "currency": first.amount.currency,
        "outcome": _outcome(charges),
        "recovered": any(map(declined, before_success)),
        "count": len(charges),
        "captured": sum(charge.amount_captured.amount for charge in charges if took_money(charge)),
    }
    version = reduce(Version.joined, (snapshot.version for _, snapshot in live))
    account = live[0][1].stripe_account
    return Facet(account, intent, ATTEMPTS, values, _after_steps(version, charges))


def _outcome(charges: Sequence[Charge]) -> PaymentOutcome:
    if any(map(took_money, charges)):
        return PaymentOutcome.PAID
    if any(charge.status != FAILED for charge in charges):
        return PaymentOutcome.OPEN
    return PaymentOutcome.FAILED if any(map(declined, charges)) else PaymentOutcome.BLOCKED


def _after_steps(version: Version, charges: Sequence[Charge]) -> Version:
    """The version, later by a millisecond a step that the charges have gone.

    Stripe tells whole seconds, and several attempts may fall into one: whoever has seen more of
    them is then the later, whichever of two processes writes last.
    """
    ended = sum(charge.status == FAILED or took_money(charge) for charge in charges)
    high = version.high + min(len(charges) + ended, _MOST_STEPS)
    return Version(version.low, high, version.sent_at, version.known_at)
