"""`billing events` against a service in this process, and what its refusals read like."""

import asyncio
import datetime as dt
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

import grpc
import pytest
import typer
from billing_client.v1 import event_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp
from typer.testing import CliRunner, Result

from application.events.inbox import EventState
from application.requests.callers import OPERATOR, Caller
from domain.customers import Customer
from domain.mirror import Facet, Row, Snapshot, Version
from domain.reporting_categories import SETTLEMENT
from interfaces.cli.client import CALL_SECONDS, Connect, authorised, run
from interfaces.cli.events import calls, watching
from interfaces.cli.events.app import events_app
from interfaces.cli.exits import ExitCode, Refused
from interfaces.cli.target import Target
from tests.support.fakes.stores import NOON
from tests.support.rooms.events import EventsDesk, event
from tests.support.servers.grpc import Running, running_server
from tests.unit.stripe import samples

SECOND: Final = dt.timedelta(seconds=1)


@dataclass
class Terminal:
    """The commands on a server that runs on the test's own loop; they run in a thread."""

    desk: EventsDesk
    running: Running
    asked: list[Sequence[str]]
    columns: str | None = "200"

    async def run(self, *arguments: str) -> Result:
        """What a command ends with."""
        app = events_app(lambda _: self._connect)
        env = {"COLUMNS": self.columns, "TERM": "dumb"}
        return await asyncio.to_thread(CliRunner().invoke, app, arguments, env=env)

    async def printed(self, *arguments: str) -> str:
        """What a command that succeeds prints."""
        result = await self.run(*arguments)
        assert result.exit_code == 0, result.exception
        return result.stdout

    async def refused(self, *arguments: str) -> str:
        """The one line that a command ends with that the service refuses."""
        result = await self.run(*arguments)
        assert isinstance(result.exception, Refused), result.output
        assert result.stdout == ""
        return str(result.exception)

    def _connect(self, scopes: Sequence[str]) -> AbstractAsyncContextManager[grpc.aio.Channel]:
        self.asked.append(tuple(scopes))
        address = f"127.0.0.1:{self.running.port}"
        return authorised(address, lambda: self.running.token(account=OPERATOR, scopes=scopes))


@pytest.fixture
async def terminal() -> AsyncIterator[Terminal]:
    """Events of acme, rival and the platform."""
    desk = EventsDesk()
    desk.log.add(
        event("evt_a", state=EventState.DEAD), attempts=9, error="boom [red]", decision="d"
    )
    desk.log.add(event("evt_r", "acct_rival", received_at=NOON + SECOND, state=EventState.DEAD))
    desk.log.add(event("evt_p", "", received_at=NOON + 2 * SECOND))
    async with running_server(events=desk.events) as running:
        yield Terminal(desk, running, [])


def rows(printed: str, column: int = 1) -> list[str]:
    """The cells of a column."""
    lines = [line.split("│") for line in printed.splitlines() if line.startswith("│")]
    return [line[column].strip() for line in lines]


def listed(printed: str) -> list[str]:
    """The ids of a list's events."""
    return re.findall(r"evt_\w", printed)


async def test_an_operator_lists_all_events(terminal: Terminal) -> None:
    printed = await terminal.printed("list")
    assert listed(printed) == ["evt_p", "evt_r", "evt_a"]
    assert re.findall(r"platform|acct_\w+", printed) == ["platform", "acct_rival", "acct_acme"]
    states = re.findall(r"processed|dead, failed 9 times|dead", printed)
    assert states == ["processed", "dead", "dead, failed 9 times"]
    assert "2026-11-02 12:00:02Z" in printed
    assert terminal.asked == [("events.read",)]


