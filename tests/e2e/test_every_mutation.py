"""Every mutating RPC: once at Stripe however often it is asked, and never for another tenant."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, Final

import grpc
import pytest
import pytest_asyncio

from application.catalogue.fields import IMMUTABLE as NEVER_CHANGED
from bootstrap.process import opened
from sandbox.emulator.core.messages import FaultSpec
from tests.support.contract.answers import answered, is_refusal
from tests.support.contract.every_mutation import MUTATING, TABLE, Done, Mutation
from tests.support.contract.requests import with_nul
from tests.support.contract.tenant import Fields, Ground, fresh, request_of
from tests.support.servers.service import ServiceAndEmulator, Tenant, reason_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

EQUAL_CALLS: Final = 100
TRIES: Final = 3
"""How often the gateway sends a request."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stranger(here: ServiceAndEmulator) -> Tenant:
    return await here.tenant()


COMPARED: Final = {"account": "NOT_FOUND", "etag": "ABORTED"}
"""Texts that are only compared with ours, and what one that differs ends with."""

IMMUTABLE: Final = frozenset(f"price.{name}" for name in NEVER_CHANGED)
"""Texts that an update of a price refuses whatever they are."""

UNCHANGEABLE: Final = {"invoice.customer", "invoice.currency", "note.customer"}
"""Texts that callers give at creation; updates read them no more."""

every_mutation = pytest.mark.parametrize("name", MUTATING)


async def test_the_table_has_every_mutating_rpc_and_no_other() -> None:
    assert sorted(TABLE) == MUTATING


async def test_the_table_says_which_rpcs_the_mutation_log_records(here: ServiceAndEmulator) -> None:
    async with opened(here.service.parsed()) as container:
        container.rooms.offered()
        declared = container.mutations().declared
    assert {name for name, one in TABLE.items() if one.logged} == declared


async def changes(here: ServiceAndEmulator) -> Mapping[str, int]:
    """The requests that Stripe has had, by route, without those that only read."""
    routes = (await here.emulator.control.stats()).routes
    return {route: count for route, count in routes.items() if not route.startswith("GET ")}


async def assert_effect(ground: Ground, one: Mutation, fields: Fields, reply: Any) -> None:
    """Stripe and Billing show the same."""
    there, shown = await one.facts(Done(ground, fields, reply))
    assert there == shown


async def events_of(ground: Ground, one: Mutation) -> int:
    return await ground.events(one.event) if one.event else 0


@every_mutation
async def test_equal_calls_at_once_are_one(here: ServiceAndEmulator, name: str) -> None:
    one, ground = TABLE[name], Ground(here, await here.tenant())
    fields = {**await one.make(ground), "request_id": "same"}
    before, events = await changes(here), await events_of(ground, one)
    replies = await asyncio.gather(*(ground.call(name, fields) for _ in range(EQUAL_CALLS)))
    assert all(reply == replies[0] for reply in replies)
    after = await changes(here)
    sent = {route: count - before.get(route, 0) for route, count in after.items()}
    assert {route: count for route, count in sent.items() if count} == dict.fromkeys(one.routes, 1)
    assert await events_of(ground, one) - events == bool(one.event)
    await assert_effect(ground, one, fields, replies[0])
    assert await ground.call(name, fields) == replies[0]


async def lose(here: ServiceAndEmulator, name: str, route: str) -> None:
    """Lose every answer to one request: no outcome is told, and then one effect is found."""
    one, ground = TABLE[name], Ground(here, await here.tenant())
    fields = {**await one.make(ground), "request_id": "lost"}
    events = await events_of(ground, one)
    method, _, template = route.partition(" ")
    # The HTTP client by itself sends once more what is idempotent by its method.
    count = 1 if one.lost else TRIES * (2 if method == "DELETE" else 1)
    fault = FaultSpec(
        kind="drop_after", method=method, route=template, count=count,
        account="" if one.on_platform else ground.tenant.stripe_account,
    )  # fmt: skip
    await here.emulator.control.add_fault(fault)
    if one.lost:
        for _ in range(2):
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await ground.call(name, fields)
            assert reason_of(ended.value) == one.lost
        return
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ground.call(name, fields)
    assert (caught.value.code(), reason_of(caught.value)) == (
        grpc.StatusCode.DEADLINE_EXCEEDED, "OUTCOME_UNKNOWN",
    ), f"{name}: {route}"  # fmt: skip
    reply = await ground.call(name, fields)
    assert await ground.call(name, fields) == reply
    assert await events_of(ground, one) - events == bool(one.event), f"{name}: {route}"
    await assert_effect(ground, one, fields, reply)


