"""Lapses: what becomes of something sold that recurs, as its buyer and its seller pay or do not.

Pure rules (docs/checkout.md, "When somebody does not pay"). What is to be so is told, not what is
to be done: whoever carries it out compares it with what is so, and may do that again at any time.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.invoices import Invoice
from domain.store_subscriptions import Standing, StoreSubscription
from domain.subscriptions import Subscription

SUSPENDED_AFTER: Final = dt.timedelta(days=7)
ENDED_AFTER: Final = dt.timedelta(days=30)
"""How long the buyer may be past due; the second is also the longest that a lapse of the seller's
lasts."""

SHORT_FOR: Final = dt.timedelta(days=3)
"""How long the seller's wallet may be below its overdraft."""

DRAFT_TIME: Final = dt.timedelta(days=1)
"""How old a draft counts as unpaid. Stripe leaves one alone for an hour ("Invoicing")."""

END_SLACK: Final = dt.timedelta(hours=1)
"""How long after a period's end Stripe may end a subscription, and mean that end."""

_UNPAID: Final = ("open", "uncollectible")
_FIRST: Final = "subscription_create"
_LOST: Final = ("paused", "unpaid")
"""The statuses in which a subscription runs no more, whatever may be made of it yet."""


class Why(StrEnum):
    """Why something is suspended or has ended: for people, and for those who provision it."""

    PAST_DUE = "PAST_DUE"
    """The buyer does not pay."""

    RENEWAL_ENDED = "RENEWAL_ENDED"
    """The buyer's subscription has ended, or runs no more."""

    RENEWAL_REFUSED = "RENEWAL_REFUSED"
    """There has never been one."""

    REFUNDED = "REFUNDED"
    """The sale was given back, as a whole."""

    SELLER_LAPSED = "SELLER_LAPSED"
    """The seller does not pay the platform."""

    SELLER_DISCONNECTED = "SELLER_DISCONNECTED"
    """The seller's Stripe account is out of reach."""


