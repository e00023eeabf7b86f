"""Messages that no client library writes, to every RPC: made from the descriptors, as bytes."""

import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import grpc
import psutil
import pytest
import pytest_asyncio
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from tests.support.contract.tenant import METHODS, Ground
from tests.support.servers.service import ServiceAndEmulator, reason_of, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

VARINT, SIZED, BEGIN, END = 0, 2, 3, 4
"""Wire types of protobuf: a number, bytes with their size, and both ends of a group."""

NO_TEXTS: Final = (b"\xed\xa0\x80", b"\xc0\x80")
"""A lone surrogate, and a NUL in two bytes."""

UNKNOWN: Final = 536_870_911
"""The greatest number that a field may have."""

MANY: Final = 20_000
MOST_SECONDS: Final = 10.0
MOST_GROWTH: Final = 300 * 1024 * 1024


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def tagged(number: int, kind: int, content: bytes = b"") -> bytes:
    """A field of a number and a wire type; with its size where it has one."""
    size = varint(len(content)) if kind == SIZED else b""
    return varint(number << 3 | kind) + size + content


def nested(number: int, depth: int) -> bytes:
    """A message within a message, so deep."""
    inner = b""
    for _ in range(depth):
        inner = tagged(number, SIZED, inner)
    return inner


def unknown() -> Iterator[tuple[str, bytes]]:
    """What stands in any message: fields that it does not have, and what is no field."""
    yield "an unknown number", tagged(UNKNOWN, VARINT, varint(2**64 - 1))
    yield "unknown bytes", tagged(UNKNOWN, SIZED, b"x" * 100_000)
    yield "many unknown fields", tagged(UNKNOWN - 1, VARINT, b"\x01") * MANY
    yield "an unknown group", tagged(99, BEGIN) + tagged(1, VARINT, b"\x01") + tagged(99, END)
    yield "deep groups", tagged(99, BEGIN) * 50_000
    yield "deep messages", nested(UNKNOWN, 1_000)
    yield "a group without an end", tagged(99, BEGIN)
    yield "an end without a group", tagged(99, END)
    yield "wire type 6", bytes([1 << 3 | 6])
    yield "field 0", tagged(0, VARINT, b"\x01")
    yield "a number without an end", b"\x08" + b"\xff" * 11
    yield "a size beyond the end", bytes([1 << 3 | SIZED]) + varint(2**31 - 1) + b"x"


def of_fields(kind: Descriptor, depth: int = 0) -> Iterator[tuple[str, bytes]]:
    """What stands in fields that a message has: no text, too much of it, the wrong kind of it."""
    for field in kind.fields:
        inner = field.message_type
        if field.type == FieldDescriptor.TYPE_STRING:
            for text in NO_TEXTS:
                yield f"{field.name}: no text", tagged(field.number, SIZED, text)
        if field.is_repeated:
            yield f"{field.name}: many", _many(field)
        if inner is None:
            yield f"{field.name}: a message", nested(field.number, 90)
            continue
        if inner.full_name not in ("google.protobuf.Value", kind.full_name) and depth < 3:
            for what, data in of_fields(inner, depth + 1):
                yield f"{field.name}.{what}", tagged(field.number, SIZED, data)


def _many(field: FieldDescriptor) -> bytes:
    """Very many elements; of a map, each with a key of its own."""
    inner = field.message_type
    if inner is None or not inner.GetOptions().map_entry:
        return tagged(field.number, SIZED) * MANY
    entries = (tagged(1, SIZED, b"key%d" % number) for number in range(MANY))
    return b"".join(tagged(field.number, SIZED, entry) for entry in entries)


async def answer(ground: Ground, name: str, data: bytes) -> str:
    """The code and reason of an answer to a request of these bytes."""
    method, _ = METHODS[name]
    path = f"/{method.containing_service.full_name}/{method.name}"
    channel, metadata = ground.world.service.channel, ground.tenant.metadata
    try:
        if method.server_streaming:
            stream: Any = channel.unary_stream(path)(data, metadata=metadata, timeout=20)
            await stream.read()
            stream.cancel()
        elif method.client_streaming:
            await channel.stream_unary(path)(iter([data]), metadata=metadata, timeout=20)
        else:
            await channel.unary_unary(path)(data, metadata=metadata, timeout=20)
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name} {reason_of(error)}"
    return "OK"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alone(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServiceAndEmulator]:
    """A service of this module's own, so that how it grows can be told."""
    async with world(tmp_path_factory.mktemp("messages")) as made:
        yield made


async def test_messages_that_nobody_writes_are_refused_with_a_reason(
    alone: ServiceAndEmulator,
) -> None:
    """No answer is UNKNOWN or INTERNAL, none takes long, and the process does not grow."""
    here, process = alone, psutil.Process(alone.service.pid)
    ground = Ground(here, await here.tenant())
    counts, wrong = Counter[str](), []
    before, grown = 0, 0
    for name in sorted(METHODS):
        kind = METHODS[name][0].input_type
        for what, data in (*unknown(), *of_fields(kind)):
            began = time.monotonic()
            met = await answer(ground, name, data)
            seconds = time.monotonic() - began
            counts[met] += 1
            if met.startswith(("UNKNOWN", "INTERNAL", "DEADLINE")) or seconds > MOST_SECONDS:
                wrong.append((name, what, met, round(seconds, 1)))
        size = process.memory_info().rss
        before = before or size
        grown = max(grown, size - before)
    sys.stdout.write(f"{len(METHODS)} RPCs, {counts.total()} messages, {dict(counts)}\n")
    sys.stdout.write(f"{grown / 1024 / 1024:.0f} MB more\n")
    assert wrong == []
    assert grown < MOST_GROWTH
