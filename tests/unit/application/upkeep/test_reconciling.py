"""Reconciling on fakes: what is found does not depend on where it was stopped."""

import asyncio
import datetime as dt
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from application.background.retries import Retries
from application.mirror.enrichment import Enrichment
from application.mirror.importer import Importer
from application.mirror.nouns import CUSTOMERS, INVOICES
from application.mirror.writer import MirrorWriter
from application.upkeep.comparison import Comparison, Tally
from application.upkeep.ports import MAX_FINDINGS, Drift, Finding, NounCounts, Report
from application.upkeep.reconciliation import Reconciliation
from domain.customers import Customer
from domain.invoices import Invoice
from domain.mirror import MirroredObject, Snapshot, Version
from domain.money import Money
from domain.periods import to_milliseconds
from tests.support.fakes.lists import FakeCheckpoints, FakeHistory, FakeReports
from tests.support.fakes.stores import NOON, FakeClock, FakeMirror, Pause, no_pause

ACCOUNT: Final = "acct_1"
NOUNS: Final = (CUSTOMERS, INVOICES)
USD: Final = Money(1, "usd")


class Killed(BaseException):
    """The process died here."""


async def no_wait(_: float) -> None:
    """Try again at once."""


def customer(number: int, name: str = "") -> Customer:
    """Five are made within each second, which is more than a page."""
    return Customer(f"cus_{number:03}", NOON - dt.timedelta(seconds=100 - number // 5), name=name)


def invoice(id_: str, url: str) -> Invoice:
    return Invoice(id_, NOON, "usd", "open", USD, USD, USD, USD, hosted_invoice_url=url)


class StripeAndMirror:
    """Stripe and the stores, which outlive every process."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOON + dt.timedelta(hours=1))
        self.where: Pause = no_pause
        self.calls = 0
        self.stripe = FakeHistory(self.clock, self.pause)
        self.mirror = FakeMirror(self.pause)
        self.checkpoints = FakeCheckpoints(self.pause)
        self.reports = FakeReports(self.pause)

    async def pause(self, where: str) -> None:
        self.calls += 1
        await self.where(where)

    def mirrored(self, noun: Any, *objects: MirroredObject) -> None:
        """Let the mirror hold these, from events of when they were made."""
        for found in objects:
            created = to_milliseconds(found.created)
            version = Version.of_event(created, known_at_ms=created)
            row = self.mirror._row(noun, ACCOUNT, found.id)
            told = Snapshot(ACCOUNT, found.id, version, found)
            self.mirror.rows[noun.name, ACCOUNT, found.id] = replace(
                row, revision=row.revision + 1, snapshot=told
            )

    async def steps(self, *, repair: bool, at_most: int) -> Report | None:
        """A process that ends after so many steps; the report if it came to the end."""
        retries = Retries(tries=2, sleep=no_wait)
        importer = Importer(MirrorWriter(self.mirror), self.stripe, Enrichment(self.mirror))
        one = Reconciliation(
            self.stripe,
            self.mirror,
            Comparison(self.mirror, self.stripe, importer, retries=retries),
            self.checkpoints,
            self.reports,
            self.clock,
            nouns=NOUNS,
            retries=retries,
        )
        report = None
        async with aclosing(one.run(ACCOUNT, repair=repair)) as steps:
            async for step in steps:
                report = step.report
                at_most -= 1
                if at_most == 0:
                    break
        return report

    def shown(self) -> dict[str, MirroredObject]:
        return {
            id_: row.snapshot.object
            for (name, _, id_), row in self.mirror.rows.items()
            if name == CUSTOMERS.name and row.snapshot and row.snapshot.object
        }


KINDS: Final = ("same", "odd", Drift.MISSING, Drift.EXTRA, Drift.DIFFERENT)
RIGHT: Final = ("same", "odd")
"""What is no drift: the object is not understood, and its row stays as it is."""


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(KINDS), max_size=30), st.booleans(), st.integers(1, 40))
def test_exactly_what_is_wrong_is_found_and_mended(
    kinds: list[str], repair: bool, at_once: int
) -> None:
    """Whatever is wrong, and however many steps a process gets."""

    async def live() -> None:
        world = StripeAndMirror()
        for number, kind in enumerate(kinds):
            if kind == "odd":
                world.stripe.odd.add(customer(number).id)
            if kind != Drift.EXTRA:
                world.stripe.add(CUSTOMERS, customer(number, "right"))
            if kind != Drift.MISSING:
                name = "wrong" if kind == Drift.DIFFERENT else "right"
                world.mirrored(CUSTOMERS, customer(number, name))
        before = world.shown()
        report = None
        for _ in range(40):
            report = await world.steps(repair=repair, at_most=at_once)
            if report is not None:
                break
        assert report is not None
        assert {(one.id, one.drift, one.repaired) for one in report.findings} == {
            (customer(number).id, kind, repair)
            for number, kind in enumerate(kinds)
            if kind not in RIGHT
        }
        odd = {customer(number).id for number, kind in enumerate(kinds) if kind == "odd"}
        assert {one.id for one in report.oddities.named} == odd
        assert len(report.findings) == report.drifted
        compared = sum(kind not in ("odd", Drift.EXTRA) for kind in kinds)
        assert [one.compared for one in report.counts] == [compared, 0]
        assert [one.not_understood for one in report.counts] == [len(odd), 0]
        assert {*world.stripe.reads} - odd == {
            customer(number).id for number, kind in enumerate(kinds) if kind == Drift.EXTRA
        }, "only what is not listed is read by itself"
        assert world.shown() == (world.stripe.of(CUSTOMERS) if repair else before)

    asyncio.run(live())


async def test_killed_at_every_step_the_mirror_ends_right() -> None:
    def spoilt() -> StripeAndMirror:
        world = StripeAndMirror()
        world.stripe.add(CUSTOMERS, *(customer(number, "right") for number in range(9)))
        world.mirrored(CUSTOMERS, *(customer(number, "wrong") for number in range(3, 12)))
        return world

    whole = spoilt()
    assert await whole.steps(repair=True, at_most=1_000)
    for step in range(whole.calls):
        world = spoilt()

        async def die(_: str, world: StripeAndMirror = world, step: int = step) -> None:
            if world.calls == step + 1:
                raise Killed

        world.where = die
        with suppress(Killed):
            await world.steps(repair=True, at_most=1_000)
        world.where = no_pause
        report = await world.steps(repair=True, at_most=1_000)
        assert report is not None
        assert world.shown() == world.stripe.of(CUSTOMERS)
        assert [one.compared for one in report.counts] == [9, 0]


async def test_another_kind_of_run_begins_anew() -> None:
    world = StripeAndMirror()
    world.stripe.add(CUSTOMERS, *(customer(number) for number in range(12)))
    assert await world.steps(repair=False, at_most=1) is None
    report = await world.steps(repair=True, at_most=1_000)
    assert report is not None
    assert report.repair
    assert report.counts[0].repaired == 12


async def test_a_field_that_passes_is_no_drift() -> None:
    world = StripeAndMirror()
    world.stripe.add(INVOICES, invoice("in_1", "https://one.example"))
    world.mirrored(INVOICES, invoice("in_1", "https://two.example"))
    report = await world.steps(repair=False, at_most=1_000)
    assert report is not None
    assert report.drifted == 0


async def test_a_row_that_is_newer_than_the_page_is_right() -> None:
    world = StripeAndMirror()
    world.stripe.add(CUSTOMERS, customer(1, "old"))

    async def change(where: str) -> None:
        if where == "checkpoints.save":
            return
        later = to_milliseconds(world.clock.now()) + 10_000
        version = Version.of_event(later, known_at_ms=later)
        row = world.mirror._row(CUSTOMERS, ACCOUNT, "cus_001")
        told = Snapshot(ACCOUNT, "cus_001", version, customer(1, "new"))
        world.mirror.rows[CUSTOMERS.name, ACCOUNT, "cus_001"] = replace(
            row, revision=1, snapshot=told
        )

    world.where = change
    report = await world.steps(repair=True, at_most=1_000)
    assert report is not None
    assert report.drifted == 0
    assert world.shown()["cus_001"] == customer(1, "new")


async def test_where_the_clocks_cannot_tell_the_object_is_read_by_itself() -> None:
    world = StripeAndMirror()
    world.stripe.add(CUSTOMERS, customer(1, "old"))
    world.mirrored(CUSTOMERS, customer(1, "old"))
    shown = 0

    async def change(where: str) -> None:
        """The page was looked up: then the customer changes, and its event is here at once."""
        nonlocal shown
        shown += where == "stripe.page"
        if where == "stripe.page" and shown == 2:
            world.stripe.add(CUSTOMERS, customer(1, "new"))
            now_ms = to_milliseconds(world.clock.now())
            version = Version.of_event(now_ms // 1000 * 1000, known_at_ms=now_ms + 1)
            row = world.mirror._row(CUSTOMERS, ACCOUNT, "cus_001")
            told = Snapshot(ACCOUNT, "cus_001", version, customer(1, "new"))
            world.mirror.rows[CUSTOMERS.name, ACCOUNT, "cus_001"] = replace(row, snapshot=told)

    world.where = change
    report = await world.steps(repair=True, at_most=1_000)
    assert report is not None
    assert report.drifted == 0
    assert world.stripe.reads == ["cus_001"]


def test_all_findings_are_counted_and_the_first_are_named() -> None:
    tally = Tally().compared("charge", 7)
    many = [Finding("charge", f"ch_{n}", Drift.MISSING) for n in range(MAX_FINDINGS)]
    tally = tally.found(many).found([Finding("charge", "ch_x", Drift.EXTRA, repaired=True)])
    assert len(tally.findings) == MAX_FINDINGS
    assert tally.counts == {"charge": NounCounts("charge", 7, MAX_FINDINGS, 1, 0, 1)}


async def test_a_row_whose_object_is_odd_when_read_is_not_judged() -> None:
    """It is odd in no list, since it was made after the list was read."""
    world = StripeAndMirror()
    world.stripe.add(CUSTOMERS, customer(1, "right"))
    world.mirrored(CUSTOMERS, customer(1, "right"), customer(0, "right"))

    async def late(where: str) -> None:
        if where == "mirror.list":
            world.stripe.add(CUSTOMERS, customer(0, "right"))
            world.stripe.odd.add(customer(0).id)

    world.where = late
    report = await world.steps(repair=True, at_most=1_000)
    assert report is not None
    assert report.drifted == 0
    assert [one.id for one in report.oddities.named] == [customer(0).id]
    assert world.shown().keys() == {customer(0).id, customer(1).id}
