"""Reports and the mirror's status as tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from billing_client.v1 import mirror_service_pb2 as pb
from rich.table import Table
from rich.text import Text

from interfaces.cli.mirror.progress import hindrance, word
from interfaces.cli.output import facts_table, table_of
from interfaces.cli.times import shown

_COUNTS = ("compared", "missing", "extra", "different", "repaired")
_ODD = ("not_understood",)
_COUNTED: Final[Mapping[str, str]] = {
    "extra": "not at Stripe", "repaired": "mended", "not_understood": "not understood",
}  # fmt: skip
"""What the counts of a report are called, where it is not the field's own name."""


_OBJECT: Final = "object type\nid"


def report_table(report: pb.MirrorReport) -> Table:
    """What a comparison found, a line for each noun and one for all."""
    counts = (*_COUNTS, *(_ODD if report.not_understood_count else ()))
    table = table_of(
        "object type", numbers=[_COUNTED.get(name, name) for name in counts], footer=True
    )
    rows = [[getattr(one, f"{name}_count") for name in counts] for one in report.counts]
    for one, row in zip(report.counts, rows, strict=True):
        table.add_row(one.noun, *map(_number, row))
    table.columns[0].footer = "all"
    for column, values in zip(table.columns[1:], zip(*rows, strict=True), strict=False):
        column.footer = _number(sum(values))
    return table


def findings_table(findings: Sequence[pb.Finding]) -> Table:
    """Rows that were wrong, two lines each: ids are whole in 80 columns, to be copied."""
    table = table_of(_OBJECT, "what is wrong", "fields", ids=(_OBJECT,))
    for finding in findings:
        drift = word(pb.Finding.Drift.Name(finding.drift))
        mended = ", mended" if finding.repaired else ""
        table.add_row(
            Text(f"{finding.noun}\n{finding.id}"),
            f"{_COUNTED.get(drift, drift)}{mended}",
            ", ".join(finding.fields),
        )
    return table


def not_understood_table(objects: Sequence[pb.NotUnderstood]) -> Table:
    """Objects at Stripe that are not understood, and types that ended at a whole page of them."""
    table = table_of(_OBJECT, "not understood", ids=(_OBJECT,))
    for odd in objects:
        rest = "; what is older was not listed" if odd.ends_noun else ""
        table.add_row(Text(f"{odd.noun}\n{odd.id}"), f"{odd.why}{rest}")
    return table


def reports_table(reports: Sequence[pb.MirrorReport]) -> Table:
    """A list of reports."""
    columns = ("report\nkind", "started\nfinished")
    table = table_of(*columns, ids=columns, numbers=("wrong", "mended"))
    for report in reports:
        kind = word(pb.MirrorReport.Kind.Name(report.kind))
        times = f"{shown(report.start_time)}\n{shown(report.finish_time)}"
        table.add_row(
            Text(f"{report.id}\n{kind}"), times,
            _number(report.drifted_count + report.difference_count), _number(report.repaired_count),
        )  # fmt: skip
    return table


def status_tables(status: pb.MirrorStatus) -> Iterator[Table]:
    """How a mirror stands: what is current, what waits, what was done last, what it holds."""
    yield facts_table(_standing(status))
    if status.operations:
        yield _operations_table(status.operations)
        odd = {
            (one.noun, one.id): one
            for operation in status.operations
            for one in operation.progress.not_understood
        }
        if odd:
            yield not_understood_table(list(odd.values()))
    rows = table_of("object type", numbers=("rows",))
    for one in status.rows:
        rows.add_row(one.noun, _number(one.count))
    yield rows


def _standing(status: pb.MirrorStatus) -> Iterator[tuple[str, str]]:
    """The facts of a mirror, by name."""
    through = shown(status.data_through) if status.HasField("data_through") else "not known yet"
    yield "Stripe account", status.stripe_account
    yield "data through", through
    if status.HasField("gap"):
        yield "gap", _gap(status.gap)
    yield "events", _backlog(status.backlog)
    if status.HasField("total_backlog"):
        yield "events of all accounts", _backlog(status.total_backlog)


def _gap(gap: pb.MirrorGap) -> str:
    """Which events are missing, and what is done about it."""
    since = f"from {shown(gap.start_time)} " if gap.HasField("start_time") else ""
    lost = f"events {since}to {shown(gap.end_time)} may be missing: Stripe lists them no more"
    if gap.error_message:
        return f"{lost}; mending waits: {gap.error_message}"
    if gap.mending:
        return f"{lost}; it is being mended: all objects are read, then compared"
    return f"{lost}; mending begins at the next poll, within minutes"


def _operations_table(operations: Sequence[pb.Operation]) -> Table:
    times = "asked for\nended"
    table = table_of("operation", "state", times, "why it waits or failed", ids=(times,))
    for operation in operations:
        ended = shown(operation.finish_time) if operation.HasField("finish_time") else ""
        table.add_row(
            word(pb.Operation.Kind.Name(operation.kind)),
            word(pb.Operation.State.Name(operation.state)),
            f"{shown(operation.request_time)}\n{ended}".rstrip(),
            hindrance(operation),
        )
    return table


def _backlog(backlog: pb.EventBacklog) -> str:
    return (
        f"{backlog.pending_count:,} pending, {backlog.dead_count:,} dead, "
        f"{backlog.parked_count:,} waiting for an account"
    )


def _number(value: int) -> str:
    return f"{value:,}"
