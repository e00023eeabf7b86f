"""`billing backfill|reconcile|rebuild|reports|status` against a service in this process."""

import asyncio
import datetime as dt
import io
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, replace
from typing import Any

import grpc
import pytest
import typer
from billing_client.v1 import mirror_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from typer.testing import CliRunner, Result

from application.mirror.nouns import CUSTOMERS
from application.requests.callers import OPERATOR
from application.upkeep.catch_up import Gap, Standing
from application.upkeep.ports import (
    Check,
    CheckCount,
    Difference,
    Drift,
    Finding,
    NounCounts,
    Report,
    ReportKind,
)
from domain.customers import Customer
from domain.errors import FailedPrecondition, NotUnderstood, Reason
from domain.operations import OperationKind
from interfaces.cli.client import authorised
from interfaces.cli.exits import ExitCode, Refused
from interfaces.cli.mirror import following
from interfaces.cli.mirror.app import add_mirror_commands
from interfaces.cli.mirror.calls import MirrorCalls
from interfaces.cli.mirror.following import FIRST_FINDINGS
from interfaces.cli.mirror.progress import Bars, Lines
from interfaces.grpc.mirror.mapping import report_message
from tests.support.fakes.operations import ACCOUNT
from tests.support.fakes.stores import NOON
from tests.support.servers.mirror_grpc import MirrorDesk, mirror_desk
from tests.support.servers.service import until

ACME = ("--account", "acme")
BACKFILL = pb.Operation.KIND_BACKFILL


@dataclass
class Terminal:
    """The commands on a server that runs on the test's own loop; they run in a thread."""

    desk: MirrorDesk
    asked: list[Sequence[str]]
    port: int = 0

    async def run(self, *arguments: str) -> Result:
        """What a command ends with."""
        app = typer.Typer()
        add_mirror_commands(app, lambda _: self.connect)
        return await asyncio.to_thread(
            CliRunner().invoke, app, arguments, env={"COLUMNS": "120", "TERM": "dumb"}
        )

    async def printed(self, *arguments: str, code: int = 0) -> str:
        """What a command prints that is not refused."""
        result = await self.run(*arguments)
        assert result.exit_code == code, (result.stdout, result.exception)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.stdout

    async def json(self, *arguments: str, code: int = 0) -> str:
        """What a command prints with --json, which is on standard output alone."""
        return await self.printed(*arguments, "--json", code=code)

    async def refused(self, *arguments: str) -> str:
        """The one line that a command ends with that is refused."""
        result = await self.run(*arguments)
        assert isinstance(result.exception, Refused), result.output
        return str(result.exception)

    def connect(self, scopes: Sequence[str]) -> AbstractAsyncContextManager[grpc.aio.Channel]:
        self.asked.append(tuple(scopes))
        return authorised(f"127.0.0.1:{self.port}", lambda: self.desk.token(OPERATOR, scopes))


@pytest.fixture
async def terminal(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Terminal]:
    monkeypatch.setattr(following, "PAUSE_SECONDS", 0.05)
    async with mirror_desk() as desk:
        yield Terminal(desk, [], desk.port)


def row(printed: str, name: str) -> list[str]:
    """The cells of the first row of a table that begins so."""
    lines = [re.split("[│┃]", line) for line in printed.splitlines()]
    found = [cells[1:-1] for cells in lines if len(cells) > 2 and cells[1].strip() == name]
    return [cell.strip() for cell in found[0]]


# --- operations ------------------------------------------------------------------------------


async def test_a_backfill_is_followed_to_its_end_in_plain_lines(terminal: Terminal) -> None:
    terminal.desk.slow()
    lines = (await terminal.printed("backfill", *ACME)).splitlines()
    assert any(line.startswith("reading customer, 0/2 object types, ") for line in lines)
    assert any("back to 2026-11-02" in line for line in lines)
    assert lines[-2].startswith("succeeded, 2/2 object types, 34 read")
    assert lines[-1] == "backfill: done; 34 objects read, 34 rows changed"
    assert len(lines) < 8, "a line a noun, not a line a page"
    terminal.desk.world.assert_right()
    write, read = ("mirror.read", "mirror.write"), ("mirror.read",)
    assert terminal.asked == [write, read]


async def test_without_an_account_an_operator_works_on_the_platform(terminal: Terminal) -> None:
    await terminal.printed("backfill")
    assert ("acct_platform", "operation backfill") in terminal.desk.world.checkpoints.kept


