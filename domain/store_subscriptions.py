"""Store subscriptions: what was bought at the store and recurs, for as long as it stands.

One of them is kept for each completed checkout of what recurs. Stripe bills the buyer; what a
period costs the seller falls due by our own calendar.
"""

import datetime as dt
from dataclasses import dataclass, replace
from enum import StrEnum

from domain.accounts import ACCOUNT_ID
from domain.billing_cycles import Cycle, Interval
from domain.ids import ID_RULE, is_object_id
from domain.ledger_commands import renewal_key
from domain.money import Money
from domain.store_products import MAX_QUANTITY, ProductKind


class Standing(StrEnum):
    """How it stands. ENDED is for good: nothing falls due any more."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class StripeSubscription:
    """A subscription at Stripe, and on which account."""

    stripe_account: str
    id: str

    def __post_init__(self) -> None:
        if not (is_object_id(self.stripe_account) and is_object_id(self.id)):
            raise ValueError(f"stripe_account, id: {ID_RULE}")


@dataclass(frozen=True, slots=True)
class StoreSubscription:
    """What recurs, with what it costs each period at the prices that were frozen at the sale.

    - `id`: the checkout's. `account`: the buyer. `seller`: None for the platform.
    - `amount`: what the buyer pays each period; `cost`: what the seller does, from its wallet (zero
      where nothing falls due there).
    - `cycle`: the periods; the first began when the sale was captured.
    - `posted`: the number of the last period whose cost is posted. The first is the sale's own.
    - `renewal`: the buyer's subscription at the seller's Stripe account; None while there is none.
      `sellers`: the seller's own on the platform's account, where it pays that way.
    - `ends_at`: when it ends, once that is decided. `ends_by`: when the renewal is to end, as
      Stripe showed it last; that may be taken back there.
    - `past_due_since`: since when an invoice of the renewal is unpaid; None: paid.
    - `why`: why it is suspended, since `suspended_at`, or has ended: a short code; empty while it
      is active.
    """

    id: str
    account: str
    seller: str | None
    kind: ProductKind
    product: str
    price: str
    quantity: int
    amount: Money
    cost: Money
    start: dt.datetime
    interval: Interval
    interval_count: int
    updated_at: dt.datetime
    posted: int = 1
    standing: Standing = Standing.ACTIVE
    renewal: StripeSubscription | None = None
    sellers: StripeSubscription | None = None
    country: str = ""
    number_kind: str = ""
    ends_at: dt.datetime | None = None
    ends_by: dt.datetime | None = None
    past_due_since: dt.datetime | None = None
    suspended_at: dt.datetime | None = None
    why: str = ""
    revision: int = 1

    def __post_init__(self) -> None:
        if not is_object_id(self.id):
            raise ValueError(f"id: {ID_RULE}")
        if not ACCOUNT_ID.fullmatch(self.account):
            raise ValueError("account: not an account's id")
        if self.seller is not None and not ACCOUNT_ID.fullmatch(self.seller):
            raise ValueError("seller: not an account's id")
        if not self.kind.recurs:
            raise ValueError("kind: what is bought once has no periods")
        if not 1 <= self.quantity <= MAX_QUANTITY:
            raise ValueError(f"quantity: 1 to {MAX_QUANTITY:,}")
        if min(self.amount.amount, self.cost.amount) < 0:
            raise ValueError("amount, cost: must not be negative")
        if self.posted < 1 or self.revision < 1:
            raise ValueError("posted, revision: from 1")
        Cycle(self.start, self.interval, self.interval_count)

    @property
    def cycle(self) -> Cycle:
        """Its periods."""
        return Cycle(self.start, self.interval, self.interval_count)

    @property
    def stands(self) -> bool:
        """Whether it has not ended."""
        return self.standing is not Standing.ENDED

    @property
    def cost_due_at(self) -> dt.datetime | None:
        """When the cost of the next period falls due; None where none does any more.

        No period begins at its end or later. What began before is owed, however late it is posted.
        """
        due = self.cycle.boundary(self.posted)
        over = any(end is not None and due >= end for end in (self.ends_at, self.ends_by))
        return None if not self.cost or over else due

    @property
    def cost_key(self) -> str:
        """The key of the entry for the next period, `renewal/<checkout>/<number from 2>`."""
        return renewal_key(self.id, self.posted + 1)

    def with_cost_posted(self, at: dt.datetime) -> "StoreSubscription":
        """The same once the cost of the next period stands in the seller's wallet."""
        return replace(self._next(at), posted=self.posted + 1)

    def with_stripe(
        self,
        at: dt.datetime,
        *,
        renewal: StripeSubscription | None = None,
        sellers: StripeSubscription | None = None,
    ) -> "StoreSubscription":
        """The same with the subscriptions at Stripe that are known by now."""
        return replace(
            self._next(at), renewal=renewal or self.renewal, sellers=sellers or self.sellers
        )

    def shown(
        self, at: dt.datetime, *, past_due_since: dt.datetime | None, ends_by: dt.datetime | None
    ) -> "StoreSubscription":
        """The same as Stripe shows its renewal now. The very same where nothing is new."""
        if (past_due_since, ends_by) == (self.past_due_since, self.ends_by):
            return self
        return replace(self._next(at), past_due_since=past_due_since, ends_by=ends_by)

    def suspended(self, at: dt.datetime, why: str = "") -> "StoreSubscription":
        """Set out of service, for a reason since then. The very same where it is so, or is over."""
        known = self.standing is Standing.SUSPENDED and self.why == why
        if known or not self.stands:
            return self
        return replace(self._next(at), standing=Standing.SUSPENDED, suspended_at=at, why=why)

    def resumed(self, at: dt.datetime) -> "StoreSubscription":
        """Put into service again. The very same where it is not suspended."""
        if self.standing is not Standing.SUSPENDED:
            return self
        return replace(self._next(at), standing=Standing.ACTIVE, suspended_at=None, why="")

    def ending(self, when: dt.datetime, at: dt.datetime) -> "StoreSubscription":
        """It ends at an instant, the earliest that was ever named. The very same if it does so."""
        earliest = when if self.ends_at is None else min(self.ends_at, when)
        if earliest == self.ends_at:
            return self
        return replace(self._next(at), ends_at=earliest)

    def ended(self, at: dt.datetime, why: str = "") -> "StoreSubscription":
        """Over, for good. The very same where it is over."""
        if not self.stands:
            return self
        ends_at = at if self.ends_at is None else min(self.ends_at, at)
        return replace(self._next(at), standing=Standing.ENDED, ends_at=ends_at, why=why)

    def _next(self, at: dt.datetime) -> "StoreSubscription":
        return replace(self, updated_at=at, revision=self.revision + 1)
