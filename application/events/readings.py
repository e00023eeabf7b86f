"""What an event says: an observation of an object, a hint to read it, or nothing for the mirror."""

import datetime as dt
from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias

from application.events.inbox import ReceivedEvent
from application.mirror.ports import Noun
from application.mirror.stripe import Concern, T
from domain.mirror import MirroredObject, Snapshot


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
