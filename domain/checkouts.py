"""Checkouts: how far a sale has come, and how its payment stands at Stripe.

Pure rules. What it comes to is in `domain.quotes`.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.money import Money
from domain.reloads import Lost

ACTION_TIME: Final = dt.timedelta(hours=1)
"""How long a buyer may take to confirm, or to give another payment method."""

CAPTURE_TIME: Final = dt.timedelta(hours=24)
"""How long after the authorisation a payment is captured at the latest."""

CAPTURE_MARGIN: Final = dt.timedelta(hours=1)
"""How long before the bank lets go of an authorisation it is captured at the latest."""


class CheckoutState(StrEnum):
    """How far a checkout has come, in words for people."""

    PRICED = "priced"
    HELD = "held"
    AWAITING_CUSTOMER = "awaiting_customer"
    PAYING = "paying"
    AUTHORISED = "authorised"
    SUBSCRIBED = "subscribed"
    CAPTURED = "captured"
    SETTLED = "settled"
    COMPLETED = "completed"
    COMPENSATING = "compensating"
    CANCELED = "canceled"
    NEEDS_ATTENTION = "needs_attention"
    REFUNDING = "refunding"
    PARTLY_REFUNDED = "partly_refunded"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    LAPSED = "lapsed"

    @property
    def may_be_canceled(self) -> bool:
        """Whether the buyer may still give it up: it is not captured."""
        return self in _BEFORE_CAPTURE


_BEFORE_CAPTURE: Final = frozenset(
    {
        CheckoutState.PRICED, CheckoutState.HELD, CheckoutState.AWAITING_CUSTOMER,
        CheckoutState.PAYING, CheckoutState.AUTHORISED, CheckoutState.SUBSCRIBED,
    }
)  # fmt: skip


def state_at_rest(
    lost: Lost, *, refunding: bool, returned: bool, lapsed: bool
) -> CheckoutState:  # fmt: skip
    """How a completed sale stands, by what of its payment is lost.

    `refunding`: a part is being given back. `returned`: all of it was. `lapsed`: what was bought
    has ended, since somebody did not pay or did not renew it.
    """
    states = (
        (refunding, CheckoutState.REFUNDING),
        (lost.withheld > 0, CheckoutState.DISPUTED),
        (returned, CheckoutState.REFUNDED),
        (lapsed, CheckoutState.LAPSED),
        (lost.gone > 0, CheckoutState.PARTLY_REFUNDED),
    )
    return next((state for holds, state in states if holds), CheckoutState.COMPLETED)


def capture_by(authorised_at: dt.datetime, capture_before: dt.datetime | None) -> dt.datetime:
    """When a payment is captured at the latest; `capture_before` is Stripe's own limit, if told."""
    latest = authorised_at + CAPTURE_TIME
    return latest if capture_before is None else min(latest, capture_before - CAPTURE_MARGIN)


@dataclass(frozen=True, slots=True)
class Sale:
    """What a payment must be before anything is given for it, or what Stripe shows of it."""

    payment_intent: str
    customer: str
    amount: Money
    livemode: bool


def differences(wanted: Sale, shown: Sale) -> Iterator[str]:
    """The names of what Stripe shows otherwise than it was asked for."""
    for name in ("payment_intent", "customer", "amount", "livemode"):
        if getattr(wanted, name) != getattr(shown, name):
            yield name
