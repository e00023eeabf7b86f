"""WatchEvents over a real connection: from any token, at any reader's pace, for any time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from billing_client.v1 import event_service_pb2 as pb
from billing_client.v1.money_pb2 import Money as MoneyMessage
from google.protobuf.timestamp_pb2 import Timestamp

from application.events.watch import PAGE, Watching
from application.jobs.outbox import Outbox
from application.requests.callers import OPERATOR
from domain.effects import Fact, FactName, fact_payload
from domain.jobs import Job
from domain.money import Money
from interfaces.grpc import server
from interfaces.grpc.interceptors import deadlines
from tests.support.fakes.breaking import Breaking
from tests.support.fakes.stores import NOON
from tests.support.servers.grpc import PATIENCE, Running, reason, refusal, running_server
from tests.support.servers.stores import sqlite_stores

Code = grpc.StatusCode


def paid(number: int, account: str = "acme", customer: str = "cus_1") -> Job:
    name = FactName.PAYOUT_PAID if number % 2 else FactName.INVOICE_PAID
    fact = Fact(name, f"in_{number}", f"in_{number}", customer, Money(number, "usd"))
    payload = fact_payload(fact, "acct_acme", 5_000)
    return Job(f"{account}/{number}", f"events.{name}", account, NOON, payload)


@dataclass(frozen=True)
class Stream:
    """A server whose WatchEvents is real, its outbox, and the pages read from it by account."""

    running: Running
    outbox: Outbox
    watching: Watching
    pages: list[str]

    def open(self, request: pb.WatchEventsRequest, **claims: Any) -> Any:
        """A stream by acme, or by whom the claims name."""
        return self.running.event_stub.WatchEvents(
            request, metadata=self.running.metadata(**claims)
        )


@asynccontextmanager
async def streaming(
    folder: Path, *, bookmark_seconds: float = 60.0, **options: Any
) -> AsyncIterator[Stream]:
    """Serve until left."""
    pages: list[str] = []

    async def note(where: str, *arguments: Any, **_: Any) -> None:
        if where == "watch":
            pages.append(arguments[0])

    async with sqlite_stores(folder / "billing.db") as stores:
        outbox: Any = Breaking(stores.outbox, before_with=note)
        watching = Watching(outbox, poll_seconds=0.01, bookmark_seconds=bookmark_seconds)
        async with running_server(watching=watching, **options) as running:
            yield Stream(running, stores.outbox, watching, pages)


PAGES: Final = 15
"""As many as do not fit into a connection that nobody reads from."""


async def fill(stream: Stream, account: str) -> None:
    """Give an account PAGES of events of 2 KB each."""
    for start in range(0, PAGES * PAGE, PAGE):
        jobs = [paid(n, account, customer="c" * 2_000) for n in range(start, start + PAGE)]
        await stream.outbox.append(jobs)


@asynccontextmanager
async def apart(stream: Stream) -> AsyncIterator[Stream]:
    """The same on a connection of its own, which takes up 64 KiB that nobody reads and no more."""
    options = [("grpc.http2.bdp_probe", 0)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stream.running.port}", options) as channel:
        yield replace(stream, running=replace(stream.running, channel=channel))


async def take(call: Any, count: int) -> list[pb.WatchEventsResponse]:
    async with asyncio.timeout(PATIENCE):
        return [await call.read() for _ in range(count)]


async def read_on(call: Any, seen: list[pb.WatchEventsResponse]) -> None:
    """Read until the stream ends."""
    while True:
        seen += await take(call, 1)


def objects(replies: list[pb.WatchEventsResponse]) -> list[str]:
    return [one.event.object_id for one in replies if one.HasField("event")]


async def test_a_watch_shows_events_and_goes_on_from_any_token(tmp_path: Path) -> None:
    async with streaming(tmp_path) as stream:
        await stream.outbox.append([paid(n) for n in range(5)])
        oldest = pb.WatchEventsRequest(from_oldest=True)
        call = stream.open(oldest)
        bookmark, *replies = await take(call, 4)
        call.cancel()
        assert not bookmark.HasField("event")
        assert replies[0].event == pb.BillingEvent(
            id="acme/0", fact="invoice_paid", account="acme", stripe_account="acct_acme",
            object_id="in_0", customer="cus_1", amount=MoneyMessage(amount=0, currency="usd"),
            occur_time=Timestamp(seconds=5),
        )  # fmt: skip
        assert objects(replies) == ["in_0", "in_1", "in_2"]
        for at, reply in enumerate(replies):
            call = stream.open(pb.WatchEventsRequest(resume_token=reply.resume_token))
            rest = objects(await take(call, 5 - at))
            call.cancel()
            assert rest == [f"in_{n}" for n in range(at + 1, 5)]


async def test_a_watch_begins_now_and_is_narrowed_to_facts_and_the_account(tmp_path: Path) -> None:
    async with streaming(tmp_path) as stream:
        await stream.outbox.append([paid(1)])
        call = stream.open(pb.WatchEventsRequest(facts=["payout_paid"]))
        await take(call, 1)
        await stream.outbox.append([paid(2), paid(3, "rival"), paid(5, "acme-west"), paid(7)])
        assert objects(await take(call, 1)) == ["in_7"]
        call.cancel()
        west = stream.open(pb.WatchEventsRequest(account="acme-west", from_oldest=True))
        assert objects(await take(west, 2)) == ["in_5"]
        west.cancel()
        request = pb.WatchEventsRequest(account="rival", from_oldest=True)
        operators = stream.open(request, account=OPERATOR)
        assert objects(await take(operators, 2)) == ["in_3"]
        operators.cancel()


@pytest.mark.parametrize(
    ("request_", "claims", "expected"),
    [
        (pb.WatchEventsRequest(resume_token="e1"), {}, "INVALID_PAGE_TOKEN"),
        (pb.WatchEventsRequest(resume_token="nonsense"), {}, "INVALID_PAGE_TOKEN"),
        (pb.WatchEventsRequest(facts=["nonsense"]), {}, "INVALID_FIELDS"),
        (pb.WatchEventsRequest(), {"scopes": ["events.read"]}, "SCOPE_MISSING"),
        (pb.WatchEventsRequest(account="rival"), {}, "NOT_FOUND"),
        (pb.WatchEventsRequest(), {"account": OPERATOR}, "INVALID_FIELDS"),
    ],
)
async def test_a_watch_is_refused(
    tmp_path: Path, request_: pb.WatchEventsRequest, claims: dict[str, Any], expected: str
) -> None:
    async with streaming(tmp_path) as stream:
        got = await refusal(stream.open(request_, **claims).read())
    assert reason(got) == expected


async def test_a_watch_outlives_the_time_that_other_calls_have(tmp_path: Path) -> None:
    usual = 0.1
    async with streaming(tmp_path, bookmark_seconds=0.02, default_seconds=usual) as stream:
        call = stream.open(pb.WatchEventsRequest())
        loop = asyncio.get_running_loop()
        end = loop.time() + 4 * usual
        while loop.time() < end:
            await take(call, 1)
        await stream.outbox.append([paid(1)])
        seen: list[str] = []
        while not seen:
            seen = objects(await take(call, 1))
        call.cancel()


async def test_a_watch_ends_at_the_bound_of_all_calls_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "MAX_SECONDS", 0.4)
    async with streaming(tmp_path) as stream:
        call = stream.open(pb.WatchEventsRequest())
        await take(call, 1)
        got = await refusal(call.read())
    assert got.code() is Code.UNAVAILABLE
    assert "open it again" in (got.details() or "")


async def test_a_reader_who_stalls_past_the_bound_is_told_so_when_it_reads_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = 0.2
    monkeypatch.setattr(deadlines, "MAX_SECONDS", bound)
    async with streaming(tmp_path) as stream:
        await fill(stream, "acme")
        async with apart(stream) as stalling:
            call = stalling.open(pb.WatchEventsRequest(from_oldest=True))
            seen = await take(call, 1)  # and no more: what follows fills the connection
            await asyncio.sleep(2 * bound)
            got = await refusal(read_on(call, seen))
    assert got.code() is Code.UNAVAILABLE
    assert objects(seen) == [f"in_{n}" for n in range(len(seen) - 1)]
    assert len(seen) < PAGES * PAGE


async def test_a_reader_who_stalls_forever_is_let_go_with_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_CONNECTION_AGE_MS", 100)
    monkeypatch.setattr(server, "_CONNECTION_GRACE_MS", 100)
    async with streaming(tmp_path) as stream:
        await fill(stream, "acme")
        async with apart(stream) as stalling:
            call = stalling.open(pb.WatchEventsRequest(from_oldest=True))
            await take(call, 1)
            (line,) = await stream.running.log()
            assert stream.watching._watches == 0
            call.cancel()
    assert line["code"] == "CANCELLED"


async def test_a_slow_reader_holds_up_nobody_and_misses_nothing(tmp_path: Path) -> None:
    async with streaming(tmp_path) as stream:
        for account in ("acme", "rival"):
            await fill(stream, account)
        oldest = pb.WatchEventsRequest(from_oldest=True)
        async with apart(stream) as stalling:
            slow = stalling.open(oldest)
            await take(slow, 2)
            quick = stream.open(oldest, account="rival")
            assert objects(await take(quick, 1 + PAGES * PAGE))[-1] == f"in_{PAGES * PAGE - 1}"
            quick.cancel()
            assert stream.pages.count("rival") >= PAGES
            assert stream.pages.count("acme") < PAGES  # it has not read on for who does not
            await stream.outbox.append([paid(100_000)])
            rest = objects(await take(slow, PAGES * PAGE))
            assert rest == [*(f"in_{n}" for n in range(1, PAGES * PAGE)), "in_100000"]
            slow.cancel()


async def test_a_watch_is_told_that_the_service_stops(tmp_path: Path) -> None:
    async with streaming(tmp_path) as stream:
        call = stream.open(pb.WatchEventsRequest())
        await take(call, 1)
        stream.watching.stop()
        got = await refusal(call.read())
    assert (got.code(), reason(got)) == (Code.UNAVAILABLE, "SHUTTING_DOWN")
