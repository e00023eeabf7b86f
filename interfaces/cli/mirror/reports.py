"""`billing reports`, and a report as commands print it."""

from collections.abc import Sequence
from typing import Annotated

import typer
from billing_client.v1 import mirror_service_pb2 as pb

from interfaces.cli.client import Reach, run
from interfaces.cli.mirror.calls import MirrorCalls
from interfaces.cli.mirror.options import AccountOption
from interfaces.cli.mirror.proof_tables import print_proof
from interfaces.cli.mirror.tables import (
    findings_table,
    not_understood_table,
    report_table,
    reports_table,
)
from interfaces.cli.output import JsonOption, are, counted, print_json, print_table, say
from interfaces.cli.target import Target, asks


def add_reports(app: typer.Typer, reach: Reach) -> None:
    """Add `reports`."""

    @app.command()
    @asks
    def reports(
        target: Target,
        report: Annotated[str, typer.Argument(help="Id of a report, to see all of it.")] = "",
        account: AccountOption = "",
        limit: Annotated[int, typer.Option(min=1, max=100, help="How many at most.")] = 20,
        as_json: JsonOption = False,
    ) -> None:
        """List the reports of comparisons and proofs, the last one first, or show one."""
        calls, named = MirrorCalls(reach(target)), f" --account {account}" if account else ""
        if report:
            found = run(calls.report(account, report))
            if as_json:
                print_json(found)
                return
            most = max(len(found.findings), len(found.differences))
            print_report(found, most, f"billing reconcile{named} --repair")
            return
        page = run(calls.reports(account, limit))
        if as_json:
            print_json(page)
            return
        if not page.reports:
            say(f"no reports: billing reconcile{named} makes one")
            return
        print_table(reports_table(page.reports))
        if page.next_page_token:
            say("there are more: raise --limit")


def print_report(report: pb.MirrorReport, findings: int, mend: str) -> None:
    """What a comparison found, and so many of the rows; `mend` is the command that mends them."""
    if report.kind == pb.MirrorReport.KIND_PROOF:
        print_proof(report, findings)
        return
    print_table(report_table(report))
    if report.findings[:findings]:
        print_table(findings_table(report.findings[:findings]))
    print_not_understood(report.not_understood, report.not_understood_count)
    left = report.drifted_count - report.repaired_count
    if left > 0:
        pronoun = "it" if left == 1 else "them"
        say(f"{counted(left, 'row')} {are(left)} wrong and not mended: {mend} mends {pronoun}")
        return
    count = report.repaired_count
    verb = "was" if count == 1 else "were"
    mended = f"; {counted(count, 'row')} {verb} mended" if count else ""
    but = ", but for what is not understood" if report.not_understood_count else ""
    say(f"the mirror is right{but}{mended}")


def print_not_understood(objects: Sequence[pb.NotUnderstood], count: int) -> None:
    """Name what was not understood, if there was anything."""
    if count:
        print_table(not_understood_table(objects))
        rows = "its row stays as it is" if count == 1 else "their rows stay as they are"
        say(f"{counted(count, 'object')} at Stripe {are(count)} not understood; {rows}")


def is_cut_off(objects: Sequence[pb.NotUnderstood]) -> bool:
    """Whether some object type was not read to its end."""
    return any(odd.ends_noun for odd in objects)
