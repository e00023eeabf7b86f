"""Instants at both ends of time, and numbers at theirs, in every field of every RPC."""

import itertools
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import grpc
import pytest
from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from tests.support.contract.every_mutation import TABLE
from tests.support.contract.tenant import METHODS, Fields, Ground, as_sent, fresh, request_of
from tests.support.rooms.wallets_end_to_end import sub_account
from tests.support.servers.service import ServiceAndEmulator, reason_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY: Final = 86_400
FIRST, LAST = -62_135_596_800, 253_402_300_799
"""The bounds of a Timestamp: the first second of the year 1, the last of 9999."""

EDGES: Final = (
    (FIRST, 0), (FIRST + DAY, 0), (FIRST + 40 * DAY, 0), (LAST, 999_999_999), (LAST - 40 * DAY, 0),
    (FIRST - 1, 0), (LAST + 1, 0), (0, -1),
)  # fmt: skip
ZONES: Final = ("UTC", "Pacific/Kiritimati", "Etc/GMT+12")
"""The ones that are farthest ahead and behind: in them the ends of time lie elsewhere."""


def instants(kind: Descriptor, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of the instants that a caller has part in, those inside lists left out."""
    for field in kind.fields:
        inner = field.message_type
        behavior = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
        if field_behavior_pb2.OUTPUT_ONLY in behavior:
            continue
        if inner is None or field.is_repeated or len(above) > 2:
            continue
        if inner.full_name == "google.protobuf.Timestamp":
            yield (*above, field.name)
        elif not inner.full_name.startswith("google."):
            yield from instants(inner, (*above, field.name))


TIMED: Final = {
    name: paths for name, (method, _) in sorted(METHODS.items())
    if (paths := [*instants(method.input_type)])
}  # fmt: skip


def at(request: Message, path: tuple[str, ...]) -> Any:
    """The message at a path."""
    held: Any = request
    for name in path:
        held = getattr(held, name)
    return held


def requests(name: str, body: Fields) -> Iterator[Message]:
    """Requests with instants at edges: in each field alone, and in two at once."""
    paths = TIMED[name]
    zoned = "period" in METHODS[name][0].input_type.fields_by_name
    alone, together = [(path,) for path in paths], [*itertools.combinations(paths, 2)]
    for zone in ZONES if zoned else ("",):
        for several in (*alone, *together) if zone in ("", "UTC") else alone:
            for edges in itertools.product(EDGES, repeat=len(several)):
                request = request_of(name, body)
                if zoned:
                    request.period.time_zone = zone  # type: ignore[attr-defined]  # it has one
                for path, (seconds, nanos) in zip(several, edges, strict=True):
                    instant = at(request, path)
                    instant.seconds, instant.nanos = seconds, nanos
                yield request


async def body_of(name: str, ground: Ground, branch: str) -> Fields:
    """A request that is right without its instants."""
    if name == "InvoiceService.CreateInvoice":
        body = await TABLE[name].make(ground)
        del body["invoice"]["days_until_due"]
        return body
    if name in TABLE and not name.startswith("WalletService"):
        return await TABLE[name].make(ground)
    fields = METHODS[name][0].input_type.fields_by_name
    body: Fields = {"currency": "usd"} if "currency" in fields else {}
    if name == "WalletService.GetRebilling":
        body["account"] = branch
    return body


async def met(ground: Ground, name: str, request: Any) -> str:
    """The code and reason of an answer."""
    method, stub = METHODS[name]
    if "request_id" in method.input_type.fields_by_name:
        request.request_id = fresh()
    call = getattr(stub(ground.world.service.channel), method.name)(
        as_sent(method, request), metadata=ground.tenant.metadata, timeout=20
    )
    try:
        if method.server_streaming:
            await call.read()
            call.cancel()
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name} {reason_of(error)}"
    return "OK"


@pytest.mark.parametrize("name", TIMED)
async def test_no_instant_is_a_defect(here: ServiceAndEmulator, name: str) -> None:
    ground = Ground(here, await here.tenant())
    branch = await sub_account(ground) if name == "WalletService.GetRebilling" else ""
    body = await body_of(name, ground, branch)
    wrong, counts = [], Counter[str]()
    for request in requests(name, body):
        answer = await met(ground, name, request)
        counts[answer] += 1
        if answer.startswith(("INTERNAL", "UNKNOWN", "DEADLINE")):
            wrong.append((answer, str(request)))
    sys.stdout.write(f"{name}: {dict(counts)}\n")
    assert wrong == []
    assert counts["INVALID_ARGUMENT INVALID_FIELDS"] > 0


INTEGERS: Final[Mapping[int, tuple[int, ...]]] = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), -1, 0, 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), -1, 0, 2**53 + 1, 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-1, 99),
}
FRACTIONS: Final = (math.nan, math.inf, -math.inf, 1e308, -0.0, 5e-324)


def numbers(kind: Descriptor, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The paths of a message's numbers, each with what is put there, instants left out."""
    for field in kind.fields:
        inner, path = field.message_type, (*above, field.name)
        if inner is None and not field.is_repeated:
            fraction = field.cpp_type in (
                FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT,
            )  # fmt: skip
            values = FRACTIONS if fraction else INTEGERS.get(field.cpp_type, ())
            yield from ((path, value) for value in values)
        elif inner is not None and len(path) < 4 and _holds_fields(inner):
            yield from numbers(inner, path)


def _holds_fields(kind: Descriptor) -> bool:
    """Whether a message is one of the contract's, and no entry of a map."""
    return not kind.GetOptions().map_entry and not kind.full_name.startswith("google.protobuf.")


NUMBERED: Final = {
    name: found for name, (method, _) in sorted(METHODS.items())
    if (found := [*numbers(method.input_type)])
}  # fmt: skip


def put(request: Message, path: tuple[str, ...], value: Any) -> None:
    """Put a value at a path; of a list, into its first element."""
    held: Any = request
    for name in path[:-1]:
        inner = getattr(held, name)
        listed = held.DESCRIPTOR.fields_by_name[name].is_repeated
        held = (inner[0] if inner else inner.add()) if listed else inner
    setattr(held, path[-1], value)


@pytest.mark.parametrize("name", NUMBERED)
async def test_no_number_is_a_defect(here: ServiceAndEmulator, name: str) -> None:
    ground = Ground(here, await here.tenant())
    wrong = []
    body = await TABLE[name].make(ground) if name in TABLE else await body_of(name, ground, "")
    for path, value in NUMBERED[name]:
        request = request_of(name, body)
        put(request, path, value)
        answer = await met(ground, name, request)
        if answer.startswith(("INTERNAL", "UNKNOWN", "DEADLINE")):
            wrong.append((answer, path, value))
    assert wrong == []
