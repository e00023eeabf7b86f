"""What Billing needs of Stripe, as narrow ports.

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
from enum import IntEnum
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from application.ports.inbox import ReceivedEvent
from application.ports.mirror import Noun
from domain.errors import Reason, Unavailable
from domain.mirror import MirroredObject, Snapshot
from domain.stripe_accounts import StripeAccount

T = TypeVar("T", bound=MirroredObject)
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


class Priority(IntEnum):
    """Who goes first on an account's rate budget."""

    CALLER = 0
    REREAD = 1
    CATCH_UP = 2
    BACKFILL = 3


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


class StripeAccounts(Protocol):
    """Stripe accounts themselves."""

    async def get(self, stripe_account: str) -> StripeAccount:
        """A connected account, as the platform's key sees it now.

        Raises FailedPrecondition (STRIPE_CONNECTION_REVOKED) where Stripe gives no access to it.
        """
        ...

    async def platform(self) -> StripeAccount:
        """The platform's own account."""
        ...


Concern: TypeAlias = tuple[Noun[Any], str]
"""Another object, by noun and id, that an event changed too, and that no event of its own tells of.

It has to be read again, unless it was seen since.
"""


@dataclass(frozen=True, slots=True)
class Observed(Generic[T]):
    """An event told its object's state, and which others it changed.

    `incomplete`: it tells only the beginning of a nested list, and what an event cannot tell must
    be read, as after a Hint. The field is unknown in the snapshot; all others are as they were.
    """

    noun: Noun[T]
    snapshot: Snapshot[T]
    incomplete: bool = False
    concerns: tuple[Concern, ...] = ()


@dataclass(frozen=True, slots=True)
class Hint(Generic[T]):
    """An event concerns an object whose state it does not tell reliably: read it.

    For instance a payload of an API release that the translation is not tested on. The object may
    be another than the event's own, where that one cannot be read.
    """

    noun: Noun[T]
    object_id: str
    created_ms: int
    concerns: tuple[Concern, ...] = ()


@dataclass(frozen=True, slots=True)
class Deauthorized:
    """The owner of a connected Stripe account took the platform's access away."""

    created_ms: int


@dataclass(frozen=True, slots=True)
class Irrelevant:
    """An event that no mirrored noun is about."""

    why: str


Reading: TypeAlias = Observed[MirroredObject] | Hint[MirroredObject] | Deauthorized | Irrelevant


class EventReader(Protocol):
    """Reads the payloads of stored events. No I/O: it may run in a worker thread."""

    def read(self, event: ReceivedEvent, stripe_account: str) -> Reading:
        """What an event says of which object. `stripe_account` is never empty here.

        Its version bears `received_at` as `known_at`: a read that is sent later shows no less.
        Raises ValueError where the payload is structural nonsense (no integer amount, …), or the
        event is not understood.
        """
        ...


class WebhookReader(Protocol):
    """Tells a genuine delivery from any other. No I/O."""

    def read(self, body: bytes, signature: str, now: dt.datetime) -> ReceivedEvent:
        """The event of a delivery whose signature verifies, whatever its body is.

        It is IGNORED where it is of the other mode or tells no state (a thin event), and DEAD where
        it is not understood; its decision says why. Raises Unauthenticated (SIGNATURE_INVALID)
        where no secret of the event's scope verifies it or its time is off by more than the
        tolerance.
        """
        ...
