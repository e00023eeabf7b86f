"""What a mirrored row is, and the one rule that says which of two observations stands.

Stripe delivers late, twice and out of order, and its clock counts whole seconds. So a version is
not a number but an interval of Stripe's time in which the observed state was true:

- an event says what was true when it was made: `[created, created]`;
- an API read says what was true while it ran: `[Date - duration - 2 s, Date + 2 s]`.

Where two intervals overlap, cause and effect on our own clock may still tell: what was in our hands
before a request was sent is no later than its answer.

Stripe's time may lie: a wrong `Date`, an event of a test clock. What is far ahead of our own clock
tells nothing, or else a row would be frozen until that day comes (docs/decisions/0016).

`decide` compares two observations of one object. It answers only what it can prove; where neither
clock tells, the object is settled by its content or read again.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from domain.periods import to_milliseconds

MAX_BEFORES: Final = 8
"""How many preceding states an observation holds; no object changes more often in a second."""

READ_SLACK_MS: Final = 2_000
"""How far Stripe's `Date` header, in whole seconds, may be from the state that an answer shows."""

AHEAD_MS: Final = 300_000
"""How far Stripe's time may be ahead of our own clock: no two clocks that are kept differ more."""

FOREVER_MS: Final = 253_402_300_799_999
"""The end of the year 9999: the upper end of an interval of which no end is known."""


class MirroredObject(Protocol):
    """What every mirrored object is: a dataclass with Stripe's id and creation time (aware UTC)."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def id(self) -> str: ...

    @property
    def created(self) -> dt.datetime: ...


T = TypeVar("T", bound=MirroredObject)
T_co = TypeVar("T_co", bound=MirroredObject, covariant=True)


@dataclass(frozen=True, slots=True)
class Version:
    """When an observed state was true: `[low, high]` in milliseconds of Stripe's time.

    The other two are milliseconds of our own clock: the state was true no earlier than `sent_at`,
    when an API request was sent (None for events), and no later than `known_at`, when we had the
    observation in hand (None: not recorded). The clocks of our processes must agree to within the
    time that an event takes to reach us.
    """

    low: int
    high: int
    sent_at: int | None = None
    known_at: int | None = None

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low: must not be above high")

    @classmethod
    def of_event(cls, created_ms: int, *, known_at_ms: int | None = None) -> "Version":
        """The version of an event's object; `known_at_ms` is when the event was received."""
        return cls(created_ms, created_ms, None, known_at_ms)

    @classmethod
    def of_read(
        cls, *, date_ms: int, duration_ms: int, sent_at_ms: int, not_before_ms: int | None = None
    ) -> "Version":
        """The version of an API answer, from its `Date` header and how long it took, rounded up.

        `not_before_ms` is the creation time of an event known before the request was sent: the
        answer cannot show an older state than that event.
        """
        low = date_ms - duration_ms - READ_SLACK_MS
        high = date_ms + READ_SLACK_MS
        told = cls(low, high, sent_at_ms, sent_at_ms + duration_ms)
        if not_before_ms is None or not_before_ms <= low or not told.allows(not_before_ms):
            return told
        return replace(told, low=not_before_ms, high=max(not_before_ms, high))

    @property
    def is_moment(self) -> bool:
        """Whether it is that of events of one second, which is how exactly Stripe tells time."""
        return self.sent_at is None and self.low == self.high and self.allows(self.high)

    def allows(self, instant: int) -> bool:
        """Whether what was in our hands at `known_at` may be of an instant of Stripe's time."""
        return self.known_at is None or instant <= self.known_at + AHEAD_MS

    def bounded(self) -> "Version":
        """The version without those ends that our own clock contradicts: they tell nothing."""
        if self.allows(self.high):
            return self
        low = self.low if self.allows(self.low) else 0
        return Version(low, FOREVER_MS, self.sent_at, self.known_at)

    def place(self) -> tuple[int, int]:
        """Where it stands, by its later end and then the other, for what keeps only the latest.

        One that is ahead of our clock stands where that was.
        """
        if self.known_at is None or self.allows(self.high):
            return self.high, self.low
        return self.known_at, min(self.low, self.known_at)

    def sent_after(self, other: "Version") -> bool:
        """Whether this is a read that was sent when `other` was in our hands already."""
        if self.sent_at is None or other.known_at is None:
            return False
        return self.sent_at > other.known_at

    def surely_after(self, other: "Version") -> bool:
        """Whether what this shows cannot lack anything that had happened by `other`."""
        one, two = self.bounded(), other.bounded()
        return one.low > two.high or (one.high >= two.low and one.sent_after(two))

    def joined(self, other: "Version") -> "Version":
        """When a state that both observations show was true last: at the later one of the two."""
        sent = [version.sent_at for version in (self, other) if version.sent_at is not None]
        # Without the ends that are ahead: at the later `known_at` they might no longer be.
        one, two = self.bounded(), other.bounded()
        return Version(
            max(one.low, two.low),
            max(one.high, two.high),
            max(sent, default=None),
            self.known_with(other),
        )

    def known_with(self, other: "Version") -> int | None:
        """When both were in our hands; None where that was not recorded."""
        if self.known_at is None or other.known_at is None:
            return None
        return max(self.known_at, other.known_at)


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[T_co]):
    """One observation of one object: what Stripe said and when it was true.

    `object` is None for a tombstone, an observation that the object is deleted. `unknown` names
    the top-level fields that the payload did not tell (absent, not expanded, cut short); their
    values in `object` mean nothing. `befores` holds the states that an event is known to have
    followed directly (its object, overlaid with its `previous_attributes`): one for an event that
    tells, None for an update that does not, and those of all events of its time that it was settled
    against. They may be decoded only when somebody looks: look where it decides something.
    """

    stripe_account: str
    id: str
    version: Version
    object: T_co | None
    unknown: frozenset[str] = frozenset()
    befores: Sequence[T_co | None] = ()

    def __post_init__(self) -> None:
        if not self.id or not self.stripe_account:
            raise ValueError("id, stripe_account: must not be empty")
        if self.object is not None and self.object.id != self.id:
            raise ValueError("id: must be the object's own")

    @property
    def deleted(self) -> bool:
        """Whether this is a tombstone."""
        return self.object is None