async def test_restart_reads_everything_again(terminal: Terminal) -> None:
    for arguments, asked in (((), 12), ((), 12), (("--restart",), 24)):
        await terminal.printed("backfill", *ACME, *arguments)
        assert len(terminal.desk.world.stripe.asked) == asked


async def test_detached_it_says_how_to_come_back_and_to_end_it(terminal: Terminal) -> None:
    terminal.desk.slow(5)
    printed = await terminal.printed("backfill", *ACME, "--restart", "--detach")
    assert "billing backfill --account acme --follow" in printed
    follow = asyncio.create_task(terminal.run("backfill", *ACME, "--follow"))
    await until(lambda: _true(len(terminal.asked) > 1))
    # Not by another command, since two at once would share one standard output here.
    await terminal.desk.call("CancelOperation", pb.CancelOperationRequest(kind=BACKFILL))
    result = await follow
    assert isinstance(result.exception, Refused)
    assert str(result.exception) == "backfill: was cancelled"
    assert terminal.desk.world.stored().options.restart


async def test_one_that_runs_is_ended(terminal: Terminal) -> None:
    terminal.desk.slow(5)
    await terminal.printed("backfill", *ACME, "--detach")
    assert await terminal.printed("backfill", *ACME, "--cancel") == "backfill: cancelled\n"
    assert terminal.desk.world.stored().ended
    assert terminal.asked[-1] == ("mirror.read", "mirror.write")


async def _true(holds: bool) -> bool:
    return holds


async def test_following_starts_nothing(terminal: Terminal) -> None:
    words = await terminal.refused("backfill", *ACME, "--follow")
    assert words.endswith("(NOT_FOUND)")
    assert not terminal.desk.world.checkpoints.kept


async def test_facts_are_rebuilt_apart_from_the_mirror(terminal: Terminal) -> None:
    printed = await terminal.printed("rebuild", "--facts", *ACME)
    assert "succeeded" in printed
    assert terminal.desk.world.stored(OperationKind.REBUILD_FACTS).ended
    words = await terminal.refused("rebuild", *ACME, "--cancel")
    assert words.endswith("(NOT_FOUND)")


async def test_only_one_of_three_at_once(terminal: Terminal) -> None:
    result = await terminal.run("rebuild", "--follow", "--cancel")
    assert result.exit_code == 2
    assert terminal.asked == []


async def test_why_it_failed_is_one_line(terminal: Terminal) -> None:
    async def where(name: str) -> None:
        if name == "stripe.page":
            raise FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "connect [it] again")

    terminal.desk.world.where = where
    assert await terminal.refused("rebuild", *ACME) == "rebuild: failed: connect [it] again"


async def test_one_with_other_options_is_not_started(terminal: Terminal) -> None:
    terminal.desk.slow(50)
    await terminal.printed("reconcile", *ACME, "--detach")
    words = await terminal.refused("reconcile", *ACME, "--repair")
    assert "a reconcile without options is running" in words
    assert words.endswith("(OPERATION_RUNNING)")


