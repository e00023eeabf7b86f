"""Backfill on fakes: killed, refused and disturbed wherever it waits."""

import asyncio
import datetime as dt
from contextlib import aclosing, suppress
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from application.background.retries import Retries
from application.mirror.enrichment import Enrichment
from application.mirror.importer import Importer
from application.mirror.lists import Place
from application.mirror.nouns import CUSTOMERS, PRODUCTS
from application.mirror.ports import Noun
from application.mirror.stripe import Priority
from application.mirror.writer import MirrorWriter
from application.upkeep.backfill import TASK, Backfill, Progress
from domain.customers import Customer
from domain.errors import Conflict, FailedPrecondition, RateLimited, Reason
from domain.mirror import MirroredObject, Snapshot, Version
from domain.oddities import MAX_NAMED, Oddities, Oddity
from domain.periods import to_milliseconds
from domain.products import Product
from tests.support.fakes.lists import PAGE, FakeCheckpoints, FakeHistory
from tests.support.fakes.stores import NOON, FakeClock, FakeMirror, Pause, no_pause, store_down

ACCOUNT: Final = "acct_1"
NOUNS: Final = (CUSTOMERS, PRODUCTS)


class Killed(BaseException):
    """The process died here."""


async def no_wait(_: float) -> None:
    """Try again at once."""


