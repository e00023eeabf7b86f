"""Trials: each subscription's, when it ended, and whether it became a customer who pays."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Final

from domain.evidence import CustomerEvidence, SubscriptionEvidence
from domain.facts import Basis, Series, Statement
from domain.mrr_reconstruction import PAID
from domain.mrr_steps import Step, by_subscription
from domain.subscriptions import Subscription

CONVERTED: Final = "converted"
PENDING: Final = "pending"
NOT_CONVERTED: Final = "not_converted"

OUTCOMES: Final = (CONVERTED, PENDING, NOT_CONVERTED)


def trials_of(evidence: CustomerEvidence, steps: Sequence[Step]) -> Iterator[Statement]:
    """What should stand of the trials of a customer that have ended, each at its end.

    One that was given to a subscription which had brought MRR before is none: that was a pause.
    """
    for id_, observations in by_subscription(evidence).items():
        own = [step for step in steps if step.subscription == id_ and step.level]
        earned = own[0].at if own else None
        trial = _ended(observations, earned)
        if trial is not None:
            told, at = trial
            kind = _outcome(evidence, observations[-1].subscription, at)
            basis = Basis.OBSERVED if at >= observations[0].at else Basis.RECONSTRUCTED
            yield Statement(
                Series.TRIAL, evidence.customer, at, kind, count=1, customer=evidence.customer,
                source=told.id, basis=basis,
            )  # fmt: skip


def _ended(
    observations: Sequence[SubscriptionEvidence], earned: dt.datetime | None
) -> tuple[Subscription, dt.datetime] | None:
    """The first trial of a subscription and when it ended, if it has."""
    for observation in observations:
        found = observation.subscription
        if found.trial_end is None or found.trial_start is None or found.status == "trialing":
            continue
        if earned is not None and earned < found.trial_start:
            return None
        end = min(found.trial_end, found.ended_at or found.trial_end)
        return (found, end) if end > found.trial_start else None
    return None


def _outcome(evidence: CustomerEvidence, latest: Subscription, end: dt.datetime) -> str:
    """Converted by the first invoice above zero that was paid after it."""
    for invoice in evidence.invoices:
        of = {line.subscription for line in invoice.lines} | {invoice.subscription}
        if latest.id not in of or invoice.created < end:
            continue
        if invoice.status == PAID and invoice.amount_paid.amount > 0:
            return CONVERTED
    return NOT_CONVERTED if latest.ended else PENDING
