"""Lists of Stripe's, page by page, for the flows that read an account's whole history.

The boundary is cut at a page because that is what Stripe gives, what a checkpoint remembers and
what memory has to hold. All methods raise what `application.mirror.stripe` promises, and
NotUnderstood where a page does not tell how the list goes on; an odd object on it spoils no other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from application.mirror.ports import Noun
from application.mirror.stripe import Priority
from domain.balance_transactions import BalanceTransaction
from domain.mirror import MirroredObject, Snapshot, Version
from domain.oddities import Oddity

T = TypeVar("T", bound=MirroredObject)
E_co = TypeVar("E_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the reading of a list, newest first, has come to.

    What is left was created before `before_ms` (milliseconds; None: all is left) and comes after
    the object `after` in Stripe's order. The object may be deleted meanwhile: the place is then the
    beginning of its second, of which a part is read again.
    """

    before_ms: int | None = None
    after: str = ""


@dataclass(frozen=True, slots=True)
class Page(Generic[E_co]):
    """One page, newest first, as it was during `version`; `next` is None only at the list's end.

    `oddities` are the objects on it that are not understood: they count as listed.
    """

    items: Sequence[E_co]
    version: Version
    next: Place | None
    oddities: Sequence[Oddity] = ()


class ObjectLister(Protocol):
    """Lists the mirrored objects of a Stripe account."""

    async def page(
        self,
        noun: Noun[T],
        stripe_account: str,
        place: Place,
        *,
        since_ms: int | None,
        priority: Priority,
    ) -> Page[Snapshot[T]]:
        """The next (at most 100) objects created at `since_ms` or later, from a place on.

        Every object that there is, in whatever state: the ended subscriptions and the archived
        prices too. Nested lists are complete. An object that goes while it is completed shows as
        its tombstone; one that cannot be completed is an oddity.
        """
        ...


class PayoutTransactionLister(Protocol):
    """Lists the balance transactions that are in a payout: nothing else tells which they are."""

    async def page_of_payout(
        self, stripe_account: str, payout: str, place: Place, *, priority: Priority
    ) -> Page[Snapshot[BalanceTransaction]]:
        """The next (at most 100) balance transactions of a payout, from a place on.

        The payout's own is among them. Stripe tells of automatic payouts only, once they are
        reconciled. (API reference, "List all balance transactions".)
        """
        ...


class SourceTransactionLister(Protocol):
    """Lists the balance transactions of one object."""

    async def page_of_source(
        self, stripe_account: str, source: str, place: Place, *, priority: Priority
    ) -> Page[Snapshot[BalanceTransaction]]:
        """The next (at most 100) balance transactions of a charge, refund or payout, from a place.

        Of a dispute Stripe tells none. (API reference, "List all balance transactions".)
        """
        ...
