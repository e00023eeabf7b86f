"""The projector: what becomes of each event, and that no event holds up another."""

import asyncio
import datetime as dt
import logging
from typing import Any, cast

import pytest
from typing_extensions import override

from application.events.inbox import EventState
from application.events.readings import Hint, Irrelevant, Observed
from application.mirror.nouns import CUSTOMERS
from application.mirror.ports import Noun
from application.mirror.stripe import Priority
from application.mirror.writer import MAX_ROUNDS, MirrorWriter
from application.projection import projector
from application.projection.projector import LEASE
from application.projection.retries import LAST_RETRY_SECONDS, MAX_ATTEMPTS
from domain.customers import Customer
from domain.errors import RateLimited, Reason, Unavailable
from domain.mirror import Snapshot, Version
from tests.support.fakes.stores import Failing, FakeMirror, no_pause, store_down
from tests.support.rooms.projector import NOUN, ProjectorOnFakes, customer


@pytest.fixture
async def desk() -> ProjectorOnFakes:
    return ProjectorOnFakes()


async def test_an_empty_inbox_is_no_work(desk: ProjectorOnFakes) -> None:
    assert await desk.projector.project_batch() == 0


async def test_applied_too_old_and_same_content(desk: ProjectorOnFakes) -> None:
    await desk.receive("evt_2", 2_000, "b")
    await desk.projector.project_batch()
    await desk.receive("evt_1", 1_999, "a")
    await desk.receive("evt_3", 2_000, "b")
    assert await desk.projector.project_batch() == 2
    assert desk.became("evt_2") == (EventState.PROCESSED, "applied: first seen")
    assert desk.became("evt_1") == (EventState.PROCESSED, "ignored: older than what we have")
    assert desk.became("evt_3") == (EventState.PROCESSED, "ignored: same content")
    assert desk.shown() == "b"
    assert desk.objects.reads == []


async def test_an_object_is_read_once_a_batch(desk: ProjectorOnFakes) -> None:
    for number, name in enumerate("abc"):
        await desk.receive(f"evt_{number}", 2_000, name)
    await desk.receive("evt_9", 2_000, "x", about="cus_2")
    desk.objects.shows = {"cus_1": "c"}
    await desk.projector.project_batch()
    assert desk.objects.reads == [("acct_1", "cus_1", 2_000_000, Priority.REREAD)]
    assert desk.became("evt_0") == (EventState.PROCESSED, "applied: first seen")
    for number in (1, 2):
        state, decision = desk.became(f"evt_{number}")
        assert state is EventState.PROCESSED
        assert decision.startswith("re-read (same time, other content): applied:")
    assert (desk.shown(), desk.shown("cus_2")) == ("c", "x")


async def test_ties_that_a_newer_event_outdates_need_no_read(desk: ProjectorOnFakes) -> None:
    await desk.receive("evt_1", 2_000, "a")
    await desk.receive("evt_2", 2_000, "b")
    await desk.receive("evt_3", 2_001, "c")
    await desk.projector.project_batch()
    assert desk.objects.reads == []
    assert desk.shown() == "c"


async def test_a_hint_is_read(desk: ProjectorOnFakes) -> None:
    hint = Hint(NOUN, "cus_7", 2_000_000)
    await desk.receive("evt_1", 2_000, about="sub_1", says=hint)
    desk.objects.shows = {"cus_7": "z"}
    await desk.projector.project_batch()
    assert desk.became("evt_1") == (
        EventState.PROCESSED, "re-read (payload is not used): applied: first seen",
    )  # fmt: skip
    assert desk.shown("cus_7") == "z"


async def test_an_event_that_is_cut_short_is_read(desk: ProjectorOnFakes) -> None:
    await desk.receive("evt_1", 2_000, "a")
    await desk.projector.project_batch()
    told = Snapshot("acct_1", "cus_1", Version.of_event(2_001_000), customer("cus_1", "b"))
    await desk.receive("evt_2", 2_001, says=Observed(NOUN, cast("Any", told), incomplete=True))
    desk.objects.shows = {"cus_1": "whole"}
    await desk.projector.project_batch()
    assert desk.objects.reads == [("acct_1", "cus_1", 2_001_000, Priority.REREAD)]
    state, decision = desk.became("evt_2")
    assert state is EventState.PROCESSED
    assert decision.startswith("re-read (payload is cut short): applied:")
    assert desk.shown() == "whole"


async def test_what_no_noun_is_about_is_ignored(desk: ProjectorOnFakes) -> None:
    await desk.receive("evt_1", 2_000, says=Irrelevant("not mirrored: topup"))
    await desk.projector.project_batch()
    assert desk.became("evt_1") == (EventState.IGNORED, "not mirrored: topup")
    assert desk.mirror.rows == {}


