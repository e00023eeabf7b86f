"""Mutated deliveries against the real webhook, inbox and projector.

Each is answered with a status that was foreseen, never a 5xx; what is not verified leaves nothing
behind, what is taken is stored once, byte for byte; and whatever it says, the projector brings it
to an end without holding up anybody else's event.
"""

import asyncio
import gc
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import psutil

from application.events.inbox import EventState
from application.projection.retries import MAX_ATTEMPTS
from infrastructure.stripe.readers.envelopes import read_envelope
from tests.fuzz.deliveries import Delivery, Group, bad_delivery, good_delivery
from tests.fuzz.mutate_events import Templates
from tests.fuzz.noise import Noise, counted_noise
from tests.fuzz.odd_values import SECRET_WORD
from tests.fuzz.service import STRIPE_SILENT, Service, StoredEvent, running_service
from tests.fuzz.settings import BODIES, FIRST, again
from tests.fuzz.wire import MAX_ANSWER_BYTES, Answer, Wire, request_bytes
from tests.property.seed import SEED

_CHUNK: Final = 1_000
"""So many share a database: what a failure of the projector has to be repeated with."""

_GOOD_EVERY: Final = 8
_AT_ONCE: Final = 16
_MOST_GROWTH_BYTES: Final = 256 * 1024 * 1024
_SHOWN_BYTES: Final = 1_500

Answered = tuple[Delivery, Answer]


def _check(holds: bool, what: str, delivery: Delivery) -> None:
    """Fail with all that is needed to have the same delivery again."""
    if not holds:
        raise AssertionError(
            f"{what}\nagain: {again(delivery.index, 1)}\n"
            f"{delivery.group}: {delivery.how}\nheaders: {delivery.lines!r:.{_SHOWN_BYTES}}\n"
            f"body ({len(delivery.body)} bytes): {delivery.body[:_SHOWN_BYTES]!r}"
        )


async def test_mutated_deliveries_do_no_harm(templates: Templates, tmp_path: Path) -> None:
    assert BODIES > 0, "BILLING_FUZZ_BODIES: at least 1"
    counts: Counter[str] = Counter()
    began, memory = time.monotonic(), 0
    with counted_noise() as noise:
        for first in range(FIRST, FIRST + BODIES, _CHUNK):
            count = min(_CHUNK, FIRST + BODIES - first)
            try:
                counts += await _chunk(first, count, templates, tmp_path / f"{first}.db", noise)
            except AssertionError:
                raise
            except Exception as error:
                raise AssertionError(f"{error!r}\nagain: {again(first, count)}") from error
            memory = _check_memory(memory)
            done = first + count - FIRST
            sys.stdout.write(f"{done} of {BODIES} in {time.monotonic() - began:.0f} s\n")
    sys.stdout.write(f"BILLING_TEST_SEED={SEED}\n")
    sys.stdout.writelines(f"{number:8}  {what}\n" for what, number in sorted(counts.items()))


async def _chunk(
    first: int, count: int, templates: Templates, path: Path, noise: Noise
) -> Counter[str]:
    """Deliver a range of indices to a service of its own, project, check; the counts."""
    async with running_service(path) as service:
        answered = await _deliver(service, list(_deliveries(first, count, templates)))
        counts = Counter(f"{one.group}: answered {answer.status}" for one, answer in answered)
        accepted = _check_stored(answered, service.stored())
        counts += await _project(service, accepted)
    for path_ in path.parent.glob(f"{path.name}*"):
        path_.unlink()
    logged = noise.take()
    defects = [words for words in logged if words != "event is dead"]
    assert not defects, "\n".join(("logged:", *defects, f"again: {again(first, count)}"))
    return counts


def _deliveries(first: int, count: int, templates: Templates) -> Iterator[Delivery]:
    """The mutated ones, and good ones between them."""
    for index in range(first, first + count):
        yield bad_delivery(SEED, index, templates)
        if index % _GOOD_EVERY == 0:
            yield good_delivery(SEED, index, templates)


