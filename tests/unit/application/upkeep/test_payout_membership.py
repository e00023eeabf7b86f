"""Payout membership on fakes: cut off at any page, asked for twice, disturbed wherever it waits."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest
from typing_extensions import override

from application.background.retries import Retries
from application.effects.happenings import EventWithFacts, ProjectedEvent
from application.mirror.enrichment import Enrichment
from application.mirror.importer import Importer
from application.mirror.lists import Page, PayoutTransactionLister, Place
from application.mirror.nouns import BALANCE_TRANSACTIONS, PAYOUTS
from application.mirror.ports import Filter
from application.mirror.stripe import Priority
from application.mirror.writer import MirrorWriter
from application.upkeep import payout_membership
from application.upkeep.payout_membership import TASK, PayoutMembership
from domain.balance_transactions import PAYOUT, BalanceTransaction
from domain.errors import FieldViolation, InvalidArgument, RateLimited, Reason, Unavailable
from domain.mirror import Snapshot, Version
from domain.money import Money
from domain.oddities import Oddity
from domain.payouts import MEMBERSHIP, Payout
from domain.periods import to_milliseconds
from tests.contract.samples import event
from tests.support.fakes.lists import ODD, FakeCheckpoints, FakeHistory
from tests.support.fakes.stores import (
    NOON,
    Fake,
    FakeClock,
    FakeMirror,
    Pause,
    no_pause,
    store_down,
)

ACCOUNT: Final = "acct_1"
PAGE: Final = 3


class Killed(BaseException):
    """The process died here."""


async def no_wait(_: float) -> None:
    """Try again at once."""


def payout(id_: str = "po_1", **changes: Any) -> Payout:
    values = {"automatic": True, "reconciliation_status": "completed", **changes}
    return Payout(id_, NOON, Money(900, "usd"), "paid", NOON, **values)


def transactions(count: int) -> list[BalanceTransaction]:
    return [
        BalanceTransaction(
            f"txn_{n:02}", NOON - dt.timedelta(seconds=n), Money(n, "usd"), Money(1, "usd"),
            Money(n - 1, "usd"), "charge", "available", NOON, f"ch_{n}", "charge",
        )
        for n in range(count)
    ]  # fmt: skip


class FakePayouts(Fake, PayoutTransactionLister):
    """Stripe's lists of the transactions of payouts, PAGE at once; `odd` is not understood."""

    def __init__(self, clock: FakeClock, pause: Pause) -> None:
        super().__init__(pause)
        self.held: dict[str, Sequence[BalanceTransaction]] = {}
        self.odd: set[str] = set()
        self.refused: Exception | None = None
        self.asked: list[str] = []
        self.priorities: set[Priority] = set()
        self._clock = clock

    @override
    async def page_of_payout(
        self, stripe_account: str, payout: str, place: Place, *, priority: Priority
    ) -> Page[Snapshot[BalanceTransaction]]:
        self.asked.append(place.after)
        self.priorities.add(priority)
        async with self._step("stripe.page_of_payout"):
            if self.refused is not None:
                raise self.refused
        ids = [one.id for one in self.held[payout]]
        start = ids.index(place.after) + 1 if place.after else 0
        some = self.held[payout][start : start + PAGE]
        now = to_milliseconds(self._clock.now())
        self._clock.advance(milliseconds=10)
        version = Version.of_read(date_ms=now, duration_ms=5, sent_at_ms=now)
        following = Place(now, some[-1].id) if ids[start + PAGE :] else None
        known = [
            Snapshot(stripe_account, one.id, version, one) for one in some if one.id not in self.odd
        ]
        odd = [Oddity("balance_transaction", one.id, ODD) for one in some if one.id in self.odd]
        return Page(known, version, following, odd)


