"""In-memory fakes for the bulk flows: Stripe's lists, checkpoints, reports."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from typing_extensions import override

from application.background.checkpoints import Checkpoint, Checkpoints
from application.events.inbox import ReceivedEvent
from application.events.lists import EventLister
from application.mirror.lists import ObjectLister, Page, Place
from application.mirror.ports import Noun, T
from application.mirror.stripe import ObjectReader, Priority
from application.upkeep.ports import Report, Reports
from domain.errors import Conflict, NotUnderstood, Reason
from domain.mirror import MirroredObject, Snapshot, Version
from domain.oddities import Oddity
from domain.periods import to_milliseconds
from tests.support.fakes.stores import Fake, FakeClock, Pause, no_pause

PAGE: Final = 3
"""Few objects a page, so that a short history has many pages."""


ODD: Final = "currency: three lower-case letters are needed"
"""What is wrong with objects that are not understood."""


class FakeCheckpoints(Fake, Checkpoints):
    """Checkpoints in a dictionary."""

    def __init__(self, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.kept: dict[tuple[str, str], Checkpoint] = {}

    @override
    async def load(self, stripe_account: str, task: str) -> Checkpoint:
        async with self._step("checkpoints.load"):
            found = self.kept.get((stripe_account, task))
        return found or Checkpoint(stripe_account, task, 0)

    @override
    async def save(self, checkpoint: Checkpoint, *, now: dt.datetime) -> Checkpoint:
        key = (checkpoint.stripe_account, checkpoint.task)
        async with self._step("checkpoints.save"):
            stored = self.kept.get(key)
            if (stored.revision if stored else 0) != checkpoint.revision:
                raise Conflict(Reason.REQUEST_IN_FLIGHT, "somebody else has taken over")
            saved = replace(checkpoint, revision=checkpoint.revision + 1, saved_at=now)
            self.kept[key] = saved
        return saved

    @override
    async def forget(self, stripe_account: str, *, before: dt.datetime, limit: int) -> int:
        async with self._step("checkpoints.forget"):
            old = [
                key for key, one in self.kept.items()
                if key[0] == stripe_account and one.saved_at and one.saved_at < before
            ][:limit]  # fmt: skip
            for key in old:
                del self.kept[key]
        return len(old)

    @override
    async def of(self, stripe_account: str) -> Sequence[Checkpoint]:
        async with self._step("checkpoints.of"):
            found = [one for (account, _), one in self.kept.items() if account == stripe_account]
        return sorted(found, key=lambda one: one.task)


class FakeReports(Fake, Reports):
    """Reports in a dictionary."""

    def __init__(self, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.kept: dict[tuple[str, str], Report] = {}

    @override
    async def put(self, report: Report) -> None:
        async with self._step("reports.put"):
            self.kept[report.stripe_account, report.id] = report

    @override
    async def get(self, stripe_account: str, report_id: str) -> Report | None:
        async with self._step("reports.get"):
            return self.kept.get((stripe_account, report_id))

    @override
    async def newest(
        self, stripe_account: str, *, after: tuple[int, str] | None, limit: int
    ) -> Sequence[Report]:
        async with self._step("reports.newest"):
            own = [one for (account, _), one in self.kept.items() if account == stripe_account]
        keyed = sorted(((to_milliseconds(one.started_at), one.id) for one in own), reverse=True)
        by_key = {(to_milliseconds(one.started_at), one.id): one for one in own}
        return [by_key[key] for key in keyed if after is None or key < after][:limit]


class FakeHistory(Fake, ObjectLister, EventLister, ObjectReader):
    """What Stripe holds: objects and events of one account, and requests that take a moment.

    `objects` maps a noun's name to its objects by id. A request shows the state in between its two
    pauses. Whoever asks is remembered in `asked` as `(noun, before_ms, after)`. Objects of
    `odd` ids are not understood. The `Date` of answers is `date_ahead_ms` ahead of our clock.
    """

    def __init__(self, clock: FakeClock, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.objects: dict[str, dict[str, MirroredObject]] = {}
        self.told: list[ReceivedEvent] = []
        self.asked: list[tuple[str, int | None, str]] = []
        self.reads: list[str] = []
        self.odd: set[str] = set()
        self.date_ahead_ms = 0
        self._clock = clock

    def add(self, noun: Noun[Any], *objects: MirroredObject) -> None:
        """Let there be these objects."""
        self.objects.setdefault(noun.name, {}).update({one.id: one for one in objects})

    def of(self, noun: Noun[Any]) -> Mapping[str, MirroredObject]:
        """The objects of a noun."""
        return self.objects.get(noun.name, {})

    @override
    async def page(
        self,
        noun: Noun[T],
        stripe_account: str,
        place: Place,
        *,
        since_ms: int | None,
        priority: Priority,
    ) -> Page[Snapshot[T]]:
        self.asked.append((noun.name, place.before_ms, place.after))
        found: list[Any] = []
        version = Version(0, 0)
        async with self._step("stripe.page"):
            version = self._version()
            found = sorted(
                self.of(noun).values(), key=lambda one: (one.created, one.id), reverse=True
            )
        keys = [(to_milliseconds(one.created), one.id) for one in found]
        chosen = _page(keys, place, since_ms)
        objects = {one.id: one for one in found}
        ids = [id_ for _, id_ in chosen[0]]
        snapshots = [
            Snapshot(stripe_account, id_, version, objects[id_])
            for id_ in ids
            if id_ not in self.odd
        ]
        oddities = [Oddity(noun.name, id_, ODD) for id_ in ids if id_ in self.odd]
        return Page(snapshots, version, chosen[1], oddities)

    @override
    async def events(
        self,
        stripe_account: str,
        place: Place,
        *,
        since_ms: int,
        priority: Priority,
        types: Sequence[str] = (),
    ) -> Page[ReceivedEvent]:
        self.asked.append(("event", place.before_ms, place.after))
        async with self._step("stripe.events"):
            version = self._version()
            events = {one.id: one for one in self.told if one.stripe_account == stripe_account}
        keys = sorted(((one.created, one.id) for one in events.values()), reverse=True)
        chosen, following = _page(keys, place, since_ms)
        return Page([events[id_] for _, id_ in chosen], version, following)

    @override
    async def read(
        self,
        noun: Noun[T],
        stripe_account: str,
        object_id: str,
        *,
        not_before_ms: int | None,
        priority: Priority,
    ) -> Snapshot[T]:
        self.reads.append(object_id)
        found: Any = None
        version = Version(0, 0)
        async with self._step("stripe.read"):
            version = self._version()
            found = self.of(noun).get(object_id)
        if found is not None and object_id in self.odd:
            raise NotUnderstood(noun.name, object_id, ODD)
        return Snapshot(stripe_account, object_id, version, found)

    def _version(self) -> Version:
        now_ms = to_milliseconds(self._clock.now())
        self._clock.advance(milliseconds=10)
        date_ms = now_ms + self.date_ahead_ms
        return Version.of_read(date_ms=date_ms, duration_ms=5, sent_at_ms=now_ms)


def _page(
    keys: Sequence[tuple[int, str]], place: Place, since_ms: int | None
) -> tuple[Sequence[tuple[int, str]], Place | None]:
    """The keys (created in ms, id) of a page of what is sorted newest first, and the next place."""
    left = [
        key
        for key in keys
        if (place.before_ms is None or key[0] < place.before_ms)
        and (since_ms is None or key[0] >= since_ms)
    ]
    if place.after and place.after in {id_ for _, id_ in left}:
        left = left[[id_ for _, id_ in left].index(place.after) + 1 :]
    page = left[:PAGE]
    following = Place(page[-1][0] + 1_000, page[-1][1]) if left[PAGE:] else None
    return page, following