async def _deliver(service: Service, deliveries: Sequence[Delivery]) -> list[Answered]:
    """Send all of them, some at once; each answer is one that was foreseen."""
    waiting = iter(deliveries)
    answered: list[Answered] = []

    async def sender() -> None:
        async with Wire(service.port) as wire:
            for delivery in waiting:
                answer = await wire.send(request_bytes(delivery.body, delivery.lines))
                closed = delivery.oversized and answer.status == 0
                foreseen = closed or answer.status in delivery.expected
                _check(foreseen, f"answered {answer.status}: {answer.body!r}", delivery)
                short = len(answer.body) <= MAX_ANSWER_BYTES
                _check(short and SECRET_WORD.encode() not in answer.body, "tells more", delivery)
                answered.append((delivery, answer))

    try:
        async with asyncio.TaskGroup() as senders:
            for _ in range(_AT_ONCE):
                senders.create_task(sender())
    except* AssertionError as failures:
        raise failures.exceptions[0] from None
    return answered


def _check_stored(
    answered: Sequence[Answered], stored: Sequence[StoredEvent]
) -> dict[str, Delivery]:
    """What was taken is stored once, byte for byte, and nothing else; the taken by event id."""
    rows = {row.payload: row for row in stored}
    ids = {row.id for row in stored}
    accepted: dict[str, Delivery] = {}
    for delivery, answer in answered:
        fresh = answer.status == 200 and not msgspec.json.decode(answer.body)["duplicate"]
        if fresh:
            row = rows.get(delivery.body)
            _check(row is not None, "taken and not stored byte for byte", delivery)
            assert row is not None
            _check(row.id not in accepted, "taken for new twice", delivery)
            accepted[row.id] = delivery
        elif answer.status == 200:
            known = read_envelope(delivery.body).id in ids
            _check(known, "taken for a repeat, and there is no such event", delivery)
    taken = {delivery.body for delivery in accepted.values()}  # also what is no event at all
    for delivery, answer in answered:
        if answer.status != 200:
            stored_too = delivery.body in rows and delivery.body not in taken
            _check(not stored_too, "refused and stored", delivery)
    strangers = [row.id for row in stored if row.id not in accepted]
    assert not strangers, f"stored, and nobody sent them: {strangers}"
    assert len(stored) == len(accepted), "stored more than once"
    return accepted


async def _project(service: Service, accepted: dict[str, Delivery]) -> Counter[str]:
    """Project all, again and again until every event has come to an end or waits for Stripe."""
    await service.project_what_is_due()
    good = {id_: one for id_, one in accepted.items() if one.group is Group.GOOD}
    rows = {row.id: row for row in service.stored()}
    for id_, delivery in good.items():
        row = rows[id_]
        _check(row.state is EventState.PROCESSED, f"{row.state}: {row.error}", delivery)
        told, shown = await service.shown(id_)
        _check(told is not None and told == shown, f"the mirror shows {shown}", delivery)
    for _ in range(MAX_ATTEMPTS):
        service.wait_for_retries()
        await service.project_what_is_due()
    for row in service.stored():
        _check_ended(row, accepted[row.id])
    return Counter(f"projected: {row.state}" for row in service.stored())


def _check_ended(row: StoredEvent, delivery: Delivery) -> None:
    """An event is done, dead with its error, or waits for somebody who does not answer."""
    match row.state:
        case EventState.DEAD:
            _check(bool(row.error or row.decision), "dead without an error", delivery)
        case EventState.PENDING:
            _check(row.error == STRIPE_SILENT, f"waits for ever: {row.error!r}", delivery)
    if read_envelope(row.payload).livemode:
        _check(row.state is EventState.IGNORED, f"of the other mode and {row.state}", delivery)
    _check(SECRET_WORD not in row.error + row.decision, "personal data in an error", delivery)


def _check_memory(baseline: int) -> int:
    """The memory after the first chunk, which no later chunk may exceed by much."""
    gc.collect()
    used = int(psutil.Process().memory_info().rss)
    assert not baseline or used - baseline < _MOST_GROWTH_BYTES, f"{used} bytes, once {baseline}"
    return baseline or used
