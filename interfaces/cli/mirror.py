"""The mirror of Stripe, kept whole: `billing backfill|reconcile|rebuild|reports|status`."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

import grpc
import typer
from billing_client.v1 import mirror_service_pb2 as pb
from billing_client.v1 import mirror_service_pb2_grpc as pb_grpc
from rich.console import Console

from application.requests.callers import OPERATOR
from interfaces.cli.client import INTERRUPTED, Connect, Refused, run
from interfaces.cli.mirror_tables import (
    findings_table,
    not_understood_table,
    report_table,
    reports_table,
    status_tables,
)
from interfaces.cli.progress import Shown, shown_on, word

PAUSE_SECONDS: Final = 2.0
MAX_SILENCES: Final = 150
"""How often in a row a watch may end without a word: about as long as a process takes to return."""

FIRST_FINDINGS: Final = 10

_READ: Final = ("mirror.read",)
_WRITE: Final = ("mirror.read", "mirror.write")
_ENDS: Final = (
    pb.Operation.STATE_SUCCEEDED, pb.Operation.STATE_FAILED, pb.Operation.STATE_CANCELLED,
)  # fmt: skip

AccountOption: TypeAlias = Annotated[
    str, typer.Option("--account", help="Whose mirror; else, as an operator, the platform's own.")
]
DetachOption: TypeAlias = Annotated[
    bool, typer.Option("--detach", help="Start it and come back at once.")
]
FollowOption: TypeAlias = Annotated[
    bool, typer.Option("--follow", help="Start nothing, follow the one that there is.")
]
CancelOption: TypeAlias = Annotated[bool, typer.Option("--cancel", help="End the one that runs.")]

_Start: TypeAlias = pb.StartBackfillRequest | pb.StartReconciliationRequest | pb.StartRebuildRequest


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a command is asked to do. `name` is its own."""

    name: str
    kind: pb.Operation.Kind.ValueType
    account: str
    start: _Start

    def again(self, option: str) -> str:
        """The command that comes back to it."""
        account = f" --account {self.account}" if self.account else ""
        return f"billing {self.name}{account} {option}"


def add_mirror_commands(app: typer.Typer, connect: Connect) -> None:
    """Add the commands to an app, on the service that `connect` leads to."""
    service = _Service(connect)

    @app.command()
    def backfill(
        account: AccountOption = "",
        restart: Annotated[
            bool, typer.Option("--restart", help="Read everything again, not only what is left.")
        ] = False,
        detach: DetachOption = False,
        follow: FollowOption = False,
        cancel: CancelOption = False,
    ) -> None:
        """Read all that Stripe holds into the mirror."""
        start = pb.StartBackfillRequest(restart=restart)
        asked = _Asked("backfill", pb.Operation.KIND_BACKFILL, account, start)
        _operate(service, asked, detach=detach, follow=follow, cancel=cancel)

    @app.command()
    def reconcile(
        account: AccountOption = "",
        repair: Annotated[bool, typer.Option("--repair", help="Mend what is wrong.")] = False,
        detach: DetachOption = False,
        follow: FollowOption = False,
        cancel: CancelOption = False,
    ) -> None:
        """Compare the mirror with Stripe; exit code 1 where it is wrong and not mended."""
        start = pb.StartReconciliationRequest(repair=repair)
        asked = _Asked("reconcile", pb.Operation.KIND_RECONCILIATION, account, start)
        _operate(service, asked, detach=detach, follow=follow, cancel=cancel)

    @app.command()
    def rebuild(
        account: AccountOption = "",
        detach: DetachOption = False,
        follow: FollowOption = False,
        cancel: CancelOption = False,
    ) -> None:
        """Make the mirror anew beside the present one, and mend that by it."""
        asked = _Asked("rebuild", pb.Operation.KIND_REBUILD, account, pb.StartRebuildRequest())
        _operate(service, asked, detach=detach, follow=follow, cancel=cancel)

    @app.command()
    def reports(
        report: Annotated[str, typer.Argument(help="Id of a report, to see all of it.")] = "",
        account: AccountOption = "",
        limit: Annotated[int, typer.Option(min=1, max=100, help="How many at most.")] = 20,
    ) -> None:
        """List the reports of comparisons, the last one first, or show one."""
        console = _console()
        if report:
            found = run(service.report(account, report))
            _print_report(console, found, len(found.findings))
            return
        page = run(service.reports(account, limit))
        console.print(reports_table(page.reports))
        if page.next_page_token:
            _say(console, "there are more: raise --limit")

    @app.command()
    def status(account: AccountOption = "") -> None:
        """Show how current the mirror is, what waits, and what it holds."""
        console = _console()
        for table in status_tables(run(service.status(account))):
            console.print(table)


def _operate(
    service: "_Service", asked: _Asked, *, detach: bool, follow: bool, cancel: bool
) -> None:
    """Start an operation and follow it to its end, or what else is asked for."""
    if detach + follow + cancel > 1:
        raise typer.BadParameter("only one of --detach, --follow, --cancel")
    console = _console()
    if cancel:
        state = run(service.cancel(asked)).state
        _say(console, f"{asked.name}: {word(pb.Operation.State.Name(state))}")
    elif detach:
        run(service.start(asked))
        _say(console, f"{asked.name}: started. Follow it:  {asked.again('--follow')}")
    else:
        _conclude(service, asked, console, _followed(service, asked, console, start=not follow))


def _followed(service: "_Service", asked: _Asked, console: Console, *, start: bool) -> pb.Operation:
    """The operation once it has ended; an interruption leaves it running and says so."""
    try:
        return run(_follow(service, asked, shown_on(console), start=start))
    except typer.Exit as interrupted:
        if interrupted.exit_code == INTERRUPTED:
            _say(console, f"{asked.name}: goes on without you.")
            _say(console, f"  follow it:  {asked.again('--follow')}")
            _say(console, f"  end it:     {asked.again('--cancel')}")
        raise