def customer(number: int, name: str = "") -> Customer:
    """Three are made within each second."""
    return Customer(f"cus_{number:03}", NOON - dt.timedelta(seconds=100 - number // 3), name=name)


class StripeAndMirror:
    """Stripe and a store, which outlive every process."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.where: Pause = no_pause
        self.calls = 0
        self.stripe = FakeHistory(self.clock, self.pause)
        self.mirror = FakeMirror(self.pause)
        self.checkpoints = FakeCheckpoints(self.pause)
        self.writer = MirrorWriter(self.mirror)
        self.stripe.add(CUSTOMERS, *(customer(number) for number in range(11)))
        self.stripe.add(PRODUCTS, *(Product(f"prod_{n}", NOON, f"P{n}", True) for n in range(4)))

    async def pause(self, where: str) -> None:
        self.calls += 1
        await self.where(where)

    def backfill(self) -> Backfill:
        """As a new process has it."""
        importer = Importer(self.writer, self.stripe, Enrichment(self.mirror))
        return Backfill(
            self.stripe, importer, self.checkpoints, self.clock, nouns=NOUNS,
            retries=Retries(tries=3, sleep=no_wait),
        )  # fmt: skip

    async def run(self) -> None:
        async with aclosing(self.backfill().run(ACCOUNT)) as pages:
            last = [progress async for progress in pages][-1]
        assert last.finished
        assert (last.nouns_done, last.nouns_total) == (2, 2)

    def assert_right(self) -> None:
        for noun in NOUNS:
            assert self.shown(noun.name) == self.stripe.of(noun)

    def shown(self, noun: str) -> dict[str, MirroredObject]:
        return {
            id_: row.snapshot.object
            for (name, _, id_), row in self.mirror.rows.items()
            if name == noun and row.snapshot and row.snapshot.object
        }

    async def delete(self, id_: str) -> None:
        """Delete a customer; its event is observed at once, as by a projector."""
        self.stripe.objects[CUSTOMERS.name].pop(id_, None)
        now_ms = to_milliseconds(self.clock.now())
        version = Version.of_event(now_ms // 1000 * 1000, known_at_ms=now_ms)
        mirror = FakeMirror()
        mirror.rows = self.mirror.rows
        await MirrorWriter(mirror).observe(CUSTOMERS, [Snapshot(ACCOUNT, id_, version, None)])


async def test_progress_counts_and_tells_how_far_it_has_come() -> None:
    world = StripeAndMirror()
    async with aclosing(world.backfill().run(ACCOUNT)) as pages:
        told = [progress async for progress in pages]
    assert [one.read for one in told] == [3, 6, 9, 11, 14, 15, 15]
    assert [one.noun for one in told] == ["customer"] * 4 + ["product"] * 2 + [""]
    assert [one.nouns_done for one in told] == [0, 0, 0, 1, 1, 2, 2]
    assert [one.finished for one in told] == [False] * 6 + [True]
    assert all(one.rate > 0 for one in told)
    assert told[0].reached == customer(8).created
    assert told[1].reached == customer(5).created
    world.assert_right()


async def steps_of_a_run() -> int:
    world = StripeAndMirror()
    await world.run()
    return world.calls


async def test_killed_at_every_step_it_goes_on() -> None:
    for step in range(await steps_of_a_run()):
        world = StripeAndMirror()

        async def die(_: str, world: StripeAndMirror = world, step: int = step) -> None:
            if world.calls == step + 1:
                raise Killed

        world.where = die
        with suppress(Killed):
            await world.run()
        assert world.calls > step
        checkpoint = world.checkpoints.kept.get((ACCOUNT, TASK))
        nouns = checkpoint.state["nouns"] if checkpoint else {}
        places = [nouns.get(noun.name, {}) for noun in NOUNS]
        open_ones = [one.get("place") for one in places if not one.get("finished")]
        world.stripe.asked.clear()
        await world.run()
        world.assert_right()
        if open_ones:
            _, before_ms, after = world.stripe.asked[0]
            assert {"before_ms": before_ms, "after": after} == (
                open_ones[0] or {"before_ms": None, "after": ""}
            )
        else:
            assert world.stripe.asked == []


async def test_every_call_of_the_store_and_of_stripe_fails_once() -> None:
    for step in range(await steps_of_a_run()):
        world = StripeAndMirror()

        async def fail(_: str, world: StripeAndMirror = world, step: int = step) -> None:
            if world.calls == step + 1:
                raise store_down()

        world.where = fail
        for _ in range(3):
            with suppress(Exception):
                await world.run()
        await world.run()
        world.assert_right()


async def test_a_run_that_is_refused_for_good_is_unfinished() -> None:
    world = StripeAndMirror()

    async def refuse(where: str) -> None:
        if where == "stripe.page" and len(world.stripe.asked) > 2:
            raise RateLimited(Reason.STRIPE_RATE_LIMITED, "", retry_after_seconds=1)

    world.where = refuse
    with pytest.raises(RateLimited):
        await world.run()
    progress = await world.backfill().progress(ACCOUNT)
    assert progress is not None
    assert not progress.finished
    assert progress.nouns_done == 0
    world.where = no_pause
    await world.run()
    world.assert_right()


async def test_a_revoked_connection_ends_it_at_once() -> None:
    world = StripeAndMirror()

    async def refuse(where: str) -> None:
        if where == "stripe.page":
            raise FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "", subject="connection")

    world.where = refuse
    with pytest.raises(FailedPrecondition):
        await world.run()
    assert len(world.stripe.asked) == 1


async def test_there_is_no_progress_before_the_first_run() -> None:
    assert await StripeAndMirror().backfill().progress(ACCOUNT) is None


async def test_a_noun_that_a_release_adds_is_read_by_the_next_run() -> None:
    world = StripeAndMirror()
    await world.run()
    checkpoint = world.checkpoints.kept[ACCOUNT, TASK]
    del checkpoint.state["nouns"]["product"]
    world.stripe.add(PRODUCTS, Product("prod_9", NOON, "new", True))
    world.stripe.asked.clear()
    await world.run()
    assert {noun for noun, _, _ in world.stripe.asked} == {"product"}
    world.assert_right()


async def test_an_object_that_changes_under_every_read_is_not_given_up() -> None:
    world = StripeAndMirror()
    rounds = 0

    async def change(where: str) -> None:
        nonlocal rounds
        if where in ("stripe.read", "stripe.page") and rounds < 2:
            # An event of this second comes while the request is under way.
            rounds += 1
            name = f"changed {rounds}"
            world.stripe.add(CUSTOMERS, customer(10, name))
            world.clock.advance(milliseconds=3)
            now_ms = to_milliseconds(world.clock.now())
            version = Version.of_event(now_ms // 1000 * 1000, known_at_ms=now_ms)
            mirror = FakeMirror()
            mirror.rows = world.mirror.rows
            told = Snapshot(ACCOUNT, "cus_010", version, customer(10, f"other {rounds}"))
            await MirrorWriter(mirror).observe(CUSTOMERS, [told])

    world.where = change
    await world.run()
    world.assert_right()


async def test_of_two_runs_the_later_goes_on() -> None:
    world = StripeAndMirror()
    async with aclosing(world.backfill().run(ACCOUNT)) as first:
        await anext(first)
        await world.run()
        with pytest.raises(Conflict):
            await anext(first)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 13)), max_size=12), st.booleans())
def test_whatever_is_deleted_made_or_killed_on_the_way(
    plan: list[tuple[int, int]], kill: bool
) -> None:
    """Every few steps a customer goes (or, past the last, comes), and maybe the process dies."""

    async def live() -> None:
        world = StripeAndMirror()
        left = list(plan)
        due = [left[0][0] if left else 0]

        async def disturb(_: str) -> None:
            if not left or world.calls < due[0]:
                return
            number = left.pop(0)[1]
            due[0] = world.calls + (left[0][0] if left else 0)
            if number <= 10:
                await world.delete(f"cus_{number:03}")
            else:
                world.stripe.add(CUSTOMERS, customer(number))  # older than what was read, too
            if kill:
                raise Killed

        world.where = disturb
        for _ in range(len(plan) + 1):
            with suppress(Killed):
                await world.run()
        # What came late is told by its event: everything else is there, and nothing that is gone.
        shown, at_stripe = world.shown(CUSTOMERS.name), world.stripe.of(CUSTOMERS)
        assert shown.items() <= at_stripe.items()
        assert at_stripe.keys() - shown.keys() <= {"cus_011", "cus_012", "cus_013"}

    asyncio.run(live())


async def test_memory_holds_two_pages() -> None:
    world = StripeAndMirror()
    most = 0

    async def count(where: str) -> None:
        nonlocal most
        if where == "mirror.fetch":
            most = max(most, len(world.stripe.asked) * PAGE - world.mirror.writes)

    world.where = count
    await world.run()
    assert most <= 3 * PAGE


def test_the_fake_lists_as_stripe_does() -> None:
    """A cursor that is gone begins its second anew, as the gateway does."""
    world = StripeAndMirror()

    async def pages() -> list[list[str]]:
        place: Place | None = Place()
        found: list[list[str]] = []
        while place is not None:
            page: Any = await world.stripe.page(
                CUSTOMERS, ACCOUNT, place, since_ms=None, priority=Priority.BACKFILL
            )
            found.append([one.id for one in page.items])
            place = page.next
        return found

    assert [len(page) for page in asyncio.run(pages())] == [3, 3, 3, 2]


class Refusing(FakeMirror):
    """Breaks on some ids."""

    def __init__(self, *ids: str) -> None:
        super().__init__()
        self._ids = ids

    @override
    async def replace(self, noun: Noun[Any], snapshots: Any, **told: Any) -> Any:
        if any(snapshot.id in self._ids for snapshot, _ in snapshots):
            raise OverflowError("too large")
        return await super().replace(noun, snapshots, **told)


def over(world: StripeAndMirror, mirror: FakeMirror) -> StripeAndMirror:
    """The world with another mirror."""
    world.mirror, world.writer = mirror, MirrorWriter(mirror)
    return world


async def finished(world: StripeAndMirror) -> Progress:
    async with aclosing(world.backfill().run(ACCOUNT)) as pages:
        return [progress async for progress in pages][-1]


async def test_what_is_not_understood_is_told_once_however_often_it_is_killed() -> None:
    whole = StripeAndMirror()
    whole.stripe.odd = {"cus_004", "prod_3"}
    done = await finished(whole)
    assert {(one.noun, one.id) for one in done.oddities.named} == {
        ("customer", "cus_004"), ("product", "prod_3"),
    }  # fmt: skip
    assert (done.read, done.stored) == (15, 13), "they count as read"
    for step in range(whole.calls):
        world = StripeAndMirror()
        world.stripe.odd = whole.stripe.odd

        async def die(_: str, world: StripeAndMirror = world, step: int = step) -> None:
            if world.calls == step + 1:
                raise Killed

        world.where = die
        with suppress(Killed):
            await finished(world)
        world.where = no_pause
        assert (await finished(world)).oddities.count == 2


async def test_what_cannot_be_stored_holds_up_no_other() -> None:
    world = over(StripeAndMirror(), Refusing("cus_004"))
    done = await finished(world)
    why = "cannot be stored: OverflowError"
    assert done.finished
    assert done.oddities.named == (Oddity("customer", "cus_004", why),)
    assert set(world.stripe.of(CUSTOMERS)) - set(world.shown("customer")) == {"cus_004"}


async def test_a_store_that_takes_nothing_is_no_matter_of_one_object() -> None:
    world = over(StripeAndMirror(), Refusing(*(f"cus_{number:03}" for number in range(11))))
    with pytest.raises(OverflowError):
        await finished(world)


def test_many_oddities_are_counted_and_the_first_are_named() -> None:
    many = [Oddity("customer", f"cus_{number}", "why") for number in range(MAX_NAMED + 5)]
    odd = Oddities().plus(many).plus(many[:3])
    assert odd.count == MAX_NAMED + 5
    assert odd.named == tuple(many[:MAX_NAMED])