class World:
    """Stripe and a store, which outlive every process."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.where: Pause = no_pause
        self.calls = 0
        self.mirror = FakeMirror(self.pause)
        self.checkpoints = FakeCheckpoints(self.pause)
        self.payouts = FakePayouts(self.clock, self.pause)
        self.payouts.held["po_1"] = transactions(8)

    async def pause(self, where: str) -> None:
        self.calls += 1
        await self.where(where)

    def process(self) -> PayoutMembership:
        """As a new process has it."""
        importer = Importer(
            MirrorWriter(self.mirror), FakeHistory(self.clock), Enrichment(self.mirror)
        )
        nobody: Any = None
        return PayoutMembership(
            self.payouts, importer, self.mirror, self.checkpoints, nobody, self.clock,
            retries=Retries(tries=2, sleep=no_wait),
        )  # fmt: skip

    async def mirrored(self, *payouts: Payout) -> None:
        told = [Snapshot(ACCOUNT, one.id, Version.of_event(1), one) for one in payouts]
        await MirrorWriter(self.mirror).observe(PAYOUTS, told)

    async def members(self, payout: str = "po_1") -> list[str]:
        rows = (await self.mirror.fetch(BALANCE_TRANSACTIONS, ACCOUNT, self.ids)).values()
        told = {
            row.id: row.derived[PAYOUT].values["payout"] for row in rows if PAYOUT in row.derived
        }
        return sorted(id_ for id_, held_by in told.items() if held_by == payout)

    @property
    def ids(self) -> list[str]:
        return [one.id for one in self.payouts.held["po_1"]]

    async def membership(self, payout: str = "po_1") -> dict[str, Any] | None:
        row = (await self.mirror.fetch(PAYOUTS, ACCOUNT, [payout]))[payout]
        return dict(row.derived[MEMBERSHIP].values) if MEMBERSHIP in row.derived else None

    async def due(self) -> list[str]:
        return list((await self.checkpoints.load(ACCOUNT, TASK)).state.get("due", ()))


async def test_every_transaction_says_which_payout_it_is_in() -> None:
    world = World()
    await world.mirrored(payout())
    assert await world.process().read(ACCOUNT, "po_1")
    assert await world.members() == world.ids
    now = to_milliseconds(world.clock.now())
    assert await world.membership() == {"transactions": 8, "not_understood": 0, "read_at": now}
    groups = await world.mirror.group(
        BALANCE_TRANSACTIONS, ACCOUNT, Filter({"payout": "po_1"}),
        by=["reporting_category"], sums=["amount", "fee", "net"],
    )  # fmt: skip
    assert [(one.values, one.count, one.sums) for one in groups] == [(("charge",), 8, (28, 8, 20))]
    charge = world.mirror.rows["charge", ACCOUNT, "ch_3"]
    assert charge.derived["settlement"].values["net"] == 2, "what it tells is derived on the way"


@pytest.mark.parametrize("page", [1, 2, 3])
async def test_a_reading_that_is_cut_off_goes_on_at_its_last_page(page: int) -> None:
    world = World()
    await world.mirrored(payout())
    process = world.process()
    await process.ask(ACCOUNT, ["po_1"])
    keeps = 0

    async def dies(where: str) -> None:
        nonlocal keeps
        keeps += where == "mirror.replace"
        if keeps == 2 * page:  # after the page is stored, before the checkpoint says so
            raise Killed

    world.where = dies
    with pytest.raises(Killed):
        await process.read_due(ACCOUNT)
    world.where = no_pause
    assert await world.membership() is None, "half of it is nothing to sum up"
    assert await world.due() == ["po_1"]
    world.payouts.asked.clear()
    assert await world.process().read_due(ACCOUNT) == 1
    first = ["", "txn_02", "txn_05"][page - 1 :]
    assert world.payouts.asked == first
    assert await world.members() == world.ids
    told = await world.membership()
    assert told is not None
    assert told["transactions"] == 8
    assert await world.due() == []


async def test_a_process_may_die_at_every_step() -> None:
    whole = World()
    await whole.mirrored(payout())
    await whole.process().ask(ACCOUNT, ["po_1"])
    whole.calls = 0
    await whole.process().read_due(ACCOUNT)
    for step in range(1, whole.calls + 1):
        world = World()
        await world.mirrored(payout())
        await world.process().ask(ACCOUNT, ["po_1"])
        world.calls = 0

        async def dies(_: str, world: World = world, step: int = step) -> None:
            if world.calls == step:
                raise Killed

        world.where = dies
        with pytest.raises(Killed):
            await world.process().read_due(ACCOUNT)
        world.where = no_pause
        await world.process().read_due(ACCOUNT)
        assert await world.members() == world.ids
        told = await world.membership()
        assert told is not None
        assert told["transactions"] == 8
        assert await world.due() == []


@pytest.mark.parametrize(
    "other",
    [payout(automatic=False), payout(reconciliation_status="in_progress"), None],
)
async def test_what_stripe_does_not_tell_of_is_not_asked_for(other: Payout | None) -> None:
    world = World()
    if other is not None:
        await world.mirrored(other)
    process = world.process()
    await process.ask(ACCOUNT, ["po_1"])
    assert not await process.read(ACCOUNT, "po_1")
    assert world.payouts.asked == []
    assert await world.due() == []


async def test_one_that_stripe_refuses_holds_up_no_other() -> None:
    world = World()
    world.payouts.held["po_2"] = transactions(1)
    await world.mirrored(payout(), payout("po_2"))
    process = world.process()
    await process.ask(ACCOUNT, ["po_1"])
    world.payouts.refused = InvalidArgument([FieldViolation("payout", "an automatic one")])
    assert await process.read_due(ACCOUNT) == 1
    assert await world.due() == []
    world.payouts.refused = None
    await process.ask(ACCOUNT, ["po_2"])
    await process.read_due(ACCOUNT)
    assert await world.membership("po_2")


async def store_away(_: str) -> None:
    raise store_down()


@pytest.mark.parametrize("store", [True, False])
async def test_what_waits_for_stripe_or_the_store_stays_due(store: bool) -> None:
    world = World()
    await world.mirrored(payout())
    await world.process().ask(ACCOUNT, ["po_1"])
    if store:
        world.where = store_away
    else:
        world.payouts.refused = RateLimited(
            Reason.STRIPE_RATE_LIMITED, "later", retry_after_seconds=1
        )
    with pytest.raises(Unavailable if store else RateLimited):
        await world.process().read(ACCOUNT, "po_1")
    world.where, world.payouts.refused = no_pause, None
    assert await world.due() == ["po_1"]


async def test_one_that_is_not_understood_is_counted() -> None:
    world = World()
    world.payouts.odd.add("txn_04")
    await world.mirrored(payout())
    assert await world.process().read(ACCOUNT, "po_1")
    told = await world.membership()
    assert told is not None
    assert (told["transactions"], told["not_understood"]) == (7, 1)


async def test_those_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payout_membership, "MAX_DUE", 2)
    process = World().process()
    await process.ask(ACCOUNT, ["po_1", "po_2", "po_1"])
    with pytest.raises(RateLimited):
        await process.ask(ACCOUNT, ["po_3"])


def happened(type_: str, created: dt.datetime) -> EventWithFacts:
    received = replace(event("evt_1"), type=type_, created=to_milliseconds(created))
    told = Snapshot(ACCOUNT, "po_1", Version.of_event(received.created), payout())
    projected = ProjectedEvent(received, ACCOUNT, PAYOUTS, "po_1", told)
    return EventWithFacts(projected, payout(), frozenset(), ())


async def test_a_payout_is_read_when_it_is_reconciled_and_once_for_two_events() -> None:
    world = World()
    await world.mirrored(payout())
    process = world.process()
    await process.after([happened("payout.paid", NOON)], {})
    assert await world.due() == []
    reconciled = happened(payout_membership.RECONCILED, NOON)
    world.clock.advance(minutes=1)
    await process.after([reconciled, reconciled], {})
    assert await world.due() == ["po_1"]
    await process.read_due(ACCOUNT)
    asked = len(world.payouts.asked)
    await process.after([reconciled], {})
    assert await world.due() == []
    await process.read_due(ACCOUNT)
    assert len(world.payouts.asked) == asked
    # One that tells of it later has it read once more.
    await process.after([happened(payout_membership.RECONCILED, world.clock.now())], {})
    assert await world.due() == ["po_1"]
    assert world.payouts.priorities == {Priority.CATCH_UP}