async def test_a_list_is_narrowed(terminal: Terminal) -> None:
    assert listed(await terminal.printed("list", "--state", "dead")) == ["evt_r", "evt_a"]
    options = ("--stripe-account", "acct_acme", "--object", "cus_1", "--type", "customer.updated")
    assert listed(await terminal.printed("list", *options)) == ["evt_a"]
    times = ("--since", "2026-11-02T12:00:01", "--until", "2026-11-02T12:00:02")
    assert listed(await terminal.printed("list", *times)) == ["evt_r"]
    assert listed(await terminal.printed("list", "--account", "rival")) == ["evt_r"]
    assert terminal.asked[-1] == ("events.read",)
    short = await terminal.printed("list", "--limit", "2")
    assert listed(short) == ["evt_p", "evt_r"]
    assert "there may be more" in short


async def test_an_event_is_shown_and_its_payload_only_when_asked_for(terminal: Terminal) -> None:
    printed = await terminal.printed("show", "evt_a")
    shown = dict(zip(rows(printed, 1), rows(printed, 2), strict=True))
    assert shown["state"] == "dead"
    assert shown["last error"] == "boom [red]"
    assert shown["object"] == "customer cus_1"
    assert "effects" not in shown
    assert "secret" not in printed
    assert terminal.asked == [("events.read",)]
    assert '"secret": 1' in await terminal.printed("show", "evt_a", "--payload")
    assert terminal.asked[-1] == ("events.read", "events.payload")


async def test_a_payload_that_is_no_json_is_shown_as_it_is(terminal: Terminal) -> None:
    terminal.desk.log.add(event("evt_x", payload=b"\xffno json [b] :smile:"))
    assert "no json [b] :smile:" in await terminal.printed("show", "evt_x", "--payload")


async def test_events_are_tried_again(terminal: Terminal) -> None:
    assert "pending" in await terminal.printed("retry", "evt_a")
    assert terminal.asked == [("events.write",)]
    none = ("--type", "x", "--object", "o", "--stripe-account", "platform", "--since", "2026-01-01")
    assert await terminal.printed("retry-dead", *none) == "0 events are tried again\n"
    assert await terminal.printed("retry-dead") == "1 event is tried again\n"
    assert terminal.desk.log.retried == ["evt_a", "evt_r"]