@dataclass(frozen=True, slots=True)
class BuyersSide:
    """How the buyer's subscription at the seller's stands: `runs`, or since when it does not.

    `unpaid_since`: since when an invoice is unpaid. `ends_by`: when it is to end, as planned there.
    """

    runs: bool = True
    ended_at: dt.datetime | None = None
    unpaid_since: dt.datetime | None = None
    ends_by: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class SellersSide:
    """How the seller stands with the platform: all is well, where nothing is told.

    `connected`: its Stripe account can be reached. `subscribed`: its own subscription runs, where
    it pays by one. `short_since`: since when its wallet is below its overdraft.
    """

    connected: bool = True
    subscribed: bool = True
    short_since: dt.datetime | None = None

    def lapsed(self, now: dt.datetime) -> bool:
        """Whether it does not pay the platform any more."""
        short = self.short_since
        return not self.subscribed or (short is not None and now >= short + SHORT_FOR)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be so.

    - `standing`, and `why` where it is not active.
    - `ends_at`: when it ends, or has ended, where that is decided; None: now, where it is ended.
    - `collects`: whether the buyer's payments are collected.
    - `look_at`: when the time alone may change the verdict; None: no more.
    """

    standing: Standing
    why: str = ""
    ends_at: dt.datetime | None = None
    collects: bool = True
    look_at: dt.datetime | None = None


def buyers_side(
    subscription: Subscription, invoices: Iterable[Invoice], now: dt.datetime
) -> BuyersSide:
    """How the buyer stands, by its subscription and the latest invoices of it."""
    runs = not subscription.ended and subscription.status not in _LOST
    return BuyersSide(
        runs=runs,
        ended_at=subscription.ended_at if subscription.ended else None,
        unpaid_since=unpaid_since(invoices, now),
        ends_by=subscription.cancel_at if runs else None,
    )


def unpaid_since(invoices: Iterable[Invoice], now: dt.datetime) -> dt.datetime | None:
    """Since when an invoice of a renewal is unpaid; None: all are paid, or nobody has to.

    The first one, of the subscription itself, counts for nothing: the sale has paid that period.
    What the seller has voided is forgiven; what is held back as a draft, or given up as
    uncollectible, is not.
    """
    return min((_due(invoice) for invoice in invoices if _is_unpaid(invoice, now)), default=None)


def _is_unpaid(invoice: Invoice, now: dt.datetime) -> bool:
    if invoice.billing_reason == _FIRST or invoice.amount_remaining.amount <= 0:
        return False
    if invoice.status == "draft":
        return now >= invoice.created + DRAFT_TIME
    return invoice.status in _UNPAID


def _due(invoice: Invoice) -> dt.datetime:
    return invoice.due_date or invoice.finalized_at or invoice.created


def verdict(
    sold: StoreSubscription, buyer: BuyersSide, seller: SellersSide, now: dt.datetime, *,
    returned: bool = False,
) -> Verdict:  # fmt: skip
    """What is to become of something sold, as it stands with its buyer and seller now.

    `returned`: the sale was given back as a whole. An ended one stays ended.
    """
    if not sold.stands:
        return Verdict(Standing.ENDED, sold.why)
    if returned:
        return Verdict(Standing.ENDED, Why.REFUNDED)
    decided = _decided(sold, buyer, now)
    ends = [*decided, *_threatening(sold, buyer, seller, now)]
    end, why = min(ends, default=(None, ""))
    if end is not None and now >= end:
        return Verdict(Standing.ENDED, why, end)
    why, collects = _why_suspended(buyer, seller, now)
    standing = Standing.SUSPENDED if why else Standing.ACTIVE
    ends_at = min(decided)[0] if decided else None
    times = [end, buyer.ends_by, *_steps(buyer, seller)]
    look_at = min((time for time in times if time is not None and time > now), default=None)
    return Verdict(standing, why, ends_at, collects, look_at)


_End = tuple[dt.datetime, Why]


def _decided(sold: StoreSubscription, buyer: BuyersSide, now: dt.datetime) -> list[_End]:
    """The ends that nothing averts any more."""
    ends: list[_End] = []
    if sold.ends_at is not None:
        refused = sold.renewal is None
        ends.append((sold.ends_at, Why.RENEWAL_REFUSED if refused else Why.RENEWAL_ENDED))
    if not buyer.runs:
        # What was paid for is given, unless something was not paid for.
        owes = buyer.unpaid_since is not None
        end = now if owes else paid_until(sold, buyer.ended_at or now)
        ends.append((end, Why.PAST_DUE if owes else Why.RENEWAL_ENDED))
    return ends


def _threatening(
    sold: StoreSubscription, buyer: BuyersSide, seller: SellersSide, now: dt.datetime
) -> list[_End]:
    """The ends that come unless somebody pays."""
    ends: list[_End] = []
    if buyer.unpaid_since is not None:
        ends.append((buyer.unpaid_since + ENDED_AFTER, Why.PAST_DUE))
    if seller.lapsed(now):
        ends.append((_sellers_end(sold, now), Why.SELLER_LAPSED))
    return ends


def _steps(buyer: BuyersSide, seller: SellersSide) -> list[dt.datetime]:
    """When each is too late to stay in service."""
    steps: list[dt.datetime] = []
    if buyer.unpaid_since is not None:
        steps.append(buyer.unpaid_since + SUSPENDED_AFTER)
    if seller.short_since is not None:
        steps.append(seller.short_since + SHORT_FOR)
    return steps


def paid_until(sold: StoreSubscription, ended_at: dt.datetime) -> dt.datetime:
    """The end of the period in which a renewal ended, by our own calendar.

    At the very end of one, or a moment after it, that one is meant.
    """
    return sold.cycle.boundary(max(1, sold.cycle.number_at(ended_at - END_SLACK)))


def _sellers_end(sold: StoreSubscription, now: dt.datetime) -> dt.datetime:
    """How long a lapse of the seller's may last: for what the buyer has paid for, 30 days at most.

    After that the buyer, whose payments are not collected, has paid for nothing.
    """
    known = sold.suspended_at if sold.why == Why.SELLER_LAPSED else None
    since = known or now
    return min(since + ENDED_AFTER, sold.cycle.boundary(max(1, sold.cycle.number_at(since))))


def _why_suspended(
    buyer: BuyersSide, seller: SellersSide, now: dt.datetime
) -> tuple[Why | str, bool]:
    """Why it is suspended, empty where it is not; and whether the buyer's payments are collected.

    The seller goes before the buyer: who gets nothing is not to pay.
    """
    if not seller.connected:
        return Why.SELLER_DISCONNECTED, True
    if seller.lapsed(now):
        return Why.SELLER_LAPSED, False
    past_due = buyer.unpaid_since
    if past_due is not None and now >= past_due + SUSPENDED_AFTER:
        return Why.PAST_DUE, True
    return "", True
