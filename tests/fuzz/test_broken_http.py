"""Broken HTTP against the real webhook: refused or dropped, and nobody else is harmed."""

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import pytest

from interfaces.http_webhook import app as webhook_app
from tests.fuzz.broken_http import broken
from tests.fuzz.deliveries import Delivery, good_delivery
from tests.fuzz.mutate_events import Templates
from tests.fuzz.noise import counted_noise
from tests.fuzz.service import Service, running_service
from tests.fuzz.settings import BODIES, FIRST, again
from tests.fuzz.wire import Wire, request_bytes
from tests.property.seed import SEED

_SHARE: Final = 30
"""So many mutated deliveries are sent for one broken request, which may take as long."""

_AT_ONCE: Final = 64
_GOOD_EVERY: Final = 10
_PATIENCE_SECONDS: Final = 0.3
_SHOWN_BYTES: Final = 1_500


async def test_broken_http_does_no_harm(
    templates: Templates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_app, "BODY_SECONDS", _PATIENCE_SECONDS)
    count = -(-BODIES // _SHARE)
    right = [good_delivery(SEED, index, templates) for index in range(FIRST, FIRST + count)]
    path = tmp_path / "broken.db"
    with counted_noise() as noise:
        async with running_service(path, patience_seconds=_PATIENCE_SECONDS) as service:
            counts, taken = await _deliver(service, right)
            stored = [row.payload for row in service.stored()]
        logged = noise.take()
    assert not logged, "\n".join(("logged:", *logged, f"again: {again(FIRST, BODIES)}"))
    assert len(stored) == len(set(stored))
    assert set(stored) <= {one.body for one in right}, "stored, and nobody has signed it"
    assert taken <= set(stored), "taken and not stored"
    sys.stdout.write(f"{count} broken requests, BILLING_TEST_SEED={SEED}\n")
    sys.stdout.writelines(f"{number:8}  {what}\n" for what, number in sorted(counts.items()))


async def _deliver(service: Service, right: Sequence[Delivery]) -> tuple[Counter[str], set[bytes]]:
    """Send each delivery broken, and some as they are; the counts, and the bodies taken for new."""
    waiting, counts, taken = iter(right), Counter[str](), set[bytes]()

    async def sender() -> None:
        async with Wire(service.port) as wire:
            for delivery in waiting:
                statuses, fresh = await _send_broken(wire, delivery)
                counts.update(f"answered {status}" for status in statuses or ["nothing"])
                if fresh:
                    taken.add(delivery.body)
                if delivery.index % _GOOD_EVERY == 0:
                    await _send_right(wire, delivery)
                    taken.add(delivery.body)

    try:
        async with asyncio.TaskGroup() as senders:
            for _ in range(_AT_ONCE):
                senders.create_task(sender())
    except* AssertionError as failures:
        raise failures.exceptions[0] from None
    return counts, taken


async def _send_broken(wire: Wire, delivery: Delivery) -> tuple[list[str], bool]:
    """Send one until the server has closed; the statuses, and whether its event was taken."""
    request = broken(SEED, delivery)
    await wire.write(request.data)
    if request.aborted:
        wire.abort()
        return ["nobody any more"], False
    answers = await wire.answers()
    statuses = [one.status for one in answers]
    assert all(100 < status < 500 for status in statuses), (
        f"answered {statuses}\nagain: {again(delivery.index, 1)}\n"
        f"{request.how}: {request.data[:_SHOWN_BYTES]!r}"
    )
    fresh = any(one.status == 200 and b'"received"' in one.body for one in answers)
    return [str(status) for status in statuses], fresh


async def _send_right(wire: Wire, delivery: Delivery) -> None:
    """The same delivery unbroken: it is taken, whatever came before."""
    answer = await wire.send(request_bytes(delivery.body, delivery.lines))
    assert answer.status == 200, f"answered {answer}\nagain: {again(delivery.index, 1)}"
    assert msgspec.json.decode(answer.body)["received"] is True
    await wire.hang_up()  # the next one begins with a connection of its own
