"""Rebuilding: a mirror listed as Stripe lists, so that it can be compared."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final, cast

from typing_extensions import override

from application.events.inbox import ReceivedEvent
from application.events.readings import (
    Deauthorized,
    EventReader,
    Hint,
    Irrelevant,
    Observed,
    Reading,
)
from application.mirror.importer import Brought
from application.mirror.lists import Place
from application.mirror.nouns import CUSTOMERS
from application.mirror.stripe import Priority
from application.mirror.writer import MirrorWriter
from application.upkeep.rebuild import MirrorLister, ShadowFilling
from domain.customers import Customer
from domain.mirror import Snapshot, Version
from tests.support.fakes.stores import NOON, FakeClock, FakeMirror

ACCOUNT: Final = "acct_1"


async def test_every_live_row_is_listed_once_newest_first() -> None:
    mirror = FakeMirror()
    made = [
        Customer(f"cus_{n:04}", NOON - dt.timedelta(seconds=n // 700), name="x")
        for n in range(1_700)
    ]
    told = [Snapshot(ACCOUNT, one.id, Version.of_event(n), one) for n, one in enumerate(made)]
    for start in range(0, len(told), 1_000):
        await MirrorWriter(mirror).observe(CUSTOMERS, told[start : start + 1_000])
    gone: Snapshot[Customer] = Snapshot(
        ACCOUNT, "cus_0005", Version.of_event(2_000_000_000_000), None
    )
    await MirrorWriter(mirror).observe(CUSTOMERS, [gone])
    lister = MirrorLister(mirror, FakeClock())
    found: list[str] = []
    place: Place | None = Place()
    while place is not None:
        page = await lister.page(
            CUSTOMERS, ACCOUNT, place, since_ms=None, priority=Priority.BACKFILL
        )
        found += [one.id for one in page.items]
        place = page.next
    by_age = sorted(made, key=lambda one: (one.created, one.id), reverse=True)
    assert found == [one.id for one in by_age if one.id != "cus_0005"]


class Reader(EventReader):
    """Says of an event what `says` holds for its id."""

    def __init__(self, says: dict[str, Reading]) -> None:
        self._says = says

    @override
    def read(self, event: ReceivedEvent, stripe_account: str) -> Reading:
        return self._says[event.id]


class Bringing:
    """Only remembers what was to be brought in."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    async def bring(self, _: object, snapshots: Sequence[Snapshot[Any]], __: Priority) -> Brought:
        self.ids += [one.id for one in snapshots]
        return Brought(len(snapshots))


async def test_what_an_event_does_not_tell_whole_is_not_replayed() -> None:
    noun, at = cast("Any", CUSTOMERS), Version.of_event(1)

    def of(id_: str) -> Any:
        return Snapshot(ACCOUNT, id_, at, Customer(id_, NOON))

    says: dict[str, Reading] = {
        "evt_1": Observed(noun, of("cus_whole")),
        "evt_2": Observed(noun, of("cus_cut_short"), incomplete=True),
        "evt_3": Hint(noun, "cus_hint", 1),
        "evt_4": Deauthorized(1),
        "evt_5": Irrelevant("of no noun"),
    }
    events = [
        ReceivedEvent(id_, ACCOUNT, "whatever", "", 1, "customer", "cus", b"", NOON) for id_ in says
    ]
    brought, unused = Bringing(), cast("Any", None)
    rebuild = ShadowFilling(
        unused, cast("Any", brought), unused, unused, unused, Reader(says), FakeClock()
    )
    await rebuild._bring(events, ACCOUNT)
    assert brought.ids == ["cus_whole"]


async def test_an_empty_mirror_is_one_page() -> None:
    lister = MirrorLister(FakeMirror(), FakeClock())
    page = await lister.page(CUSTOMERS, ACCOUNT, Place(), since_ms=None, priority=Priority.BACKFILL)
    assert (page.items, page.next) == ([], None)
