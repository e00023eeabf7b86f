"""Steps of MRR: how the level of each subscription of a customer went, from his evidence.

The same for any order in which evidence came: it is sorted by Stripe's time first.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from domain.coupons import Discount
from domain.discount_rules import ends_of
from domain.evidence import CustomerEvidence, DiscountEvidence, SubscriptionEvidence
from domain.facts import Basis
from domain.mrr_levels import NOTHING, Level, discounts_of, is_idle, level_of
from domain.mrr_reconstruction import reconstructed
from domain.subscriptions import Subscription

CREATED: Final = "customer.subscription.created"
DISCOUNT_ENDED: Final = "discount_ended"
PAUSED: Final = "paused"
RESUMED: Final = "resumed"
VOLUNTARY: Final = "voluntary"
INVOLUNTARY: Final = "involuntary"
UNKNOWN: Final = "unknown"

_REASONS: Final = {
    "cancellation_requested": VOLUNTARY,
    "payment_failed": INVOLUNTARY,
    "payment_disputed": INVOLUNTARY,
}
_SECOND: Final = dt.timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Step:
    """From `at` on a subscription has this level. `why` names what made it so, where that is told.

    `paused`: it goes on and brings nothing, after it had. `scheduled`: its cancellation is. `seam`:
    the first that was observed of one that is older; what came before is reconstructed.
    """

    subscription: str
    at: dt.datetime
    level: Level
    why: str = ""
    paused: bool = False
    scheduled: bool = False
    seam: bool = False
    basis: Basis = Basis.OBSERVED


def steps_of(evidence: CustomerEvidence, until: dt.datetime) -> list[Step]:
    """The steps of all his subscriptions, by time; none after `until`."""
    known = known_discounts(evidence)
    his = _of_customer(evidence.discounts)
    steps: list[Step] = []
    for observations in by_subscription(evidence).values():
        own = [*_before(observations, evidence), *_observed(observations, his, known, until)]
        steps += _told_paused(own)
    return sorted(steps, key=lambda step: (step.at, not step.seam, step.subscription))


def next_end(evidence: CustomerEvidence, after: dt.datetime) -> dt.datetime | None:
    """When the next discount ends that may move his MRR without an event; None: none will."""
    ends = ends_of(known_discounts(evidence).values())
    return min((end for end in ends if end > after), default=None)


def by_subscription(evidence: CustomerEvidence) -> dict[str, list[SubscriptionEvidence]]:
    """What was observed of each subscription, in order; what one did not tell is as before."""
    found: dict[str, list[SubscriptionEvidence]] = {}
    for observation in sorted(evidence.subscriptions, key=_order):
        earlier = found.setdefault(observation.subscription.id, [])
        if any(observation.id == other.id for other in earlier):
            continue  # told twice
        before = earlier[-1].subscription if earlier else None
        earlier.append(_completed(observation, before))
    return found


def known_discounts(evidence: CustomerEvidence) -> dict[str, Discount]:
    """Every discount that anybody told of, by id, with its coupon where any of them knew it."""
    known: dict[str, Discount] = {}
    told = [
        discount
        for observation in sorted(evidence.subscriptions, key=_order)
        for discount in observation.subscription.discount_details
    ]
    told += [
        each.discount
        for each in sorted(evidence.discounts, key=_discount_order)
        if each.discount is not None
    ]
    for discount in told:
        before = known.get(discount.id, discount)
        coupon = discount.coupon or before.coupon or evidence.coupons.get(discount.id)
        end = discount.end or before.end
        known[discount.id] = replace(discount, coupon=coupon, end=end)
    for id_, coupon in evidence.coupons.items():
        known.setdefault(id_, Discount(id_, coupon.id, coupon))
    return known


def churn_cause(subscription: Subscription) -> str:
    """Whether a subscription that brings nothing any more was given up by the customer."""
    if subscription.status == "unpaid":
        return INVOLUNTARY
    return _REASONS.get(subscription.cancellation_reason or "", UNKNOWN)


def is_whole(observations: Sequence[SubscriptionEvidence]) -> bool:
    """Whether a subscription was observed from its first second."""
    first = observations[0]
    return first.event_type == CREATED or first.at <= first.subscription.created


def _order(observation: SubscriptionEvidence) -> tuple[object, ...]:
    """By Stripe's seconds; of one second the creation first and what ended it last."""
    place = 1 if observation.is_first_read else 0 if observation.event_type == CREATED else 2
    return observation.at, observation.subscription.ended, place, observation.id


def _completed(
    observation: SubscriptionEvidence, before: Subscription | None
) -> SubscriptionEvidence:
    if before is None or not observation.unknown:
        return observation
    names = [name for name in observation.unknown if hasattr(before, name)]
    kept = {name: getattr(before, name) for name in names}
    return replace(observation, subscription=replace(observation.subscription, **kept))


def _discount_order(each: DiscountEvidence) -> tuple[object, ...]:
    """By Stripe's seconds; of one second a discount goes before the next comes."""
    return each.at, each.discount is not None, each.id


