"""Reports: kept whole, listed by when they began."""

from dataclasses import replace
from typing import Final

from application.upkeep.ports import Drift, Finding, NounCounts, Report, ReportKind
from domain.oddities import Oddities, Oddity
from domain.periods import to_milliseconds
from tests.contract.samples import NOON, OURS, SECOND, THEIRS
from tests.contract.test_plans import assert_ordered, plans_or_nothing
from tests.support.servers.stores import Opener, Stores

REPORT: Final = Report(
    id="a",
    stripe_account=OURS,
    kind=ReportKind.RECONCILE,
    repair=True,
    started_at=NOON,
    finished_at=NOON + SECOND,
    counts=(NounCounts("charge", 10, 1, 2, 3, 6), NounCounts("customer", 5, not_understood=7)),
    findings=(
        Finding("charge", "ch_1", Drift.DIFFERENT, ("status", "amount"), repaired=True),
        Finding("charge", "ch_2", Drift.EXTRA),
    ),
    oddities=Oddities(7, (Oddity("customer", "größe", "created: is missing"),)),
)


async def test_a_report_is_kept_whole(stores: Stores) -> None:
    assert await stores.reports.get(OURS, "a") is None
    await stores.reports.put(REPORT)
    assert await stores.reports.get(OURS, "a") == REPORT
    assert await stores.reports.get(THEIRS, "a") is None
    assert REPORT.drifted == 6


async def test_the_same_id_again_replaces_it(stores: Stores) -> None:
    await stores.reports.put(REPORT)
    later = replace(REPORT, findings=(), finished_at=NOON + 2 * SECOND)
    await stores.reports.put(later)
    assert await stores.reports.newest(OURS, after=None, limit=10) == [later]


async def test_the_newest_come_first_and_every_one_once(stores: Stores) -> None:
    made = [
        replace(REPORT, id=f"r{number}", started_at=NOON + SECOND * (number // 3))
        for number in range(10)
    ]
    for report in made:
        await stores.reports.put(report)
    await stores.reports.put(replace(REPORT, id="other", stripe_account=THEIRS))
    found: list[Report] = []
    after = None
    for _ in range(5):
        page = await stores.reports.newest(OURS, after=after, limit=2)
        assert len(page) == 2
        found += page
        after = to_milliseconds(page[-1].started_at), page[-1].id
    assert await stores.reports.newest(OURS, after=after, limit=2) == []
    assert found == sorted(made, key=lambda one: (one.started_at, one.id), reverse=True)


async def test_they_survive_reopening(opener: Opener) -> None:
    async with opener() as stores:
        await stores.reports.put(REPORT)
    async with opener() as stores:
        assert await stores.reports.get(OURS, "a") == REPORT


async def test_an_index_answers(stores: Stores) -> None:
    await stores.reports.put(REPORT)
    await assert_ordered(stores, lambda: stores.reports.get(OURS, "a"))
    for after in (None, (to_milliseconds(NOON + SECOND), "b")):
        position = after

        async def ask(position: tuple[int, str] | None = position) -> None:
            await stores.reports.newest(OURS, after=position, limit=5)

        await assert_ordered(stores, ask)
    await plans_or_nothing(stores, lambda: stores.reports.put(REPORT))
