"""Fuzzed calls of every method against the real service and the emulator.

Each has an answer; each refusal has its reason, and none is UNKNOWN or INTERNAL, which would be a
defect of ours.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import text_format
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from sandbox.emulator.settings import PLATFORM_KEY
from tests.fuzz.calls import Call, Ids, fuzzed_call
from tests.fuzz.settings import CALLS, FIRST, calls_again
from tests.property.seed import SEED
from tests.support.contract.tenant import Ground
from tests.support.servers.service import (
    CALLER_SECRET,
    CONNECT_SECRET,
    PLATFORM_SECRET,
    Metadata,
    ServiceAndEmulator,
    Tenant,
    bearer,
    reason_of,
    token_for,
    world,
)

_CHUNK: Final = 500
"""So many calls share objects, which some of them end."""

_AT_ONCE: Final = 32
_SECONDS: Final = 60.0
_STREAM_SECONDS: Final = 0.3
_MOST_REPLIES: Final = 3
_SHOWN: Final = 3_000
_SECRETS: Final = (PLATFORM_KEY, CALLER_SECRET, CONNECT_SECRET, PLATFORM_SECRET)
_BAD: Final = (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL)
_LEFT: Final = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


async def test_fuzzed_calls_are_answered_with_a_reason(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    began = time.monotonic()
    async with world(tmp_path) as here:
        ground = Ground(here, await here.tenant())
        callers = _callers(ground, await here.tenant())
        for first in range(FIRST, FIRST + CALLS, _CHUNK):
            last = min(first + _CHUNK, FIRST + CALLS)
            ids = await _ids(ground)
            calls = (fuzzed_call(SEED, index, ids) for index in range(first, last))
            counts += await _make(here, calls, callers)
        assert here.service.running
        defects = _defects(here.service.log)
    assert not defects, f"logged: {defects[0]}\nagain: {calls_again(FIRST, CALLS)}"
    seconds = time.monotonic() - began
    sys.stdout.write(f"{CALLS} calls in {seconds:.0f} s, BILLING_TEST_SEED={SEED}\n")
    sys.stdout.writelines(f"{number:8}  {what}\n" for what, number in sorted(counts.items()))


def _callers(ground: Ground, leaving: Tenant) -> dict[str, Metadata]:
    """Who calls; `leaving` in the place of whom all other calls need connected."""
    known = ground.tenant.account
    return {
        "known": ground.tenant.metadata,
        "leaving": leaving.metadata,
        "reader": bearer(token_for(known, "customers.read")),
        "forger": bearer(token_for(known, secret="x" * 64)),
        "stranger": (),
    }


async def _ids(g: Ground) -> Ids:
    """Of some objects of each noun, in the same order each time; nouns within others come last."""
    payer = await g.payer()
    return {
        "payment_method": ["pm_card_visa", await g.card(payer)],
        "subscription": [await g.subscription() for _ in range(3)],
        "invoice": [await g.draft(), await g.draft(), await g.opened(), await g.opened()],
        "price": [await g.price()],
        "charge": [await g.charge(), await g.charge()],
        "contact": [await g.contact() for _ in range(3)],
        "note": [await g.note() for _ in range(3)],
        "customer": [payer, *[await g.customer() for _ in range(3)], "cus_nobody"],
    }


async def _make(
    here: ServiceAndEmulator, calls: Iterator[Call], callers: dict[str, Metadata]
) -> Counter[str]:
    counts: Counter[str] = Counter()

    async def caller() -> None:
        for call in calls:
            leaves = call.who == "known" and call.path.endswith("/Disconnect")
            who = "leaving" if leaves else call.who
            counts[await _answer(here.service.channel, call, callers[who])] += 1

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(caller())
    except* AssertionError as failures:
        raise failures.exceptions[0] from None
    return counts


async def _answer(channel: grpc.aio.Channel, call: Call, metadata: Metadata) -> str:
    """The code and reason of a call's answer. AssertionError for one that must not be."""
    try:
        if call.method.server_streaming:
            await _read(channel.unary_stream(call.path), call, metadata)
        else:
            one: Any = channel.unary_unary(call.path)
            _holds_no_secret(call, await one(call.data, metadata=metadata, timeout=_SECONDS))
    except grpc.aio.AioRpcError as error:
        code = error.code()
        _holds_no_secret(call, repr(error).encode())
        if call.method.server_streaming and code in _LEFT:
            return "left"
        try:
            reason = reason_of(error)
        except AssertionError:
            reason = ""
        if code in _BAD or not reason:
            raise AssertionError(_told(call, f"{code.name} {reason}: {error.details()}")) from None
        return f"{code.name} {reason}"
    return "OK"


def _holds_no_secret(call: Call, told: bytes) -> None:
    """AssertionError where an answer holds a key of the service or of its callers."""
    for secret in _SECRETS:
        if secret.encode() in told:
            raise AssertionError(_told(call, "a secret of the service is in the answer"))


async def _read(begin: Any, call: Call, metadata: Metadata) -> None:
    """Read some of a stream, and leave it."""
    stream = begin(call.data, metadata=metadata, timeout=_STREAM_SECONDS)
    for _ in range(_MOST_REPLIES):
        reply = await stream.read()
        if reply is grpc.aio.EOF:
            return
        _holds_no_secret(call, reply)
    stream.cancel()


def _told(call: Call, what: str) -> str:
    """All that is needed to have the same call again."""
    request = GetMessageClass(call.method.input_type)()
    try:
        request.ParseFromString(call.data)
        shown = text_format.MessageToString(request)
    except DecodeError:
        shown = repr(call.data)
    return (
        f"{what}\nagain: {calls_again(call.index, 1)}\n{call.name}, {call.how}, by a {call.who}\n"
        f"{shown:.{_SHOWN}}"
    )


def _defects(log: Path) -> list[str]:
    lines = [line for line in log.read_text().splitlines() if '"level":"error"' in line]
    return [line for line in lines if json.loads(line)["level"] == "error"]
