"""An operation from its start to its end, as a command follows it."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import grpc
import typer
from billing_client.v1 import mirror_service_pb2 as pb

from interfaces.cli.client import run
from interfaces.cli.exits import ExitCode, Refused
from interfaces.cli.mirror.calls import Asked, MirrorCalls
from interfaces.cli.mirror.progress import Lines, Shown, shown_on, word
from interfaces.cli.mirror.reports import is_cut_off, print_not_understood, print_report
from interfaces.cli.output import console, counted, error_console, print_json, say

PAUSE_SECONDS: Final = 2.0
MAX_SILENCES: Final = 150
"""How often in a row a watch may end without a word: about as long as a process takes to return."""

FIRST_FINDINGS: Final = 10

_ENDS: Final = (
    pb.Operation.STATE_SUCCEEDED, pb.Operation.STATE_FAILED, pb.Operation.STATE_CANCELLED,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a command is to do instead of starting an operation and following it to its end."""

    detach: bool
    follow: bool
    cancel: bool
    as_json: bool


def operate(calls: MirrorCalls, asked: Asked, wanted: Wanted) -> None:
    """Start an operation and follow it to its end, or what else is wanted."""
    if wanted.detach + wanted.follow + wanted.cancel > 1:
        raise typer.BadParameter("only one of --detach, --follow, --cancel")
    if wanted.cancel:
        operation = run(calls.cancel(asked))
        words = f"{asked.name}: {word(pb.Operation.State.Name(operation.state))}"
        _tell(operation, words, as_json=wanted.as_json)
    elif wanted.detach:
        operation = run(calls.start(asked))
        words = f"{asked.name}: started. Follow it:  {asked.again('--follow')}"
        _tell(operation, words, as_json=wanted.as_json)
    else:
        operation = _followed(calls, asked, start=not wanted.follow, as_json=wanted.as_json)
        _conclude(calls, asked, operation, as_json=wanted.as_json)


def _tell(operation: pb.Operation, words: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"operation": operation})
    else:
        say(words)


def _followed(calls: MirrorCalls, asked: Asked, *, start: bool, as_json: bool) -> pb.Operation:
    """The operation once it has ended; an interruption leaves it running and says so."""
    shown = Lines(error_console()) if as_json else shown_on(console())
    try:
        return run(_follow(calls, asked, shown, start=start))
    except typer.Exit as interrupted:
        if interrupted.exit_code == ExitCode.INTERRUPTED and not as_json:
            say(f"{asked.name}: goes on without you.")
            say(f"  follow it:  {asked.again('--follow')}")
            say(f"  end it:     {asked.again('--cancel')}")
        raise


async def _follow(calls: MirrorCalls, asked: Asked, shown: Shown, *, start: bool) -> pb.Operation:
    if start:
        await calls.start(asked)
    silences = 0
    with shown:
        while True:
            try:
                async with aclosing(calls.watch(asked)) as operations:
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
    if isinstance(error, Refused):
        return error.code is ExitCode.NO_ANSWER
    return error.code() is grpc.StatusCode.UNAVAILABLE


def _conclude(calls: MirrorCalls, asked: Asked, operation: pb.Operation, *, as_json: bool) -> None:
    """Say how it ended; exit code 1 where it did not do all that was asked for."""
    named = operation.report_id
    report = run(calls.report(asked.account, named)) if named else None
    if as_json:
        print_json({"operation": operation, "report": report})
    if operation.state == pb.Operation.STATE_FAILED:
        raise Refused(f"{asked.name}: failed: {operation.error_message}")
    if operation.state == pb.Operation.STATE_CANCELLED:
        raise Refused(f"{asked.name}: was cancelled")
    if not as_json and report is not None:
        _print_report(asked, report)
    elif not as_json:
        _print_counts(asked, operation.progress)
    if not _did_all(operation, report):
        raise typer.Exit(ExitCode.FAILED)


def _print_counts(asked: Asked, progress: pb.OperationProgress) -> None:
    read, changed = counted(progress.read_count, "object"), counted(progress.changed_count, "row")
    say(f"{asked.name}: done; {read} read, {changed} changed")
    print_not_understood(progress.not_understood, progress.not_understood_count)


def _print_report(asked: Asked, report: pb.MirrorReport) -> None:
    account = f" --account {asked.account}" if asked.account else ""
    print_report(report, FIRST_FINDINGS, f"billing reconcile{account} --repair")
    shown = len(report.findings[:FIRST_FINDINGS]) + len(report.differences[:FIRST_FINDINGS])
    if report.drifted_count + report.difference_count > shown:
        say(f"all of it:  billing reports {report.id}{account}")


def _did_all(operation: pb.Operation, report: pb.MirrorReport | None) -> bool:
    """Whether the mirror is as it was to be, and the books hold."""
    if report is None:
        return not is_cut_off(operation.progress.not_understood)
    if report.difference_count:
        return False
    return report.drifted_count <= report.repaired_count and not is_cut_off(report.not_understood)