async def test_a_lost_answer_ends_in_one_effect(here: ServiceAndEmulator) -> None:
    """All of them side by side, since each waits between its tries."""
    lost = [(name, route) for name, one in TABLE.items() if not one.process for route in one.routes]
    outcomes = await asyncio.gather(
        *(lose(here, name, route) for name, route in lost), return_exceptions=True
    )
    failed = {
        place: outcome for place, outcome in zip(lost, outcomes, strict=True)
        if outcome is not None
    }  # fmt: skip
    assert failed == {}
    assert await here.emulator.control.faults() == []


async def code_of(call: Awaitable[Any]) -> str:
    """The name of the status code that a call ends with."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


@every_mutation
async def test_a_nul_in_any_text_is_refused_before_anything_is_sent(
    here: ServiceAndEmulator, name: str
) -> None:
    one, ground = TABLE[name], Ground(here, await here.tenant())
    valid = request_of(name, await one.make(ground))
    passed_over = set()
    for path, request in with_nul(valid):
        request.request_id = request.request_id or fresh()
        before = await changes(here)
        outcome = await code_of(ground.send(name, request))
        if outcome == "OK":
            passed_over.add(path)
            continue
        wanted = COMPARED.get(path.rpartition(".")[2], "INVALID_ARGUMENT")
        if name.endswith(".UpdatePrice") and IMMUTABLE & {path, ".".join(path.split(".")[:2])}:
            wanted = "FAILED_PRECONDITION"
        assert outcome == wanted, path
        assert await changes(here) == before, path
    assert passed_over <= (UNCHANGEABLE if ".Update" in name else set())


@every_mutation
async def test_a_request_id_of_another_tenants_is_as_one_that_never_was(
    here: ServiceAndEmulator, stranger: Tenant, name: str
) -> None:
    """Neither his answer nor that he used it comes back: it is a new call of one's own."""
    one, theirs = TABLE[name], Ground(here, await here.tenant())
    mine = Ground(here, stranger if one.foreign else await here.tenant())
    fields = await one.make(theirs)
    done = await theirs.call(name, {**fields, "request_id": "theirs"})
    their_words = done.SerializeToString(deterministic=True)
    answers = [
        await answered(mine, name, {**fields, "request_id": id_}, [id_])
        for id_ in ("theirs", fresh())
    ]
    assert their_words not in answers
    first, second = answers
    if is_refusal(first) or one.foreign:
        assert first == second
    assert is_refusal(second) == (bool(one.foreign) or "account" in fields)


@pytest.mark.parametrize("name", [name for name in MUTATING if TABLE[name].foreign])
async def test_another_tenants_ids_are_refused_and_change_nothing(
    here: ServiceAndEmulator, stranger: Tenant, name: str
) -> None:
    one, ground = TABLE[name], Ground(here, await here.tenant())
    fields = {**await one.make(ground), "request_id": fresh()}
    before = await here.emulator.control.snapshot()
    events = await events_of(ground, one)
    for account, reason in (("", one.foreign), (ground.tenant.account, "NOT_FOUND")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ground.call(name, {**fields, "account": account}, stranger)
        assert reason_of(caught.value) == reason
    assert await events_of(ground, one) == events
    after = await here.emulator.control.snapshot()
    assert [row for row in after if row not in before and row.object != "event"] == []
    await ground.call(name, fields)