async def _follow(service: "_Service", asked: _Asked, shown: Shown, *, start: bool) -> pb.Operation:
    if start:
        await service.start(asked)
    silences = 0
    with shown:
        while True:
            try:
                async with aclosing(service.watch(asked)) as operations:
                    async for operation in operations:
                        silences = 0
                        shown.show(operation)
                        if operation.state in _ENDS:
                            return operation
            except (grpc.aio.AioRpcError, Refused) as error:
                # The service ends every watch in time, and may be started anew meanwhile.
                silences += 1
                if not _may_pass(error) or silences > MAX_SILENCES:
                    raise
                shown.say("waits for the service to answer")
            await asyncio.sleep(PAUSE_SECONDS)


def _may_pass(error: grpc.aio.AioRpcError | Refused) -> bool:
    """Whether a watch may be begun again: the service is away, or about to be."""
    return isinstance(error, Refused) or error.code() is grpc.StatusCode.UNAVAILABLE


def _conclude(
    service: "_Service", asked: _Asked, console: Console, operation: pb.Operation
) -> None:
    """Say how it ended; exit code 1 where it did not do all that was asked for."""
    if operation.state == pb.Operation.STATE_FAILED:
        raise Refused(f"{asked.name}: failed: {operation.error_message}")
    if operation.state == pb.Operation.STATE_CANCELLED:
        raise Refused(f"{asked.name}: was cancelled")
    if not operation.report_id:
        progress = operation.progress
        counts = f"{progress.read_count:,} objects read, {progress.changed_count:,} rows changed"
        _say(console, f"{asked.name}: done; {counts}")
        _print_not_understood(console, progress.not_understood, progress.not_understood_count)
        if _is_cut_off(progress.not_understood):
            raise typer.Exit(1)
        return
    report = run(service.report(asked.account, operation.report_id))
    _print_report(console, report, FIRST_FINDINGS)
    if report.drifted_count > len(report.findings[:FIRST_FINDINGS]):
        account = f" --account {asked.account}" if asked.account else ""
        _say(console, f"all of it:  billing reports {report.id}{account}")
    if report.drifted_count > report.repaired_count or _is_cut_off(report.not_understood):
        raise typer.Exit(1)


def _is_cut_off(objects: Sequence[pb.NotUnderstood]) -> bool:
    """Whether some noun was not read to its end."""
    return any(one.ends_noun for one in objects)


def _print_not_understood(
    console: Console, objects: Sequence[pb.NotUnderstood], count: int
) -> None:
    """Name what was not understood, if there was anything."""
    if count:
        console.print(not_understood_table(objects))
        _say(
            console, f"{count:,} objects at Stripe are not understood; their rows stay as they are"
        )


def _print_report(console: Console, report: pb.MirrorReport, findings: int) -> None:
    console.print(report_table(report))
    if report.findings:
        console.print(findings_table(report.findings[:findings]))
    _print_not_understood(console, report.not_understood, report.not_understood_count)
    if report.drifted_count > report.repaired_count:
        left = report.drifted_count - report.repaired_count
        _say(
            console,
            f"{left:,} rows are wrong and not mended: billing reconcile --repair mends them",
        )
    else:
        mended = f"; {report.repaired_count:,} rows were mended" if report.repaired_count else ""
        but = ", but for what is not understood" if report.not_understood_count else ""
        _say(console, f"the mirror is right{but}{mended}")


def _console() -> Console:
    """Where a command prints; in ids and messages nothing is markup, or stands for an emoji."""
    return Console(highlight=False, markup=False, emoji=False)


def _say(console: Console, words: str) -> None:
    console.print(words, soft_wrap=True)


class _Service:
    """The calls, each on a channel of its own. An empty account is an operator's."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    @asynccontextmanager
    async def _stub(
        self, account: str, scopes: Sequence[str]
    ) -> AsyncGenerator["pb_grpc.MirrorServiceAsyncStub", None]:
        async with self._connect(account or OPERATOR, scopes) as channel:
            yield pb_grpc.MirrorServiceStub(channel)

    async def start(self, asked: _Asked) -> pb.Operation:
        """Start it, or learn of the same that runs."""
        async with self._stub(asked.account, _WRITE) as stub:
            match asked.start:
                case pb.StartBackfillRequest():
                    return await stub.StartBackfill(asked.start)
                case pb.StartReconciliationRequest():
                    return await stub.StartReconciliation(asked.start)
                case _:
                    return await stub.StartRebuild(asked.start)

    async def watch(self, asked: _Asked) -> AsyncGenerator[pb.Operation, None]:
        async with self._stub(asked.account, _READ) as stub:
            async for operation in stub.WatchOperation(pb.WatchOperationRequest(kind=asked.kind)):
                yield operation

    async def cancel(self, asked: _Asked) -> pb.Operation:
        async with self._stub(asked.account, _WRITE) as stub:
            return await stub.CancelOperation(pb.CancelOperationRequest(kind=asked.kind))

    async def reports(self, account: str, limit: int) -> pb.ListReportsResponse:
        async with self._stub(account, _READ) as stub:
            return await stub.ListReports(pb.ListReportsRequest(page_size=limit))

    async def report(self, account: str, report: str) -> pb.MirrorReport:
        async with self._stub(account, _READ) as stub:
            return await stub.GetReport(pb.GetReportRequest(id=report))

    async def status(self, account: str) -> pb.MirrorStatus:
        async with self._stub(account, _READ) as stub:
            return await stub.GetMirrorStatus(pb.GetMirrorStatusRequest())
