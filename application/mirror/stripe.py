"""Reading single objects at Stripe, by priority within one budget.

Implementations never configure anything globally: the Stripe account comes with every call, so two
accounts' calls in flight at once never mix. All methods raise

- RateLimited (STRIPE_RATE_LIMITED) where the account's budget is used up within the caller's wait;
- FailedPrecondition (STRIPE_CONNECTION_REVOKED) where Stripe refuses the platform this account;
- Unavailable (STRIPE_UNAVAILABLE) where the request was not sent or refused unexecuted;
- NotUnderstood (STRIPE_NOT_UNDERSTOOD) where what Stripe shows cannot be read: no retry mends that.
"""

from enum import IntEnum
from typing import Any, Protocol, TypeAlias, TypeVar

from application.mirror.ports import Noun
from domain.mirror import MirroredObject, Snapshot

T = TypeVar("T", bound=MirroredObject)


class Priority(IntEnum):
    """Who goes first on an account's rate budget."""

    CALLER = 0
    REREAD = 1
    CATCH_UP = 2
    BACKFILL = 3


class ObjectReader(Protocol):
    """Reads single mirrored objects of any noun from Stripe."""

    async def read(
        self,
        noun: Noun[T],
        stripe_account: str,
        object_id: str,
        *,
        not_before_ms: int | None,
        priority: Priority,
    ) -> Snapshot[T]:
        """The object as it is now, or its tombstone where Stripe says that there is none.

        A 404 makes a tombstone only in the right mode, on an account that Stripe lets us use.
        NotFound for an id of dots alone: it can be listed, but not read, so nobody can say.
        `not_before_ms`: see `Version.of_read`.
        """
        ...


Concern: TypeAlias = tuple[Noun[Any], str]
"""Another object, by noun and id, that an event changed too, and that no event of its own tells of.

It has to be read again, unless it was seen since.
"""