async def test_retry_dead_goes_on_while_there_are_more(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = iter([(20_000, True), (20_000, True), (5, False)])

    async def retry_all(*_: Any) -> tuple[int, bool]:
        return next(replies)

    monkeypatch.setattr(terminal.desk.events, "retry_all", retry_all)
    assert await terminal.printed("retry-dead") == "40,005 events are tried again\n"


async def test_an_object_is_explained_over_all_pages(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "PAGE", 2)
    log = terminal.desk.log
    log.events.clear()
    log.records.clear()
    for number in range(5):
        name = "Grace" if number == 3 else "Ada"
        told = samples.event(samples.customer(name=name), "customer.updated")
        log.add(
            event(f"evt_{number}", payload=samples.encoded(told), created=number * 1_000),
            decision="applied: newer", effects=("contact synced",) if number == 3 else (),
        )  # fmt: skip
    log.add(event("evt_5", created=5_000, payload=b"{}"))
    money = {"balance_transaction": "txn_1", "net": 1}
    terminal.desk.mirror.rows["customer", "acct_acme", "cus_1"] = Row(
        "acct_acme", "cus_1", 7,
        Snapshot(
            "acct_acme", "cus_1", Version(1_000, 3_000, 2_000, 2_000), Customer("cus_1", NOON),
            frozenset({"phone"}),
        ),
        {"settlement": Facet("acct_acme", "cus_1", SETTLEMENT, money, Version(7_000, 7_000))},
    )  # fmt: skip

    printed = await terminal.printed("explain", "customer", "cus_1", "--account", "acme")

    row, _, timeline = printed.partition("what became of it")
    facts = dict(zip(rows(row, 1), rows(row, 2), strict=True))
    assert facts == {
        "object": "live", "revision": "7", "not known yet": "phone",
        "valid": "1970-01-01 00:00:01Z to 1970-01-01 00:00:03Z (read from Stripe)",
        "fees":
            "from balance_transaction txn_1, 1970-01-01 00:00:07Z: balance_transaction, net",
    }  # fmt: skip
    changed = re.findall(r"changed: (.+?) *│", timeline)
    assert changed == [
        "(nothing to compare with)", "(nothing mirrored)", "(nothing mirrored)", "name", "name",
        "(unreadable)",
    ]  # fmt: skip
    assert "contact synced" in timeline
    assert "Grace" not in printed
    assert "more events" not in printed
    short = await terminal.printed(
        "explain", "customer", "cus_1", "--stripe-account", "acct_acme", "--limit", "3"
    )
    assert len(re.findall(r"evt_\d", short)) == 3
    assert "there are more events" in short


async def test_an_object_that_nothing_is_known_of(terminal: Terminal) -> None:
    result = await terminal.run("explain", "charge", "ch_1", "--account", "acme")
    assert isinstance(result.exception, Refused)
    assert str(result.exception) == "the mirror has no charge ch_1 of acct_acme"
    assert result.exception.code is ExitCode.NOT_FOUND
    assert result.stdout == "no events about it\n"
    result = await terminal.run("explain", "charge", "ch_1", "--account", "acme", "--json")
    assert json.loads(result.stdout)["events"] == []
    assert isinstance(result.exception, Refused)


@pytest.mark.parametrize(
    "chosen", ["tier/2", "größe", "Gold plan", "[b]x", ":smile:", "-x", "--help"]
)
async def test_an_object_is_named_by_whatever_id(terminal: Terminal, chosen: str) -> None:
    terminal.desk.log.add(event("evt_odd", object_id=chosen, stripe_account="acct_acme"))
    printed = await terminal.printed("list", "--account", "acme", "--object", chosen)
    assert chosen in printed
    explained = await terminal.run("explain", "--account", "acme", "customer", "--", chosen)
    assert "evt_odd" in explained.stdout
    assert str(explained.exception) == f"the mirror has no customer {chosen} of acct_acme"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("show", "evt_x"),
            "no event evt_x; billing events list shows those that there are (NOT_FOUND)",
        ),
        (
            ("retry", "evt_a", "--account", "rival"),
            "no event evt_a; billing events list shows those that there are (NOT_FOUND)",
        ),
        (
            ("list", "--account", "nobody"),
            "no account nobody; billing accounts list shows those that there are (NOT_FOUND)",
        ),
        (("list", "--account", "acme-west"), None),
        (
            ("list", "--object", "cus_1"),
            "--stripe-account: is needed with --object; or platform (INVALID_FIELDS)",
        ),
        (("explain", "plan", "x", "--account", "acme"), None),
        (("watch",), "this command needs --account (INVALID_FIELDS)"),
    ],
)
async def test_a_refusal_is_one_line(
    terminal: Terminal, arguments: tuple[str, ...], line: str | None
) -> None:
    refused = await terminal.refused(*arguments)
    assert "\n" not in refused
    assert re.search(r"\([A-Z_]+\)$", refused)
    if line is not None:
        assert refused == line