@pytest.mark.parametrize(
    ("poison", "words"),
    [
        (ValueError("amount: an integer"), "amount: an integer"),
        (RecursionError("deep"), "RecursionError"),
        (KeyError("personal@example.com"), "KeyError"),
    ],
)
async def test_a_poisoned_event_holds_up_no_other(
    desk: ProjectorOnFakes, poison: Exception, words: str
) -> None:
    await desk.receive("evt_1", 2_000, says=poison)
    await desk.receive("evt_2", 2_000, "b")
    await desk.receive("evt_3", 2_000, "c", about="cus_2")
    await desk.projector.project_batch()
    assert desk.became("evt_1") == (EventState.DEAD, "not understood"), "no retry reads it better"
    assert desk.inbox.events["evt_1"].error == words
    assert (desk.shown(), desk.shown("cus_2")) == ("b", "c")


async def test_an_object_that_cannot_be_stored_holds_up_no_other(desk: ProjectorOnFakes) -> None:
    await desk.receive("evt_1", 2_000, "a", about="cus_1")
    await desk.receive("evt_2", 2_000, "b", about="cus_2")
    desk.mirror = Refusing("cus_1")
    await desk.another("other").project_batch()
    assert desk.became("evt_1")[0] is EventState.PENDING
    assert desk.became("evt_2")[0] is EventState.PROCESSED


class Refusing(FakeMirror):
    """Breaks on one id."""

    def __init__(self, id_: str) -> None:
        super().__init__()
        self._id = id_

    @override
    async def replace(self, noun: Noun[Any], snapshots: Any, **told: Any) -> Any:
        if any(snapshot.id == self._id for snapshot, _ in snapshots):
            raise OverflowError("too large")
        return await super().replace(noun, snapshots, **told)


async def test_pauses_grow_and_then_the_event_is_dead(
    desk: ProjectorOnFakes, caplog: pytest.LogCaptureFixture
) -> None:
    await desk.receive("evt_1", 2_000, "a")
    desk.mirror = Refusing("cus_1")
    projector = desk.another("other")
    pauses = []
    for _ in range(MAX_ATTEMPTS - 1):
        assert await projector.project_batch() == 1
        kept = desk.inbox.events["evt_1"]
        pauses.append((kept.due - desk.clock.now()).total_seconds())
        desk.clock.instant = kept.due - dt.timedelta(milliseconds=1)
        assert await projector.project_batch() == 0  # not due yet
        desk.clock.instant = kept.due
    for attempt, pause in enumerate(pauses):
        longest = min(2**attempt, LAST_RETRY_SECONDS)
        assert longest / 2 <= pause <= longest
    assert len(set(pauses[-5:])) == 5  # the longest ones too have their jitter
    with caplog.at_level(logging.ERROR):
        await projector.project_batch()
    assert desk.became("evt_1") == (EventState.DEAD, "failed too often")
    assert desk.inbox.events["evt_1"].error == "OverflowError"
    assert "event is dead" in [record.message for record in caplog.records]


@pytest.mark.parametrize(
    "error",
    [
        Unavailable(Reason.STRIPE_UNAVAILABLE, "down"),
        RateLimited(Reason.STRIPE_RATE_LIMITED, "slow", retry_after_seconds=1),
    ],
    ids=str,
)
async def test_a_read_that_fails_is_tried_again_later(
    desk: ProjectorOnFakes, error: Exception
) -> None:
    await desk.receive("evt_1", 2_000, "a")
    await desk.receive("evt_2", 2_000, "b")
    await desk.receive("evt_3", 2_000, "c", about="cus_2")
    desk.objects.shows = {"cus_1": error}
    await desk.projector.project_batch()
    assert desk.became("evt_2")[0] is EventState.PENDING
    assert desk.became("evt_3")[0] is EventState.PROCESSED
    desk.objects.shows = {"cus_1": "b"}
    desk.clock.advance(seconds=1)
    await desk.projector.project_batch()
    assert desk.became("evt_2")[0] is EventState.PROCESSED
    assert desk.shown() == "b"


async def test_the_platforms_own_events_wait_until_its_account_is_known(
    desk: ProjectorOnFakes,
) -> None:
    desk.stripe.error = Unavailable(Reason.STRIPE_UNAVAILABLE, "down")
    await desk.receive("evt_1", 2_000, "a", account="")
    await desk.receive("evt_2", 2_000, "b")
    await desk.projector.project_batch()
    assert desk.became("evt_1") == (EventState.PENDING, "waits")
    assert desk.became("evt_2")[0] is EventState.PROCESSED
    desk.stripe.error = None
    desk.clock.advance(seconds=1)
    await desk.projector.project_batch()
    assert desk.shown(account="acct_platform") == "a"


async def test_a_lost_race_is_decided_again(desk: ProjectorOnFakes) -> None:
    await desk.receive("evt_1", 2_000, "late")
    newer = Snapshot("acct_1", "cus_1", Version.of_event(3_000_000), customer("cus_1", "newer"))
    other = MirrorWriter(desk.mirror)

    async def overtake(where: str) -> None:
        if where == "mirror.replace":
            desk.mirror.pause = no_pause
            await other.observe(CUSTOMERS, [newer])

    desk.mirror.pause = overtake
    await desk.projector.project_batch()
    assert desk.shown() == "newer"
    assert desk.became("evt_1") == (EventState.PROCESSED, "ignored: older than what we have")