def _of_customer(
    discounts: Iterable[DiscountEvidence],
) -> list[tuple[dt.datetime, Discount | None]]:
    return [(each.at, each.discount) for each in sorted(discounts, key=_discount_order)]


def _before(
    observations: Sequence[SubscriptionEvidence], evidence: CustomerEvidence
) -> Iterator[Step]:
    """The steps of before the first observation, of one that is older."""
    if is_whole(observations):
        return
    first = observations[0]
    found = first.subscription
    levels = reconstructed(found, first.at, evidence.invoices, evidence.prices, evidence.coupons)
    why = churn_cause(found) if found.ended or found.status == "unpaid" else UNKNOWN
    for at, level in levels:
        cause = "" if level else why
        yield Step(found.id, at, level, cause, basis=Basis.RECONSTRUCTED)


def _observed(
    observations: Sequence[SubscriptionEvidence],
    his: Sequence[tuple[dt.datetime, Discount | None]],
    known: Mapping[str, Discount],
    until: dt.datetime,
) -> Iterator[Step]:
    """A step an observation, and where a discount begins or ends between two of them."""
    starts = _starts(observations)
    ends = [*starts[1:], until + _SECOND]
    told: _Priced | None = None
    level = NOTHING
    for place, (observation, start, end) in enumerate(zip(observations, starts, ends, strict=True)):
        found = observation.subscription
        if start > until:
            return
        seam = place == 0 and not is_whole(observations)
        priced = _priced(found, his)
        if priced is None or priced != told:  # most events of a subscription price nothing anew
            told, level = priced, _level(found, start, his, known)
        yield _step(found, start, level, seam=seam)
        for turn in _turns(found, his, known, start, min(end, until + _SECOND)):
            yield _step(found, turn, _level(found, turn, his, known), why=DISCOUNT_ENDED)


def _starts(observations: Sequence[SubscriptionEvidence]) -> list[dt.datetime]:
    """Since when each state was true: what has ended since its end, else since it was observed."""
    starts = [observations[0].at]
    for observation in observations[1:]:
        found, at = observation.subscription, observation.at
        if found.ended and found.ended_at is not None:
            at = min(at, found.ended_at)
        starts.append(max(starts[-1], at))
    return starts


def _turns(
    found: Subscription,
    his: Sequence[tuple[dt.datetime, Discount | None]],
    known: Mapping[str, Discount],
    start: dt.datetime,
    end: dt.datetime,
) -> list[dt.datetime]:
    """When a discount begins or ends after `start` and before `end`."""
    of_item, of_all = discounts_of(found, None, known)
    turns = ends_of([*of_all, *(each for own in of_item.values() for each in own)])
    turns |= {at for at, _ in his}
    turns |= ends_of(known.get(each.id, each) for _, each in his if each is not None)
    return sorted(turn for turn in turns if start < turn < end)


_Priced = tuple[object, ...]


def _priced(
    found: Subscription, his: Sequence[tuple[dt.datetime, Discount | None]]
) -> _Priced | None:
    """All that the level of a subscription without discounts follows from; None: it has some."""
    if his or found.discounts or any(item.discounts for item in found.items):
        return None
    items = [replace(item, current_period_start=None, current_period_end=None)
             for item in found.items]  # fmt: skip
    return found.status, found.pause_behavior, items


def _level(
    found: Subscription,
    at: dt.datetime,
    his: Sequence[tuple[dt.datetime, Discount | None]],
    known: Mapping[str, Discount],
) -> Level:
    given = [discount for since, discount in his if since <= at]
    return level_of(found, given[-1] if given else None, known, at)


def _step(
    found: Subscription, at: dt.datetime, level: Level, *, why: str = "", seam: bool = False
) -> Step:
    if not why and not level:
        why = PAUSED if is_idle(found) else churn_cause(found)
    scheduled = not found.ended and (found.cancel_at_period_end or found.cancel_at is not None)
    return Step(
        found.id, at, level, why, paused=is_idle(found), scheduled=scheduled, seam=seam
    )  # fmt: skip


def _told_paused(steps: Sequence[Step]) -> Iterator[Step]:
    """The last step of each second, where only what has brought something can be paused."""
    last = {(step.at, not step.seam): step for step in steps}
    before = Step("", dt.datetime.min.replace(tzinfo=dt.UTC), NOTHING)
    earned = False
    for step in last.values():
        why = step.why
        if step.level and before.paused:
            why = RESUMED
        elif (why == DISCOUNT_ENDED and not _rises(before.level, step.level)) or (
            why == PAUSED and not earned
        ):
            why = ""
        before = replace(step, paused=step.paused and earned, why=why)
        yield before
        earned = earned or bool(step.level)


def _rises(before: Level, after: Level) -> bool:
    nothing = Fraction(0)
    return any(amount > before.after.get(code, nothing) for code, amount in after.after.items())
