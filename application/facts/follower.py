"""What follows from events for facts: evidence is kept, then what it asks for is posted."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from typing_extensions import override

from application.background.clock import Clock
from application.effects.effect import Follower
from application.effects.happenings import EventWithFacts, Outcome
from application.facts.ports import DiscountReader, Due, Dues, EvidenceStore, Topic
from application.facts.posting import Posting
from application.facts.pricing import Pricing
from domain.charges import Charge
from domain.customers import Customer
from domain.disputes import Dispute
from domain.evidence import ClosingEvidence, DiscountEvidence, Evidence, SubscriptionEvidence
from domain.invoices import Invoice
from domain.subscriptions import Subscription

_CUSTOMER_CREATED: Final = "customer.created"
_DISPUTE_CLOSED: Final = "charge.dispute.closed"
_DELETED: Final = ".deleted"


class FactsOfEvents(Follower):
    """Keeps evidence of every event that tells some, and posts the facts of its customer.

    A follower, and no effect: facts are a Stripe account's own, also of events that are too old for
    effects, or that nobody is connected for. An event is done only when its evidence and its facts
    are durable; after a crash in between it comes again, and posts what lacks.
    """

    def __init__(
        self,
        evidence: EvidenceStore,
        pricing: Pricing,
        posting: Posting,
        dues: Dues,
        discounts: DiscountReader,
        clock: Clock,
    ) -> None:
        self._evidence = evidence
        self._pricing = pricing
        self._posting = posting
        self._dues = dues
        self._discounts = discounts
        self._clock = clock

    @override
    async def after(
        self, events: Sequence[EventWithFacts], outcomes: Mapping[str, Outcome]
    ) -> None:
        by_account: dict[str, list[EventWithFacts]] = defaultdict(list)
        for event in events:
            by_account[event.projected.stripe_account].append(event)
        for stripe_account, own in by_account.items():
            await self._keep(stripe_account, own, outcomes)
            await self._post(stripe_account, own, outcomes)
            await self._dues.plan([due for event in own for due in _dues(stripe_account, event)])

    async def _keep(
        self,
        stripe_account: str,
        events: Sequence[EventWithFacts],
        outcomes: Mapping[str, Outcome],
    ) -> None:
        rows: list[Evidence] = []
        for event in events:
            try:
                row = self._row(event)
            except ValueError as error:  # a poisoned event holds up no other
                outcomes[event.id].note(error)
                continue
            if row is not None:
                rows.append(row)
        if not rows:
            return
        priced = await self._pricing.priced(stripe_account, rows)
        await self._evidence.append(stripe_account, priced.rows)
        for id_, failure in priced.failed.items():
            outcomes[id_].note(failure)

    async def _post(
        self,
        stripe_account: str,
        events: Sequence[EventWithFacts],
        outcomes: Mapping[str, Outcome],
    ) -> None:
        customers: dict[str, list[str]] = defaultdict(list)
        charged: set[str] = set()
        for event in events:
            customer = _customer(event)
            if customer and outcomes[event.id].error is None:
                customers[customer].append(event.id)
                if isinstance(event.object, Charge):
                    charged.add(customer)
        posted = await self._posting.post(
            stripe_account, Topic.CUSTOMER, customers, charged=charged
        )
        for customer, error in posted.failed.items():
            for event_id in customers[customer]:
                outcomes[event_id].note(error)

    def _row(self, event: EventWithFacts) -> Evidence | None:
        """What an event is evidence of; None where of nothing."""
        received, shown = event.projected.received, event.object
        if shown is None and received.object_type != "discount":
            return None
        as_read = event.projected.snapshot is None
        known_at = self._clock.now() if as_read else received.received_at
        at, type_ = event.occurred_at, received.type
        match shown:
            case Subscription() if shown.customer:
                return SubscriptionEvidence(
                    event.id, at, known_at, shown, type_, event.unknown, as_read
                )
            case Dispute() if type_ == _DISPUTE_CLOSED:
                return ClosingEvidence(event.id, at, known_at, shown.id, type_)
            case Customer() if type_ == _CUSTOMER_CREATED:
                return DiscountEvidence(
                    event.id, at, known_at, shown.id, shown.discount, type_, shown.created
                )
        if received.object_type == "discount":
            return self._discount(event, at, received.received_at)
        return None

    def _discount(
        self, event: EventWithFacts, at: dt.datetime, known_at: dt.datetime
    ) -> DiscountEvidence | None:
        received, customer = event.projected.received, event.projected.object_id
        told = self._discounts.discount(received)
        if told is None:
            return None
        now = event.object.discount if isinstance(event.object, Customer) else None
        if told.coupon_id is None and now is not None and now.id == told.id:
            told = now  # another API release names the coupon elsewhere
        gone = received.type.endswith(_DELETED)
        return DiscountEvidence(
            event.id, at, known_at, customer, None if gone else told, received.type
        )


def _dues(stripe_account: str, event: EventWithFacts) -> Iterator[Due]:
    """What the loop is to look at: of charges and disputes, transactions tell more, later."""
    match event.object:
        case Charge(status="succeeded", id=id_):
            yield Due(stripe_account, Topic.CHARGE, id_, event.occurred_at)
        case Dispute(id=id_):
            yield Due(stripe_account, Topic.DISPUTE, id_, event.occurred_at)


def _customer(event: EventWithFacts) -> str | None:
    """Whose facts an event may change."""
    match event.object:
        case Subscription(customer=customer):
            return customer or None
        case Customer(id=id_):
            return id_
        case Invoice(status="paid", customer=customer):
            return customer
        case Charge(status="succeeded", customer=customer):
            return customer
    return event.projected.object_id if event.projected.received.object_type == "discount" else None