async def test_a_row_that_does_not_come_to_rest_is_left_for_later(desk: ProjectorOnFakes) -> None:
    await desk.receive("evt_1", 4_000, "late")
    rounds = 0

    async def overtake(where: str) -> None:
        nonlocal rounds
        if where == "mirror.replace":
            rounds += 1
            version = Version.of_event(3_000_000 + rounds)
            found = customer("cus_1", f"newer {rounds}")
            row = desk.mirror._row(CUSTOMERS, "acct_1", "cus_1")
            desk.mirror.rows["customer", "acct_1", "cus_1"] = type(row)(
                "acct_1", "cus_1", row.revision + 1, Snapshot("acct_1", "cus_1", version, found)
            )

    desk.mirror.pause = overtake
    gone: Snapshot[Customer] = Snapshot("acct_1", "cus_1", Version.of_event(5_000_000), None)
    with pytest.raises(RateLimited):
        await MirrorWriter(desk.mirror).observe(CUSTOMERS, [gone])
    assert rounds >= MAX_ROUNDS
    await desk.projector.project_batch()
    assert desk.became("evt_1") == (EventState.PENDING, "waits")


async def test_a_store_that_fails_leaves_the_batch_for_later(desk: ProjectorOnFakes) -> None:
    await desk.receive("evt_1", 2_000, "a")
    desk.mirror.pause = Failing({0: store_down()})
    with pytest.raises(Unavailable):
        await desk.projector.project_batch()
    assert await desk.projector.project_batch() == 0  # leased still
    desk.clock.instant += LEASE
    assert await desk.another("other").project_batch() == 1
    assert desk.shown() == "a"


async def test_a_projector_whose_lease_ran_out_settles_nothing(desk: ProjectorOnFakes) -> None:
    await desk.receive("evt_1", 2_000, "a")
    other = desk.another("other")

    async def lapse(where: str) -> None:
        if where == "inbox.settle":
            desk.inbox.pause = no_pause
            desk.clock.instant += LEASE
            desk.events.says["evt_1"] = Irrelevant("decided by the other")
            await other.project_batch()

    desk.inbox.pause = lapse
    await desk.projector.project_batch()
    assert desk.became("evt_1") == (EventState.IGNORED, "decided by the other")


async def test_behind_a_full_batch_the_next_is_claimed_while_it_is_projected(
    desk: ProjectorOnFakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "BATCH", 2)
    for number in range(4):
        await desk.receive(f"evt_{number}", 2_000, "a", about=f"cus_{number}")
    done: list[str] = []

    async def log(where: str) -> None:
        done.append(where)
        await asyncio.sleep(0)

    desk.inbox.pause = desk.mirror.pause = log
    assert await desk.projector.project_batch() == 2
    ports = [where for where in done if where in ("inbox.claim", "inbox.settle")]
    assert ports == ["inbox.claim"] * 4 + ["inbox.settle"] * 2, "each begins and ends"
    assert [desk.shown(f"cus_{number}") for number in range(4)] == ["a", "a", None, None]
    assert await desk.another("other").project_batch() == 0, "two batches are in one's hands"
    assert await desk.projector.project_batch() == 2
    assert desk.shown("cus_3") == "a"


async def test_what_was_claimed_ahead_is_projected_before_it_stops(
    desk: ProjectorOnFakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "BATCH", 1)
    for number in range(3):
        await desk.receive(f"evt_{number}", 2_000, "a", about=f"cus_{number}")

    async def stop(where: str) -> None:
        if where == "inbox.settle":
            desk.projector.loop.stop()

    desk.inbox.pause = stop
    await asyncio.wait_for(desk.projector.loop.run(), 5)
    assert [desk.shown(f"cus_{number}") for number in range(3)] == ["a", "a", None]
    assert desk.became("evt_2") == (EventState.PENDING, "")
    assert await desk.another("other").project_batch() == 1, "it is nobody's"


async def test_it_runs_on_what_arrives_and_survives_a_failing_store(
    desk: ProjectorOnFakes, caplog: pytest.LogCaptureFixture
) -> None:
    failed, settled = asyncio.Event(), asyncio.Event()

    async def fail_once(where: str) -> None:
        if not failed.is_set():
            failed.set()
            raise store_down()
        if where == "inbox.settle" and desk.shown() == "a":
            settled.set()

    desk.inbox.pause = fail_once
    with caplog.at_level(logging.INFO):
        running = asyncio.create_task(desk.projector.loop.run())
        await failed.wait()
        await desk.receive("evt_1", 2_000, "a")
        desk.arrived.set()
        await asyncio.wait_for(settled.wait(), 5)
    said = [record.message for record in caplog.records]
    assert said in (["projection waits"], ["projection waits", "projection goes on"])
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
