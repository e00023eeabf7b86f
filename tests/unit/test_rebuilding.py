"""Rebuilding: a mirror listed as Stripe lists, so that it can be compared."""

import datetime as dt
from typing import Final

from application.mirroring import Mirroring
from application.ports.listing import Place
from application.ports.mirror import CUSTOMERS
from application.ports.stripe import Priority
from application.rebuilding import MirrorLister
from domain.customers import Customer
from domain.mirror import Snapshot, Version
from tests.support.fakes import NOON, FakeClock, FakeMirror

ACCOUNT: Final = "acct_1"


async def test_every_live_row_is_listed_once_newest_first() -> None:
    mirror = FakeMirror()
    made = [
        Customer(f"cus_{n:04}", NOON - dt.timedelta(seconds=n // 700), name="x")
        for n in range(1_700)
    ]
    told = [Snapshot(ACCOUNT, one.id, Version.of_event(n), one) for n, one in enumerate(made)]
    for start in range(0, len(told), 1_000):
        await Mirroring(mirror).observe(CUSTOMERS, told[start : start + 1_000])
    gone: Snapshot[Customer] = Snapshot(
        ACCOUNT, "cus_0005", Version.of_event(2_000_000_000_000), None
    )
    await Mirroring(mirror).observe(CUSTOMERS, [gone])
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


async def test_an_empty_mirror_is_one_page() -> None:
    lister = MirrorLister(FakeMirror(), FakeClock())
    page = await lister.page(CUSTOMERS, ACCOUNT, Place(), since_ms=None, priority=Priority.BACKFILL)
    assert (page.items, page.next) == ([], None)
