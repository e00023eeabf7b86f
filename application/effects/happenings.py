"""What the effects have in common: events and their facts, and work on many of them at once."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from application.events.inbox import ReceivedEvent
from application.mirror.nouns import CUSTOMERS
from application.mirror.ports import Noun
from domain.connections import Connection
from domain.effects import Fact
from domain.errors import RateLimited, Unavailable
from domain.mirror import MirroredObject, Snapshot
from domain.periods import from_milliseconds

K = TypeVar("K")
R = TypeVar("R")

AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class ProjectedEvent:
    """A distinct event whose object is in the mirror, and the snapshot of it in the event.

    `snapshot` is None where the payload is no help: the mirrored row then speaks for it.
    """

    received: ReceivedEvent
    stripe_account: str
    noun: Noun[Any]
    object_id: str
    snapshot: Snapshot[Any] | None


@dataclass(slots=True)
class Outcome:
    """What followed from an event, in words; with `error` it must come again as a whole."""

    words: list[str] = field(default_factory=list)
    error: Exception | None = None

    def note(self, result: str | Exception) -> None:
        """Take down what one effect came to; empty words say nothing."""
        if isinstance(result, Exception):
            self.error = result
        elif result and result not in self.words:
            self.words.append(result)


@dataclass(frozen=True, slots=True)
class EventWithFacts:
    """An event with the object as its snapshot shows it, or else the mirror; and its facts.

    `object` is None, and there are no facts, where it is deleted or the mirror does not show it.
    """

    projected: ProjectedEvent
    object: MirroredObject | None
    unknown: frozenset[str]
    facts: tuple[Fact, ...]

    @property
    def id(self) -> str:
        """The event's id."""
        return self.projected.received.id

    @property
    def occurred_at(self) -> dt.datetime:
        """When it happened, in Stripe's time."""
        return from_milliseconds(self.projected.received.created)

    @property
    def effective(self) -> bool:
        """Whether anything may follow from it for a tenant. The platform's own has none."""
        if self.object is None or not self.projected.received.stripe_account:
            return False
        return bool(self.facts) or self.projected.noun.name == CUSTOMERS.name


@dataclass(frozen=True, slots=True)
class DueEvent:
    """An event whose tenant is known, and which is in time for effects.

    `since_ms` is from when on its tenant's facts have effects, in Stripe's time.
    """

    connection: Connection
    event: EventWithFacts
    since_ms: int


async def all_of(work: Mapping[K, Callable[[], Awaitable[R]]]) -> dict[K, R | Exception]:
    """What each piece of work came to, AT_ONCE at a time.

    A store that does not take it is everybody's error, and raised: Unavailable, RateLimited.
    """
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(piece: Callable[[], Awaitable[R]]) -> R | Exception:
        async with slots:
            try:
                return await piece()
            except Exception as error:  # noqa: BLE001 - a poisoned piece holds up no other
                return error

    results = dict(zip(work, await asyncio.gather(*map(one, work.values())), strict=True))
    for result in results.values():
        if isinstance(result, Unavailable | RateLimited):
            raise result
    return results
