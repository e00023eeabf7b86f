"""What an event means beyond its own object: others are read again, a connection ends."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
from typing_extensions import override

from application.connections.deauthorization import Deauthorizing
from application.effects.effects import Effects
from application.effects.happenings import Outcome, ProjectedEvent
from application.events.inbox import EventState
from application.events.readings import Deauthorized, Hint, Observed
from application.mirror.stripe import Concern, Priority
from application.projection.retries import MAX_ATTEMPTS
from domain.errors import FailedPrecondition, NotUnderstood, Reason, Unavailable
from domain.mirror import Snapshot, Version
from domain.periods import to_milliseconds
from tests.support.fakes.stores import FakeMirror, store_down
from tests.support.rooms.projector import NOUN, ProjectorOnFakes, customer

AWAY = Unavailable(Reason.STRIPE_UNAVAILABLE, "down")


class Heard(Effects):
    """Effects that only remember of which events they are."""

    def __init__(self) -> None:
        self.of: list[str] = []

    @override
    async def after(self, events: Sequence[ProjectedEvent]) -> Mapping[str, Outcome]:
        self.of += [event.received.id for event in events]
        return {event.received.id: Outcome() for event in events}


class Judge(Deauthorizing):
    """Says what it is told to, or raises it."""

    def __init__(self, says: str | Exception) -> None:
        self.says = says
        self.asked: list[tuple[str, int]] = []

    @override
    async def handle(self, stripe_account: str, created_ms: int) -> str:
        self.asked.append((stripe_account, created_ms))
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@pytest.fixture
async def desk() -> ProjectorOnFakes:
    return ProjectorOnFakes()


def concerning(*ids: str) -> tuple[Concern, ...]:
    return tuple((NOUN, id_) for id_ in ids)


async def receive(
    desk: ProjectorOnFakes,
    id_: str,
    at: int,
    *ids: str,
    about: str = "cus_1",
    account: str = "acct_1",
) -> None:
    """An event that tells its own object, `told`, and changed the others of these ids."""
    version = Version.of_event(at * 1_000, known_at_ms=to_milliseconds(desk.clock.now()))
    told = Snapshot(account, about, version, customer(about, "told"))
    says = Observed(NOUN, cast("Any", told), concerns=concerning(*ids))
    await desk.receive(id_, at, about=about, account=account, says=says)


async def test_another_object_that_changed_is_read(desk: ProjectorOnFakes) -> None:
    await desk.receive("evt_1", 1_500, "before", about="cus_9")
    await desk.projector.project_batch()
    await receive(desk, "evt_2", 2_000, "cus_9")
    desk.objects.shows = {"cus_9": "after"}
    await desk.projector.project_batch()
    assert (desk.shown(), desk.shown("cus_9")) == ("told", "after")
    assert desk.objects.reads == [("acct_1", "cus_9", 2_000_000, Priority.REREAD)]
    assert desk.became("evt_2") == (
        EventState.PROCESSED,
        "applied: first seen; customer cus_9 re-read: applied: newer than what we have",
    )


async def test_another_object_is_read_once_a_batch(desk: ProjectorOnFakes) -> None:
    await receive(desk, "evt_1", 2_000, "cus_8", "cus_9")
    await receive(desk, "evt_2", 2_007, "cus_9", about="cus_2")
    await receive(desk, "evt_3", 2_000, "cus_9", account="acct_2")
    desk.objects.shows = {"cus_8": "a", "cus_9": "b"}
    await desk.projector.project_batch()
    assert sorted(desk.objects.reads) == [
        ("acct_1", "cus_8", 2_000_000, Priority.REREAD),
        ("acct_1", "cus_9", 2_007_000, Priority.REREAD),
        ("acct_2", "cus_9", 2_000_000, Priority.REREAD),
    ]
    _, decision = desk.became("evt_1")
    assert "customer cus_8 re-read" in decision
    assert "customer cus_9 re-read" in decision


@pytest.mark.parametrize("same_batch", [True, False])
@pytest.mark.parametrize(("later", "reads"), [(1, 0), (0, 1), (-1, 1)])
async def test_what_a_newer_event_tells_is_not_read(
    desk: ProjectorOnFakes, same_batch: bool, later: int, reads: int
) -> None:
    await desk.receive("evt_2", 2_000 + later, "told since", about="cus_9")
    if not same_batch:
        await desk.projector.project_batch()
    await receive(desk, "evt_1", 2_000, "cus_9")
    desk.objects.shows = {"cus_9": "read"}
    await desk.projector.project_batch()
    assert len(desk.objects.reads) == reads
    assert desk.shown("cus_9") == ("read" if reads else "told since")
    if not reads:
        assert desk.became("evt_1")[1] == "applied: first seen; customer cus_9 seen since"


async def test_what_is_read_for_its_own_sake_is_not_read_again(desk: ProjectorOnFakes) -> None:
    await receive(desk, "evt_1", 2_000, "cus_9")
    await desk.receive("evt_2", 2_000, "a", about="cus_9")
    await desk.receive("evt_3", 2_000, "b", about="cus_9")
    desk.objects.shows = {"cus_9": "b"}
    await desk.projector.project_batch()
    assert len(desk.objects.reads) == 1
    assert desk.became("evt_1")[1].endswith("customer cus_9 seen since")


async def test_a_hint_has_its_own_object_read_and_the_others(desk: ProjectorOnFakes) -> None:
    hint = Hint(NOUN, "cus_1", 2_000_000, concerning("cus_9"))
    await desk.receive("evt_1", 2_000, says=hint)
    desk.objects.shows = {"cus_1": "a", "cus_9": "b"}
    await desk.projector.project_batch()
    assert (desk.shown(), desk.shown("cus_9")) == ("a", "b")
    assert desk.became("evt_1")[1] == (
        "re-read (payload is not used): applied: first seen;"
        " customer cus_9 re-read: applied: first seen"
    )


async def test_an_event_whose_other_object_cannot_be_read_comes_again(
    desk: ProjectorOnFakes,
) -> None:
    await receive(desk, "evt_1", 2_000, "cus_8", "cus_9")
    await receive(desk, "evt_2", 2_000, "cus_8", about="cus_2")
    desk.objects.shows = {"cus_8": "a", "cus_9": AWAY}
    heard = Heard()
    one = desk.another("one", effects=heard)
    await one.project_batch()
    assert desk.became("evt_1") == (EventState.PENDING, "waits")
    assert desk.inbox.events["evt_1"].error == "down"
    assert desk.became("evt_2")[0] is EventState.PROCESSED
    assert desk.shown() == "told", "its own object does not wait"
    assert heard.of == ["evt_2"], "nothing follows from it before all of it is mirrored"
    desk.objects.shows["cus_9"] = "b"
    desk.clock.advance(seconds=1)
    await one.project_batch()
    assert desk.became("evt_1")[0] is EventState.PROCESSED
    assert desk.shown("cus_9") == "b"
    assert heard.of == ["evt_2", "evt_1"]
    assert [read[1] for read in desk.objects.reads].count("cus_8") == 1


async def test_an_event_that_fails_itself_has_nothing_read(desk: ProjectorOnFakes) -> None:
    await desk.receive("evt_1", 2_000, says=Hint(NOUN, "cus_1", 2_000_000, concerning("cus_9")))
    desk.objects.shows = {"cus_1": AWAY}
    await desk.projector.project_batch()
    assert desk.became("evt_1")[0] is EventState.PENDING
    assert [read[1] for read in desk.objects.reads] == ["cus_1"]


async def test_another_object_that_cannot_be_stored_holds_up_its_event_alone(
    desk: ProjectorOnFakes,
) -> None:
    class Refusing(FakeMirror):
        @override
        async def replace(self, noun: Any, snapshots: Any, **told: Any) -> Any:
            if any(snapshot.id == "cus_9" for snapshot, _ in snapshots):
                raise OverflowError("too large")
            return await super().replace(noun, snapshots, **told)

    desk.mirror = Refusing()
    await receive(desk, "evt_1", 2_000, "cus_9")
    await receive(desk, "evt_2", 2_000, "cus_8", about="cus_2")
    desk.objects.shows = {"cus_8": "a", "cus_9": "b"}
    await desk.another("one").project_batch()
    assert desk.became("evt_1")[0] is EventState.PENDING
    assert desk.inbox.events["evt_1"].error == "OverflowError"
    assert desk.became("evt_2")[0] is EventState.PROCESSED


@pytest.mark.parametrize("step", ["mirror.fetch", "mirror.replace"])
async def test_a_store_that_fails_there_leaves_the_batch_for_later(
    desk: ProjectorOnFakes, step: str
) -> None:
    async def fail(where: str) -> None:
        # Only once the event's own object is shown.
        if where == step and (desk.objects.reads or (step == "mirror.fetch" and desk.shown())):
            raise store_down()

    await receive(desk, "evt_1", 2_000, "cus_9")
    desk.objects.shows = {"cus_9": "b"}
    desk.mirror.pause = fail
    with pytest.raises(Unavailable):
        await desk.projector.project_batch()
    assert desk.became("evt_1")[0] is EventState.PENDING


async def test_what_was_decided_on_a_deauthorisation_is_written_on_its_event(
    desk: ProjectorOnFakes,
) -> None:
    judge = Judge("revoked the connection")
    await desk.receive("evt_1", 2_000, says=Deauthorized(2_000_000))
    await desk.another("one", deauthorizing=judge).project_batch()
    assert judge.asked == [("acct_1", 2_000_000)]
    assert desk.became("evt_1") == (EventState.PROCESSED, "revoked the connection")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AWAY, "down"),
        (FailedPrecondition(Reason.STRIPE_REFUSED, "refused"), "refused"),
        (KeyError("personal@example.com"), "KeyError"),
    ],
    ids=str,
)
async def test_a_deauthorisation_that_cannot_be_judged_waits_and_holds_up_nobody(
    desk: ProjectorOnFakes, error: Exception, words: str
) -> None:
    await desk.receive("evt_1", 2_000, says=Deauthorized(2_000_000))
    await desk.receive("evt_2", 2_000, "a")
    await desk.another("one", deauthorizing=Judge(error)).project_batch()
    assert desk.became("evt_1") == (EventState.PENDING, "waits")
    assert desk.inbox.events["evt_1"].error == words
    assert desk.became("evt_2")[0] is EventState.PROCESSED


async def test_a_mirror_that_nothing_follows_from_ends_no_connection(
    desk: ProjectorOnFakes,
) -> None:
    await desk.receive("evt_1", 2_000, says=Deauthorized(2_000_000))
    await desk.projector.project_batch()
    assert desk.became("evt_1")[0] is EventState.IGNORED


async def test_what_no_read_can_tell_is_told_and_the_event_goes_on(desk: ProjectorOnFakes) -> None:
    await receive(desk, "evt_1", 2_000, "cus_8", "cus_9")
    odd = NotUnderstood("customer", "cus_9", "created: is missing")
    desk.objects.shows = {"cus_8": "read", "cus_9": odd}
    await desk.projector.project_batch()
    told = "customer cus_9 cannot be read: Stripe's customer is not understood: created: is missing"
    assert desk.became("evt_1") == (
        EventState.PROCESSED,
        f"applied: first seen; customer cus_8 re-read: applied: first seen; {told}",
    )


async def test_an_event_is_not_dead_because_the_platform_is_not_understood(
    desk: ProjectorOnFakes,
) -> None:
    """Who the platform is concerns every event of its own: they wait."""
    desk.stripe.error = NotUnderstood("account", "", "created: is missing")
    await desk.receive("evt_1", 2_000, "told", account="")
    for _ in range(MAX_ATTEMPTS + 1):
        await desk.projector.project_batch()
        assert desk.became("evt_1")[0] is EventState.PENDING
        desk.clock.advance(hours=1)
