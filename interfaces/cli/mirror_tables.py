"""Reports and the mirror's status as tables."""

from collections.abc import Iterator, Sequence

from billing_client.v1 import mirror_service_pb2 as pb
from rich.table import Table

from interfaces.cli.progress import hindrance, instant, word

_COUNTS = ("compared", "missing", "extra", "different", "repaired")
_ODD = ("not_understood",)


def report_table(report: pb.MirrorReport) -> Table:
    """What a comparison found, a line for each noun and one for all."""
    counts = (*_COUNTS, *(_ODD if report.not_understood_count else ()))
    table = _table("noun", numbers=[name.replace("_", " ") for name in counts], footer=True)
    rows = [[getattr(one, f"{name}_count") for name in counts] for one in report.counts]
    for one, row in zip(report.counts, rows, strict=True):
        table.add_row(one.noun, *map(_number, row))
    table.columns[0].footer = "all"
    for column, values in zip(table.columns[1:], zip(*rows, strict=True), strict=False):
        column.footer = _number(sum(values))
    return table


def findings_table(findings: Sequence[pb.Finding]) -> Table:
    """Rows that were wrong."""
    table = _table("noun", "id", "drift", "fields", "repaired")
    for one in findings:
        drift = word(pb.Finding.Drift.Name(one.drift))
        repaired = "yes" if one.repaired else "no"
        table.add_row(one.noun, one.id, drift, ", ".join(one.fields), repaired)
    return table


def not_understood_table(objects: Sequence[pb.NotUnderstood]) -> Table:
    """Objects at Stripe that are not understood, and nouns that ended at a whole page of them."""
    table = _table("noun", "id", "not understood")
    for one in objects:
        rest = "; what is older was not listed" if one.ends_noun else ""
        table.add_row(one.noun, one.id, f"{one.why}{rest}")
    return table


def reports_table(reports: Sequence[pb.MirrorReport]) -> Table:
    """A list of reports."""
    table = _table("report", "kind", "started\nfinished", numbers=("wrong", "repaired"))
    for one in reports:
        kind = word(pb.MirrorReport.Kind.Name(one.kind))
        times = f"{instant(one.start_time)}\n{instant(one.finish_time)}"
        table.add_row(one.id, kind, times, _number(one.drifted_count), _number(one.repaired_count))
    return table


def status_tables(status: pb.MirrorStatus) -> Iterator[Table]:
    """How a mirror stands: what is current, what waits, what was done last, what it holds."""
    yield _facts_table(status)
    if status.operations:
        yield _operations_table(status.operations)
        odd = {
            (one.noun, one.id): one
            for operation in status.operations
            for one in operation.progress.not_understood
        }
        if odd:
            yield not_understood_table(list(odd.values()))
    rows = _table("noun", numbers=("rows",))
    for one in status.rows:
        rows.add_row(one.noun, _number(one.count))
    yield rows


def _facts_table(status: pb.MirrorStatus) -> Table:
    table = _table(header=False)
    through = instant(status.data_through) if status.HasField("data_through") else "not known yet"
    table.add_row("Stripe account", status.stripe_account)
    table.add_row("data through", through)
    table.add_row("events", _backlog(status.backlog))
    if status.HasField("total_backlog"):
        table.add_row("events of all accounts", _backlog(status.total_backlog))
    return table


def _operations_table(operations: Sequence[pb.Operation]) -> Table:
    table = _table("operation", "state", "asked for", "ended", "error")
    for one in operations:
        table.add_row(
            word(pb.Operation.Kind.Name(one.kind)),
            word(pb.Operation.State.Name(one.state)),
            instant(one.request_time),
            instant(one.finish_time) if one.HasField("finish_time") else "",
            hindrance(one),
        )
    return table


def _backlog(backlog: pb.EventBacklog) -> str:
    counts = (
        (backlog.pending_count, "pending"), (backlog.dead_count, "dead"),
        (backlog.parked_count, "parked"),
    )  # fmt: skip
    return ", ".join(f"{count:,} {word}" for count, word in counts)


def _table(
    *columns: str, numbers: Sequence[str] = (), header: bool = True, footer: bool = False
) -> Table:
    table = Table(show_header=header, show_footer=footer)
    for column in columns:
        table.add_column(column, overflow="fold")
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _number(value: int) -> str:
    return f"{value:,}"
