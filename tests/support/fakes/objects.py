"""Single objects of Stripe's in memory."""

from collections.abc import Callable
from typing import Any

from typing_extensions import override

from application.mirror.ports import Noun
from application.mirror.stripe import ObjectReader, Priority
from domain.errors import BillingError, Reason, Unavailable
from domain.mirror import MirroredObject, Snapshot, Version
from domain.periods import to_milliseconds
from tests.support.fakes.stores import FakeClock, Pause, no_pause

Show = Callable[[str], MirroredObject | None]
"""An object as it is now, by its id; None for one that there is not."""


class FakeObjects(ObjectReader):
    """Reads objects of one noun as `show` gives them; without it nothing can be read.

    `reads` tells the ids that were read, `error` is raised instead of an answer.
    """

    def __init__(self, clock: FakeClock, show: Show | None = None) -> None:
        self.pause: Pause = no_pause
        self.reads: list[str] = []
        self.error: BillingError | None = None
        self._clock, self._show = clock, show

    @override
    async def read(
        self,
        noun: Noun[Any],
        stripe_account: str,
        object_id: str,
        *,
        not_before_ms: int | None,
        priority: Priority,
    ) -> Snapshot[Any]:
        await self.pause("stripe.get")
        self.reads.append(object_id)
        if self.error is not None:
            raise self.error
        if self._show is None:
            raise Unavailable(Reason.STRIPE_UNAVAILABLE, "Stripe does not answer")
        self._clock.advance(milliseconds=6)
        now_ms = to_milliseconds(self._clock.now())
        version = Version.of_read(date_ms=now_ms, duration_ms=5, sent_at_ms=now_ms - 5)
        return Snapshot(stripe_account, object_id, version, self._show(object_id))
