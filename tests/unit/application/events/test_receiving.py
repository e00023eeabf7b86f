"""A delivery from Stripe becomes a durable event, and nothing else happens."""

import asyncio
import datetime as dt

import pytest
from typing_extensions import override

from application.events.inbox import EventState, ReceivedEvent
from application.events.readings import WebhookReader
from application.events.receiver import Receiver
from domain.errors import BillingError, Reason, Unauthenticated
from tests.support.fakes.logs import FakeInbox
from tests.support.fakes.stores import Failing, FakeClock, store_down


class Webhooks(WebhookReader):
    """Takes any body for an event of that id, or raises."""

    error: BillingError | None = None
    not_understood = ""

    @override
    def read(self, body: bytes, signature: str, now: dt.datetime) -> ReceivedEvent:
        if self.error is not None:
            raise self.error
        state = EventState.DEAD if self.not_understood else EventState.PENDING
        return ReceivedEvent(
            body.decode(), "", "t", signature, 0, "", "", body, now, state, "", self.not_understood
        )


class ReceiverOnFakes:
    """A receiver and what it works with."""

    def __init__(self) -> None:
        self.webhooks, self.inbox, self.clock = Webhooks(), FakeInbox(), FakeClock()
        self.arrived = asyncio.Event()
        self.receiver = Receiver(self.webhooks, self.inbox, self.clock, self.arrived)


@pytest.fixture
async def desk() -> ReceiverOnFakes:
    return ReceiverOnFakes()


async def test_a_genuine_event_is_kept_and_wakes_the_projector(desk: ReceiverOnFakes) -> None:
    assert await desk.receiver.receive(b"evt_1", "signed")
    kept = desk.inbox.events["evt_1"].event
    assert (kept.payload, kept.api_version, kept.received_at) == (
        b"evt_1", "signed", desk.clock.now(),
    )  # fmt: skip
    assert desk.arrived.is_set()


async def test_a_repeated_delivery_is_kept_once_and_wakes_nobody(desk: ReceiverOnFakes) -> None:
    await desk.receiver.receive(b"evt_1", "")
    desk.arrived.clear()
    assert not await desk.receiver.receive(b"evt_1", "")
    assert not desk.arrived.is_set()
    assert len(desk.inbox.events) == 1


async def test_what_is_not_understood_is_kept_and_logged_once(
    desk: ReceiverOnFakes, caplog: pytest.LogCaptureFixture
) -> None:
    desk.webhooks.not_understood = "livemode: is missing or not of its type"
    assert await desk.receiver.receive(b"evt_1", "signed")
    assert not await desk.receiver.receive(b"evt_1", "signed")
    kept = desk.inbox.events["evt_1"].event
    assert (kept.state, kept.payload) == (EventState.DEAD, b"evt_1")
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("ERROR", "event is dead")
    assert vars(record)["error"] == desk.webhooks.not_understood


async def test_any_other_delivery_leaves_no_trace(desk: ReceiverOnFakes) -> None:
    desk.webhooks.error = Unauthenticated(Reason.SIGNATURE_INVALID, "no secret verifies it")
    with pytest.raises(Unauthenticated):
        await desk.receiver.receive(b"evt_1", "")
    assert desk.inbox.events == {}
    assert not desk.arrived.is_set()


@pytest.mark.parametrize("call", [0, 1])
async def test_what_is_not_known_to_be_durable_is_not_acknowledged(
    desk: ReceiverOnFakes, call: int
) -> None:
    desk.inbox.pause = Failing({call: store_down()})
    with pytest.raises(BillingError) as refusal:
        await desk.receiver.receive(b"evt_1", "")
    assert refusal.value.reason is Reason.STORE_UNAVAILABLE
    assert len(desk.inbox.events) == call  # stored, or not: Stripe delivers again either way
