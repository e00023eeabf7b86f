"""Changes at Stripe, as a mutation sends them and looks for what became of them.

Implementations never configure anything globally: the Stripe account comes with every call, so two
accounts' calls in flight at once never mix. All methods raise

- RateLimited (STRIPE_RATE_LIMITED) where the account's budget is used up within the caller's wait;
- FailedPrecondition (STRIPE_CONNECTION_REVOKED) where Stripe refuses the platform this account;
- Unavailable (STRIPE_UNAVAILABLE) where the request was not sent or refused unexecuted;
- NotUnderstood (STRIPE_NOT_UNDERSTOOD) where what Stripe shows cannot be read: no retry mends that;
- Unanswered where it was sent and no definite answer came.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Protocol, TypeVar

from domain.errors import Reason, Unavailable

P_contra = TypeVar("P_contra", contravariant=True)
A_co = TypeVar("A_co", covariant=True)


REQUEST_TAG = "billing_request"
"""The metadata key that marks an object with the request that made it."""


class Unanswered(Unavailable):
    """A request was sent and its outcome is not known: a time-out, a cut answer, a 5xx.

    `replayed` tells a 5xx that Stripe replayed for the idempotency key: sending the same key again
    will only repeat it.
    """

    def __init__(self, message: str, *, replayed: bool = False) -> None:
        super().__init__(Reason.STRIPE_UNAVAILABLE, message)
        self.replayed = replayed


@dataclass(frozen=True, slots=True)
class Call:
    """On whose behalf and under which key a mutating request is sent.

    `tag` goes into the metadata of a created object under REQUEST_TAG, for later look-up.
    """

    stripe_account: str
    idempotency_key: str
    tag: str


class Send(Protocol[P_contra, A_co]):
    """One mutating Stripe request. Of a mirrored object the answer is a Snapshot of it, with the
    version of a read.
    """

    async def __call__(self, call: Call, params: P_contra) -> A_co:
        """Send it. The same key and parameters twice are one change at Stripe.

        Raises, for a definite refusal: InvalidArgument with Stripe's parameter named, NotFound,
        PaymentDeclined, FailedPrecondition (STRIPE_REFUSED, WRONG_STATE).
        """
        ...


class Find(Protocol[P_contra, A_co]):
    """Looks for what an earlier send of unknown outcome may have made."""

    async def __call__(self, call: Call, params: P_contra, sent_at: dt.datetime) -> A_co | None:
        """The object as the send would have left it, by list and direct read; None if it did not.

        Never by Stripe's Search, which lags. `sent_at` is the first send's time by our clock.
        """
        ...
