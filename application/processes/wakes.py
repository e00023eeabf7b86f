"""Events wake processes, and do nothing else to them."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from typing_extensions import override

from application.background.clock import Clock
from application.effects.effect import Follower
from application.effects.happenings import EventWithFacts, Outcome
from application.processes.ports import ProcessLog, Watch

_REFERENCES: Final = ("payment_intent", "charge", "subscription")


class ProcessWakes(Follower):
    """Makes the processes due that watch an event's object, or one that this refers to.

    It asks neither what the event says nor whose it is nor how old: the process reads the object at
    Stripe. So an event that is early, late, doubled or forged costs a read and changes nothing.
    """

    def __init__(self, log: ProcessLog, clock: Clock, woken: asyncio.Event) -> None:
        """`woken` is set where a process was woken."""
        self._log = log
        self._clock = clock
        self._woken = woken

    @override
    async def after(
        self, events: Sequence[EventWithFacts], outcomes: Mapping[str, Outcome]
    ) -> None:
        objects = sorted({watch for event in events for watch in _objects(event)})
        if objects and await self._log.wake(objects, now=self._clock.now()):
            self._woken.set()


def _objects(event: EventWithFacts) -> Iterator[Watch]:
    stripe_account = event.projected.stripe_account
    yield Watch(stripe_account, event.projected.object_id)
    for name in _REFERENCES:
        named = getattr(event.object, name, None)
        if isinstance(named, str) and named:
            yield Watch(stripe_account, named)