@dataclass(frozen=True, slots=True)
class Facet:
    """One part of a row's derived half: what another source than the snapshot tells about it.

    `values` is plain data, empty where there is nothing to tell any more; `version` is its source's
    own and is compared with nothing but earlier
    values of the same facet. A snapshot never touches a facet.
    """

    stripe_account: str
    id: str
    name: str
    values: Mapping[str, Any]
    version: Version


LAST: Final = "last"
"""The facet of what a deleted object was called, or what it cost: some of its last values."""


def last_facet(told: Snapshot[T], row: "Row[T] | None", names: Sequence[str]) -> Facet | None:
    """What is kept of a deleted object as an observation of it shows it: the attributes named.

    The latest one stands, so the order of their arrival does not matter. None where there is
    nothing to keep, or the row keeps what is as late already. Of two at one time that stands
    which is known to have followed the other, and else the first that came.
    """
    if told.object is None:
        return None
    values = _values(told.object, names, told.unknown)
    kept = row.derived.get(LAST) if row else None
    if kept is not None and kept.version.place() == told.version.place():
        befores = [_values(one, names, told.unknown) for one in told.befores if one is not None]
        if kept.values not in befores:
            return None
    return Facet(told.stripe_account, told.id, LAST, values, told.version)


def _values(found: Any, names: Sequence[str], unknown: frozenset[str]) -> dict[str, Any]:
    return {name: _plain(getattr(found, name)) for name in names if name not in unknown}


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