async def test_a_call_does_not_wait_for_longer_than_its_bound(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[float] = []

    async def retry_all(caller: Caller, *_: Any) -> tuple[int, bool]:
        left.append((caller.deadline or 0) - asyncio.get_running_loop().time())
        return 0, False

    monkeypatch.setattr(terminal.desk.events, "retry_all", retry_all)
    await terminal.printed("retry-dead")
    assert 30 < left[0] <= CALL_SECONDS + 1  # on the wire a time-out is rounded up


async def test_a_service_that_is_not_there_is_one_line(terminal: Terminal) -> None:
    port = terminal.running.port
    await terminal.running.server.stop(0)
    refused = await terminal.refused("list")
    assert refused.startswith(f"the service does not answer at 127.0.0.1:{port}; ")
    assert "--address" in refused


# --- the watch, on a channel that says what a test wants ------------------------------------------


class Broken(grpc.aio.AioRpcError):
    """A call that ended, not of Billing's making."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "gone")


class Scripted:
    """A channel whose streams give what is written for them, and then end as it is written."""

    def __init__(self, *streams: Sequence[Any]) -> None:
        self.streams = list(streams)
        self.requests: list[pb.WatchEventsRequest] = []

    def unary_unary(self, *_: Any, **__: Any) -> None:
        """No call of this kind is made here."""

    def unary_stream(self, *_: Any, **__: Any) -> Callable[[Any], AsyncIterator[Any]]:
        async def stream(request: pb.WatchEventsRequest) -> AsyncGenerator[Any, None]:
            kept = pb.WatchEventsRequest()
            kept.CopyFrom(request)
            self.requests.append(kept)
            for one in self.streams.pop(0):
                if isinstance(one, BaseException):
                    raise one
                yield one

        return stream


def happened(number: int, **changes: Any) -> pb.WatchEventsResponse:
    values: dict[str, Any] = {
        "fact": "invoice_paid", "object_id": f"in_{number}", "occur_time": Timestamp(seconds=5),
    }  # fmt: skip
    return pb.WatchEventsResponse(
        resume_token=f"e{number}", event=pb.BillingEvent(**(values | changes))
    )


def watch(channel: Scripted, *arguments: str) -> tuple[Result, list[Target]]:
    """What a watch ends with, and which service it asked."""
    targets: list[Target] = []

    @asynccontextmanager
    async def connect(scopes: Sequence[str]) -> AsyncIterator[grpc.aio.Channel]:
        assert scopes == ("events.watch",)
        yield cast("grpc.aio.Channel", channel)

    def reach(target: Target) -> Connect:
        targets.append(target)
        return connect

    return CliRunner().invoke(events_app(reach), ["watch", *arguments]), targets


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PAUSE_SECONDS", 0.0)


def test_a_watch_is_a_line_an_event_until_interrupted() -> None:
    money = {"amount": 123_450, "currency": "usd"}
    channel = Scripted(
        [
            pb.WatchEventsResponse(resume_token="e0"),
            happened(1, amount=money, customer="cus_1"),
            happened(2, amount={"amount": 0, "currency": "eur"}),
            happened(3),
            KeyboardInterrupt(),
        ]
    )
    service = ("--address", "billing.test:443", "--token", "t", "--tls")
    wanted = ("--account", "acme", "--fact", "invoice_paid", "--oldest")
    result, targets = watch(channel, *wanted, *service)
    assert result.stdout.splitlines() == [
        "1970-01-01 00:00:05Z  invoice_paid  in_1  1,234.50 USD  cus_1",
        "1970-01-01 00:00:05Z  invoice_paid  in_2  0.00 EUR",
        "1970-01-01 00:00:05Z  invoice_paid  in_3",
    ]
    assert result.exit_code == ExitCode.INTERRUPTED
    request = pb.WatchEventsRequest(account="acme", from_oldest=True, facts=["invoice_paid"])
    assert channel.requests == [request]
    assert targets == [Target("billing.test:443", "t", tls=True)]


def test_a_watch_goes_on_from_its_last_token_when_the_service_ends_it() -> None:
    unavailable = Broken(grpc.StatusCode.UNAVAILABLE)
    channel = Scripted(
        [happened(1), unavailable], [happened(2)], [happened(3), unavailable], [unavailable]
    )
    result, _ = watch(channel, "--resume", "e0")
    assert re.findall(r"in_\d", result.stdout) == ["in_1", "in_2", "in_3"]
    assert [one.resume_token for one in channel.requests] == ["e0", "e1", "e2", "e3"]
    assert isinstance(result.exception, Refused)  # it told nothing any more
    assert str(result.exception) == "gone (UNAVAILABLE)"


@pytest.mark.parametrize("code", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNKNOWN])
def test_a_watch_that_is_refused_is_not_tried_again(code: grpc.StatusCode) -> None:
    channel = Scripted([happened(1), Broken(code)])
    result, _ = watch(channel)
    assert str(result.exception) == f"gone ({code.name})"


def test_what_is_interrupted_ends_as_a_shell_expects() -> None:
    async def work() -> None:
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as ended:
        run(work())
    assert ended.value.exit_code == ExitCode.INTERRUPTED