async def test_interrupted_it_leaves_it_running_and_says_how_to_come_back(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.desk.slow(2)

    start = MirrorCalls.start

    async def start_then_leave(self: Any, asked: Any) -> Any:
        await start(self, asked)
        raise asyncio.CancelledError  # as Ctrl-C does to what asyncio.run runs

    monkeypatch.setattr(MirrorCalls, "start", start_then_leave)
    printed = await terminal.printed("rebuild", *ACME, code=ExitCode.INTERRUPTED)
    assert "billing rebuild --account acme --follow" in printed
    assert "billing rebuild --account acme --cancel" in printed
    await until(lambda: _true(terminal.desk.world.stored(OperationKind.REBUILD).ended))
    terminal.desk.world.assert_right()


async def test_it_is_followed_over_the_ends_that_watches_have(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.desk.slow(1)
    watch, watched = MirrorCalls.watch, 0

    async def cut_off(self: Any, asked: Any) -> AsyncGenerator[pb.Operation, None]:
        nonlocal watched
        watched += 1
        terminal.port = 1 if watched in (2, 3) else terminal.desk.port  # nobody answers for a while
        told = 0
        async with aclosing(watch(self, asked)) as operations:
            async for operation in operations:
                yield operation
                told += 1
                if watched == 1 and told == 2:
                    return  # as a call that has lasted for an hour

    monkeypatch.setattr(MirrorCalls, "watch", cut_off)
    printed = await terminal.printed("backfill", *ACME)
    assert watched == 4
    assert printed.count("waits for the service to answer") == 1, "said once"
    assert "backfill: done; 34 objects read" in printed


async def test_a_service_that_is_gone_for_good_is_one_line(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MAX_SILENCES", 2)
    terminal.port = 1
    assert "the service does not answer" in await terminal.refused("backfill", *ACME)
    assert "the service does not answer" in await terminal.refused("backfill", *ACME, "--follow")


# --- reports ---------------------------------------------------------------------------------


async def spoil(desk: MirrorDesk, id_: str) -> None:
    """Let a row of the mirror say something else."""
    key = (CUSTOMERS.name, ACCOUNT, id_)
    row = desk.world.mirror.rows[key]
    assert row.snapshot is not None
    assert isinstance(row.snapshot.object, Customer)
    wrong = replace(row.snapshot, object=replace(row.snapshot.object, name="wrong"))
    desk.world.mirror.rows[key] = replace(row, snapshot=wrong)


async def test_a_reconciliation_ends_with_its_report(terminal: Terminal) -> None:
    await terminal.printed("backfill", *ACME)
    terminal.desk.world.time.clock.advance(hours=1)
    for number in range(FIRST_FINDINGS + 2):
        await spoil(terminal.desk, f"cus_{number:03}")
    printed = await terminal.printed("reconcile", *ACME, code=1)
    assert row(printed, "customer") == ["customer", "30", "0", "0", "12", "0"]
    assert row(printed, "all") == ["all", "34", "0", "0", "12", "0"]
    assert printed.count("│ different ") == FIRST_FINDINGS
    assert "12 rows are wrong and not mended" in printed
    (report,) = terminal.desk.world.reports.kept.values()
    assert f"billing reports {report.id} --account acme" in printed
    whole = await terminal.printed("reports", report.id, *ACME)
    assert whole.count("│ different ") == 12
    mended = await terminal.printed("reconcile", *ACME, "--repair")
    assert "the mirror is right; 12 rows were mended" in mended
    assert row(mended, "customer")[-1] == "12"
    right = await terminal.printed("reconcile", *ACME)
    assert right.splitlines()[-1] == "the mirror is right"


async def test_reports_are_listed(terminal: Terminal) -> None:
    finding = Finding("charge", "ch_1", Drift.EXTRA, (), repaired=True)
    for number in range(3):
        await terminal.desk.world.reports.put(
            Report(
                f"r{number}", ACCOUNT, ReportKind.REBUILD, True,
                NOON + dt.timedelta(seconds=number), NOON + dt.timedelta(minutes=1),
                (NounCounts("charge", 1_234, extra=1, repaired=1),), (finding,),
            )
        )  # fmt: skip
    printed = await terminal.printed("reports", *ACME)
    start = "2026-11-02 12:00:02Z"
    assert row(printed, "r2") == ["r2", start, "1", "1"]
    assert row(printed, "rebuild") == ["rebuild", "2026-11-02 12:01:00Z", "", ""]
    assert "2026-11-02 12:01:00Z" in printed
    assert printed.index("r2") < printed.index("r0")
    assert "there are more" in await terminal.printed("reports", *ACME, "--limit", "2")
    shown = await terminal.printed("reports", "r0", *ACME)
    assert row(shown, "charge") == ["charge", "1,234", "0", "1", "0", "1"]
    assert row(shown, "ch_1") == ["ch_1", "", ""]
    assert row(shown, "charge")[1:] == ["1,234", "0", "1", "0", "1"]
    assert "not at Stripe, mended" in shown
    assert (await terminal.refused("reports", "nothing", *ACME)).endswith("(NOT_FOUND)")
    assert terminal.asked[0] == ("mirror.read",)


async def test_what_is_not_understood_is_named_everywhere(terminal: Terminal) -> None:
    terminal.desk.world.stripe.odd = {"cus_003"}
    why = "currency: three lower-case letters are needed"
    done = await terminal.printed("backfill", *ACME)
    assert row(done, "customer") == ["customer", why]
    assert row(done, "cus_003") == ["cus_003", ""]
    assert "1 object at Stripe is not understood; its row stays as it is" in done
    terminal.desk.world.time.clock.advance(hours=1)
    compared = await terminal.printed("reconcile", *ACME)
    assert row(compared, "all") == ["all", "33", "0", "0", "0", "0", "1"]
    assert compared.splitlines()[-1] == "the mirror is right, but for what is not understood"
    for printed in (compared, await terminal.printed("status", *ACME)):
        assert row(printed, "cus_003") == ["cus_003", ""]
        assert why in printed


async def test_a_noun_that_was_not_read_to_its_end_is_no_success(terminal: Terminal) -> None:
    async def where(name: str) -> None:
        asked = terminal.desk.world.stripe.asked
        if name == "stripe.page" and asked[-1][0] == CUSTOMERS.name and len(asked) > 2:
            raise NotUnderstood("customer", "", "no id can be read")

    terminal.desk.world.where = where
    done = await terminal.printed("backfill", *ACME, code=1)
    assert "no id can be read; what is older was not listed" in " ".join(done.split())


async def test_the_status_is_a_table(terminal: Terminal) -> None:
    await terminal.printed("backfill", *ACME)
    terminal.desk.standing.return_value = Standing(NOON)
    printed = await terminal.printed("status", *ACME)
    assert row(printed, "Stripe account")[1] == ACCOUNT
    assert row(printed, "data through")[1] == "2026-11-02 12:00:00Z"
    assert row(printed, "events")[1] == "0 pending, 0 dead, 0 waiting for an account"
    assert row(printed, "backfill")[:2] == ["backfill", "succeeded"]
    assert row(printed, "customer") == ["customer", "30"]
    assert "all accounts" not in printed
    terminal.desk.standing.return_value = Standing(None)
    everything = await terminal.printed("status")
    assert row(everything, "data through")[1] == "not known yet"
    assert "events of all accounts" in everything


async def test_the_status_shows_a_gap_and_why_it_is_not_mended_yet(terminal: Terminal) -> None:
    end = NOON + dt.timedelta(hours=1)
    for gap, words in (
        (Gap(NOON, end, mending=False), "mending begins at the next poll"),
        (Gap(NOON, end, mending=True), "it is being mended"),
        (Gap(None, end, mending=True, error="Stripe is away"), "mending waits: Stripe is away"),
    ):
        terminal.desk.standing.return_value = Standing(gap.start, gap)
        printed = " ".join((await terminal.printed("status", *ACME)).replace("│", " ").split())
        assert "to 2026-11-02 13:00:00Z may be missing" in printed
        assert words in printed
        assert ("from 2026-11-02 12:00:00Z" in printed) == (gap.start is not None)


def test_an_operation_that_waits_says_why() -> None:
    printed = drawn(pb.Operation(state=pb.Operation.STATE_PENDING))
    assert "waits until a process has room for it" in printed


async def test_an_account_that_is_none_is_not_found(terminal: Terminal) -> None:
    words = await terminal.refused("status", "--account", "nobody")
    assert words == (
        "no account nobody; billing accounts list shows those that there are (NOT_FOUND)"
    )


async def test_what_a_table_tells_json_tells(terminal: Terminal) -> None:
    result = json.loads((await terminal.run("backfill", *ACME, "--json")).stdout)
    assert result["operation"]["state"] == "STATE_SUCCEEDED"
    assert result["operation"]["progress"]["read_count"] == "34"
    assert result["report"] is None
    terminal.desk.world.time.clock.advance(hours=1)
    await spoil(terminal.desk, "cus_003")
    compared = json.loads(await terminal.json("reconcile", *ACME, code=1))
    assert compared["report"]["findings"][0]["id"] == "cus_003"
    listed = json.loads(await terminal.json("reports", *ACME))
    assert [one["id"] for one in listed["reports"]] == [compared["report"]["id"]]
    one = json.loads(await terminal.json("reports", compared["report"]["id"], *ACME))
    assert one["counts"] == compared["report"]["counts"]
    status = json.loads(await terminal.json("status", *ACME))
    assert {"noun": "customer", "count": "30"} in status["rows"]


async def test_without_reports_it_says_so(terminal: Terminal) -> None:
    printed = await terminal.printed("reports", *ACME)
    assert printed == "no reports: billing reconcile --account acme makes one\n"


# --- bars ------------------------------------------------------------------------------------


def operation(**progress: Any) -> pb.Operation:
    reached = Timestamp()
    reached.FromDatetime(NOON)
    return pb.Operation(
        state=pb.Operation.STATE_RUNNING,
        progress=pb.OperationProgress(
            phase="read", noun="charge", nouns_done=1, nouns_total=4, read_count=12_345,
            changed_count=67, rate=89.4, reached_time=reached, **progress,
        ),
    )  # fmt: skip


def drawn(*operations: pb.Operation) -> str:
    """What bars leave on a terminal of 80 columns."""
    console = Console(
        record=True, force_terminal=True, width=80, color_system=None, markup=False,
        highlight=False, file=io.StringIO(), _environ={"TERM": "xterm"},
    )  # fmt: skip
    with Bars(console) as bars:
        for one in operations:
            bars.show(one)
    return console.export_text()


def test_bars_show_how_far_it_has_come() -> None:
    text = drawn(operation(drifted_count=3))
    assert "1/4 reading charge" in text
    assert "12,345 read, 89/s, 67 changed, 3 wrong, back to 2026-11-02" in text


def test_what_it_waits_for_is_shown_once() -> None:
    waiting = operation()
    waiting.error_message = "Stripe takes [no] more"
    waiting.next_try_time.FromDatetime(NOON)
    words = "waits until 2026-11-02 12:00:00Z: Stripe takes [no] more"
    assert drawn(waiting, waiting, waiting).count(words) == 1
    assert drawn(waiting, operation(), waiting).count(words) == 2
    lines = Console(record=True, width=80, markup=False, highlight=False, file=io.StringIO())
    with Lines(lines) as shown:
        for _ in range(3):
            shown.show(waiting)
    (line,) = lines.export_text().splitlines()
    assert line.endswith(words)


# --- proofs ----------------------------------------------------------------------------------


def proof(*differences: Difference, banked: int = 3) -> Report:
    checked = {Check.PARTS: 1_200, Check.BANK: banked}
    counts = tuple(
        CheckCount(check, checked.get(check, 0), sum(each.check is check for each in differences))
        for check in Check
    )
    return Report(
        "p1", ACCOUNT, ReportKind.PROOF, False, NOON, NOON, (), checks=counts,
        differences=differences,
    )  # fmt: skip


async def test_books_that_hold_are_proved(terminal: Terminal) -> None:
    lines = (await terminal.printed("prove", *ACME)).splitlines()
    assert lines[-2] == (
        "the bank: no two balances are known yet that rows could make the difference of"
    )
    assert lines[-1] == "the books hold"
    document = json.loads(await terminal.json("prove", *ACME))
    assert document["report"]["kind"] == "KIND_PROOF"
    assert document["report"]["difference_count"] == "0"
    assert document["operation"]["kind"] == "KIND_PROOF"


def test_a_proof_shows_up_to_when_it_has_come() -> None:
    printed = io.StringIO()
    progress = pb.OperationProgress(
        phase="prove", noun="payout", nouns_done=1, nouns_total=2, read_count=7, drifted_count=2,
        reached_time=Timestamp(seconds=1_772_000_000),
    )  # fmt: skip
    operation = pb.Operation(state=pb.Operation.STATE_RUNNING, progress=progress)
    Lines(Console(file=printed, width=200)).show(operation)
    assert printed.getvalue() == (
        "proving payout, 1/2 object types, 7 read, 2 wrong, up to 2026-02-25\n"
    )


async def test_differences_are_named_and_the_code_says_so(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = [Difference(Check.PARTS, f"txn_{n}", "usd", 5, None) for n in range(FIRST_FINDINGS)]
    bank = Difference(Check.BANK, "the beginning to 2026-03-03T00:00:00Z", "jpy", 14_000, 14_200)
    report = replace(proof(bank, *wrong), id="p2")

    async def told(*_: object) -> pb.MirrorReport:
        return report_message(report, findings=True)

    monkeypatch.setattr(MirrorCalls, "report", told)
    printed = await terminal.printed("prove", *ACME, code=ExitCode.FAILED)
    assert row(printed, "it ties to the bank") == ["it ties to the bank", "3", "1"]
    assert row(printed, "amount less fee is net") == ["amount less fee is net", "1,200", "10"]
    assert "the beginning to 2026-03-03T00:00:00Z" in printed
    assert "14,000 JPY" in printed
    lines = printed.splitlines()
    assert lines[-3:] == [
        "the bank: 1 of 3 steps from one balance to the next do not tie",
        "11 differences: the books do not hold",
        "all of it:  billing reports p2 --account acme",
    ]
    assert printed.count("txn_") == FIRST_FINDINGS - 1


async def test_a_bank_that_ties_is_a_line(terminal: Terminal) -> None:
    await terminal.desk.world.reports.put(proof())
    printed = await terminal.printed("reports", "p1", *ACME)
    assert printed.splitlines()[-2:] == [
        "the bank: ties, all 3 steps from one balance to the next",
        "the books hold",
    ]
    await terminal.desk.world.reports.put(proof(Difference(Check.PAYOUTS, "po_1", "usd", 0, 4)))
    listed = await terminal.printed("reports", *ACME)
    assert "proof" in listed