@dataclass(frozen=True, slots=True)
class Row(Generic[T_co]):
    """A mirrored row: the snapshot, and the derived half keyed by facet name.

    `snapshot` is None while only facets have arrived: the row then counts nowhere. `revision` grows
    by one with each new snapshot; 0 is a row without any.
    """

    stripe_account: str
    id: str
    revision: int
    snapshot: Snapshot[T_co] | None
    derived: Mapping[str, Facet] = field(default_factory=dict)


class Decision(StrEnum):
    """What becomes of an incoming observation."""

    KEEP = "keep"
    REPLACE = "replace"
    REREAD = "reread"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision and, for whoever asks later, why.

    `confirms`: the incoming observation shows what the row shows. `changes`: the row shows other
    content than before, not only a later time; `resolve` alone can tell.
    """

    decision: Decision
    why: str
    confirms: bool = False
    changes: bool = False


Rank = Callable[[T], int | None]
"""How far an object has come on a way that has no return: paid is more than open.

None for a state that nobody knows yet: it tells nothing.
"""


def decide(
    stored: Snapshot[T] | None, incoming: Snapshot[T], rank: Rank[T] | None = None
) -> Verdict:
    """Which of two observations of one object stands.

    Pure and total: the same two observations give the same verdict whenever they are compared. For
    observations that do not overlap the result does not depend on the order of arrival. `rank`
    tells a later state from an earlier one where the noun has states that nothing leads back from.
    """
    if stored is None:
        return Verdict(Decision.REPLACE, "first seen")
    if incoming.object is None:
        return _decide_deletion(stored, incoming)
    if stored.object is None:
        return _decide_revival(stored, incoming, incoming.object)
    order = _order(stored.version, incoming.version)
    if order is not None:
        return order
    if _same_content(stored, incoming):
        return Verdict(Decision.KEEP, "same content", confirms=True)
    return (
        _by_succession(stored, incoming)
        or _by_rank(stored, incoming, rank)
        or Verdict(Decision.REREAD, "same time, other content")
    )


def resolve(
    stored: Snapshot[T] | None, incoming: Snapshot[T], rank: Rank[T] | None = None
) -> tuple[Verdict, Snapshot[T] | None]:
    """The verdict on `incoming`, and the snapshot to store (None: nothing to write).

    A field that the standing observation does not know is taken from the other one, so that the
    stored row does not depend on which of the two came first. A row that `incoming` confirms is
    from then on as late as the later of the two: or else a read from between them, of a state that
    has come and gone, would pass for newer than the row.
    """
    verdict = decide(stored, incoming, rank)
    if stored is None:
        return replace(verdict, changes=True), incoming
    if verdict.decision is Decision.REREAD:
        return verdict, None
    replaces = verdict.decision is Decision.REPLACE
    standing, other = (incoming, stored) if replaces else (stored, incoming)
    standing = _remembering(fill(standing, other), other)
    if verdict.confirms:
        standing = replace(standing, version=stored.version.joined(incoming.version))
    if standing.object != stored.object:
        verdict = replace(verdict, changes=True)
    return verdict, None if standing == stored else standing


def _remembering(standing: Snapshot[T], other: Snapshot[T]) -> Snapshot[T]:
    """`standing`, with what the other of two observations of one time has told besides.

    The states that it has followed are gone, too: or else a state that comes back within the
    second, by way of some others, would pass for a later one when the events between arrive last.
    And no read that was sent before both were known overrules them.
    """
    if standing.object is None or other.object is None:
        return standing
    if _order(standing.version, other.version) is not None:
        return standing
    befores = (*standing.befores, *(b for b in other.befores if b not in standing.befores))
    known_at = standing.version.known_with(other.version)
    version = replace(standing.version.bounded(), known_at=known_at)
    return replace(standing, version=version, befores=befores[:MAX_BEFORES])


def fill(standing: Snapshot[T], other: Snapshot[T] | None) -> Snapshot[T]:
    """`standing`, with the fields that it does not know taken from `other`, if that does."""
    if other is None or standing.object is None or other.object is None:
        return standing
    told = standing.unknown - other.unknown
    if not told:
        return standing
    values = {name: getattr(other.object, name) for name in told}
    return replace(
        standing, object=replace(standing.object, **values), unknown=standing.unknown - told
    )


def _order(stored: Version, incoming: Version) -> Verdict | None:
    """The verdict of the two clocks alone; None where they cannot tell."""
    stored, incoming = stored.bounded(), incoming.bounded()
    if incoming.high < stored.low:
        return Verdict(Decision.KEEP, "older than what we have")
    if incoming.low > stored.high:
        return Verdict(Decision.REPLACE, "newer than what we have")
    if incoming.sent_after(stored):
        return Verdict(Decision.REPLACE, "read later than what we have")
    if stored.sent_after(incoming):
        return Verdict(Decision.KEEP, "received before what we have was read")
    return None


def _by_succession(stored: Snapshot[T], incoming: Snapshot[T]) -> Verdict | None:
    """The verdict where exactly one of two observations is known to follow the other directly."""
    if MAX_BEFORES in (len(stored.befores), len(incoming.befores)):
        return None  # some may have been left out, so none proves anything
    if None in stored.befores or None in incoming.befores:
        return None  # a state may have come back by a way that nobody has told
    if not (stored.version.is_moment and incoming.version.is_moment):
        return None  # a read shows a state, but not whether it is there for the first time
    later = stored.object in incoming.befores
    earlier = incoming.object in stored.befores
    if later and not earlier:
        return Verdict(Decision.REPLACE, "directly after what we have")
    if earlier and not later:
        return Verdict(Decision.KEEP, "directly before what we have")
    return None


def _by_rank(stored: Snapshot[T], incoming: Snapshot[T], rank: Rank[T] | None) -> Verdict | None:
    """The verdict where one of two states cannot be left for the other."""
    if rank is None or stored.object is None or incoming.object is None:
        return None
    if stored.unknown or incoming.unknown:
        return None  # an untold amount would read as none
    reached, told = rank(stored.object), rank(incoming.object)
    if reached is None or told is None or reached == told:
        return None
    if told > reached:
        return Verdict(Decision.REPLACE, "a later state than what we have")
    return Verdict(Decision.KEEP, "an earlier state than what we have")


def _decide_deletion(stored: Snapshot[T], incoming: Snapshot[T]) -> Verdict:
    """A deletion is final for the object that it deleted, however late it is told."""
    if stored.object is None:
        return Verdict(Decision.KEEP, "deleted already", confirms=True)
    created, version = to_milliseconds(stored.object.created), incoming.version.bounded()
    if stored.version.allows(created):
        if created < version.low:
            return Verdict(Decision.REPLACE, "deleted")
        if created > version.high:
            return Verdict(Decision.KEEP, "created after that deletion")
    return _by_read(stored.version, incoming.version)


def _decide_revival(stored: Snapshot[T], incoming: Snapshot[T], found: T) -> Verdict:
    """Only an object whose own creation is later than the deletion brings a tombstone to life."""
    created, version = to_milliseconds(found.created), stored.version.bounded()
    if incoming.version.allows(created):
        if created > version.high:
            return Verdict(Decision.REPLACE, "created anew after the deletion")
        if created < version.low:
            return Verdict(Decision.KEEP, "the object is deleted")
    return _by_read(stored.version, incoming.version)


def _by_read(stored: Version, incoming: Version) -> Verdict:
    """The verdict on a deletion where the object's own creation does not tell."""
    order = None if incoming.sent_at is None else _order(stored, incoming)
    return order or Verdict(Decision.REREAD, "created and deleted at once")


def _same_content(stored: Snapshot[T], incoming: Snapshot[T]) -> bool:
    """Whether two snapshots agree in every field that both of them know."""
    if stored.object is None or incoming.object is None:
        return stored.deleted == incoming.deleted
    known = {f.name for f in fields(stored.object)} - stored.unknown - incoming.unknown
    return all(getattr(stored.object, name) == getattr(incoming.object, name) for name in known)
