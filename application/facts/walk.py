"""The walk through all that facts are about: for first reads, and for a rebuild."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from application.background.clock import Clock
from application.facts.ports import MAX_ROWS, EvidenceStore, Topic
from application.facts.posting import Posted, Posting
from application.facts.pricing import Pricing
from application.mirror.nouns import CHARGES, CUSTOMERS, DISPUTES, SUBSCRIPTIONS
from application.mirror.oddity_log import log_oddities
from application.mirror.ports import Filter, Mirror, Noun, Order
from application.requests.paging import Position, Scalar
from domain.customers import Customer
from domain.errors import Reason, Unavailable
from domain.evidence import DiscountEvidence, Evidence, SubscriptionEvidence
from domain.mirror import Row, Version
from domain.oddities import Oddity
from domain.periods import from_milliseconds
from domain.subscriptions import Subscription

BLOCK: Final = 100
"""How many objects are gone through between two checkpoints."""

NOUNS: Final[tuple[Noun[Any], ...]] = (CUSTOMERS, SUBSCRIPTIONS, CHARGES, DISPUTES)
"""What is gone through, in this order; the customers of subscriptions may be deleted."""

_TOPICS: Final = {CHARGES.name: Topic.CHARGE, DISPUTES.name: Topic.DISPUTE}
_OLDEST_FIRST: Final = Order("created", descending=False)
_SECOND_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class WalkState:
    """How far a walk has come: behind a Position in the list of a noun, by its place in NOUNS."""

    noun: int = 0
    value: Scalar | None = None
    id: str = ""
    read: int = 0
    posted: int = 0

    @property
    def finished(self) -> bool:
        """Whether all was gone through."""
        return self.noun >= len(NOUNS)


class FactsWalk:
    """Goes through an account's customers, subscriptions, charges and disputes, oldest first.

    A customer or subscription that no evidence tells of gets a row of what its read showed. Then
    differences are posted; nothing is dropped. What happens meanwhile is posted as it comes.
    """

    def __init__(
        self,
        mirror: Mirror,
        evidence: EvidenceStore,
        pricing: Pricing,
        posting: Posting,
        clock: Clock,
    ) -> None:
        self._mirror = mirror
        self._evidence = evidence
        self._pricing = pricing
        self._posting = posting
        self._clock = clock

    async def block(self, stripe_account: str, state: WalkState) -> WalkState:
        """Go through the next objects, at most BLOCK; the state behind them. Repeatable.

        Raises Unavailable where the store, or Stripe for what has to be read, does not answer.
        """
        noun = NOUNS[state.noun]
        page = await self._mirror.list(
            noun,
            stripe_account,
            Filter(),
            order=_OLDEST_FIRST,
            after=None if state.value is None else Position(state.value, state.id),
            limit=BLOCK,
        )
        posted = await self._through(noun, stripe_account, page.rows)
        told = [
            Oddity(noun.name, id_, f"no facts follow from it: {type(error).__name__}")
            for id_, error in posted.failed.items()
        ]
        log_oddities(stripe_account, told)
        state = replace(state, read=state.read + len(page.rows), posted=state.posted + posted.facts)
        if page.next is None:
            return replace(state, noun=state.noun + 1, value=None, id="")
        return replace(state, value=page.next.value, id=page.next.id)

    async def _through(
        self, noun: Noun[Any], stripe_account: str, rows: Sequence[Row[Any]]
    ) -> Posted:
        ids = [row.id for row in rows]
        if noun.name in _TOPICS:
            return await self._posting.post(stripe_account, _TOPICS[noun.name], ids)
        if noun.name == CUSTOMERS.name:
            found = await self._mirror.having(
                SUBSCRIPTIONS, stripe_account, "customer", ids, limit=MAX_ROWS
            )
            # Of those with more the rest has its turn as subscriptions are gone through.
            await self._keep_first_reads(stripe_account, rows, [one.object.id for one in found])
            return await self._posting.post(stripe_account, Topic.CUSTOMER, ids)
        customers = await self._keep_first_reads(stripe_account, (), ids)
        return await self._posting.post(stripe_account, Topic.CUSTOMER, customers)

    async def _keep_first_reads(
        self, stripe_account: str, customers: Sequence[Row[Customer]], subscriptions: Sequence[str]
    ) -> Iterable[str]:
        """Keep what no evidence tells of yet; the customers who have some new, or are deleted."""
        rows: dict[str, Row[Subscription]] = {}
        if subscriptions:
            rows = dict(await self._mirror.fetch(SUBSCRIPTIONS, stripe_account, subscriptions))
        shown = [row.snapshot.object for row in rows.values() if row.snapshot]
        owners = {one.customer for one in shown if one is not None and one.customer}
        owners |= {row.id for row in customers}
        kept: dict[str, Sequence[Evidence]] = {}
        wanted = sorted(owners)
        for start in range(0, len(wanted), BLOCK):
            some = wanted[start : start + BLOCK]
            kept |= await self._evidence.of(stripe_account, some)
        known = {_about(row) for each in kept.values() for row in each}
        first = [self._of_customer(row) for row in customers if row.id not in known]
        first += [self._of_subscription(row) for row in rows.values() if row.id not in known]
        priced = await self._pricing.priced(stripe_account, [row for row in first if row])
        if priced.failed:
            raise Unavailable(Reason.STRIPE_UNAVAILABLE, "what first reads lack cannot be read")
        for start in range(0, len(priced.rows), MAX_ROWS):
            await self._evidence.append(stripe_account, priced.rows[start : start + MAX_ROWS])
        return owners

    def _of_customer(self, row: Row[Customer]) -> Evidence | None:
        if row.snapshot is None or row.snapshot.object is None:
            return None
        customer, at = row.snapshot.object, from_milliseconds(_when(row.snapshot.version))
        return DiscountEvidence(
            f"read:{row.id}",
            at,
            self._clock.now(),
            row.id,
            customer.discount,
            created=customer.created,
        )

    def _of_subscription(self, row: Row[Subscription]) -> Evidence | None:
        if row.snapshot is None or row.snapshot.object is None or not row.snapshot.object.customer:
            return None
        at, unknown = from_milliseconds(_when(row.snapshot.version)), row.snapshot.unknown
        return SubscriptionEvidence(
            f"read:{row.id}", at, self._clock.now(), row.snapshot.object, unknown=unknown
        )


def _about(row: Evidence) -> str:
    """Which object a row of evidence tells of."""
    match row:
        case SubscriptionEvidence():
            return row.subscription.id
        case DiscountEvidence():
            return row.customer if row.created is not None else ""
        case _:
            return ""


def _when(version: Version) -> int:
    """The beginning of the time in which it was seen: whatever came after it is later evidence."""
    return version.bounded().low // _SECOND_MS * _SECOND_MS
