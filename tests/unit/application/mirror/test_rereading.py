"""Objects that are read again for several events at once."""

from typing import Final

from application.mirror.enrichment import Enrichment
from application.mirror.rereader import Concerning, Rereader
from application.mirror.writer import MirrorWriter
from domain.mirror import Version
from tests.support.fakes.stores import FakeClock, FakeMirror
from tests.support.rooms.projector import NOUN, Objects

CONCERNS: Final = ((NOUN, "cus_9"),)


def told(id_: str, at: int, *, known: int) -> Concerning:
    return Concerning(id_, "acct_1", Version.of_event(at, known_at_ms=known), CONCERNS)


async def test_one_read_is_newer_than_every_event_in_whatever_order_they_are() -> None:
    mirror = FakeMirror()
    objects = Objects(FakeClock())
    objects.shows = {"cus_9": "a"}
    rereader = Rereader(MirrorWriter(mirror), Enrichment(mirror), objects)
    events = [told("evt_1", 1_000, known=5), told("evt_2", 3_000, known=6)]
    outcomes = await rereader.read_concerned(events)
    late = await rereader.read_concerned([told("evt_3", 2_000_000, known=7)])
    assert late == {"evt_3": "customer cus_9 seen since"}
    assert [read[2] for read in objects.reads] == [3_000]
    assert outcomes.keys() == {"evt_1", "evt_2"}
    assert set(outcomes.values()) == {"customer cus_9 re-read: applied: first seen"}
