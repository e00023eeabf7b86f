"""Operations on the mirror, reports of comparing it, and how it stands."""

import datetime as dt
from collections.abc import Mapping
from typing import Final

from billing_client.v1 import errors_pb2
from billing_client.v1 import mirror_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from application.requests.paging import Page
from application.upkeep.catch_up import Gap
from application.upkeep.ports import (
    Check,
    Difference,
    Drift,
    Finding,
    NounCounts,
    Report,
    ReportKind,
)
from application.upkeep.status import Backlog, MirrorStatus
from domain.errors import FieldViolation, InvalidArgument
from domain.oddities import Oddity
from domain.operations import Operation, OperationKind, OperationProgress, OperationState
from interfaces.grpc.core.money import money_message
from interfaces.grpc.core.timestamps import timestamp_message

KINDS: Final[Mapping[OperationKind, pb.Operation.Kind.ValueType]] = {
    OperationKind.BACKFILL: pb.Operation.KIND_BACKFILL,
    OperationKind.RECONCILE: pb.Operation.KIND_RECONCILIATION,
    OperationKind.REBUILD: pb.Operation.KIND_REBUILD,
    OperationKind.PROOF: pb.Operation.KIND_PROOF,
    OperationKind.REBUILD_FACTS: pb.Operation.KIND_FACTS_REBUILD,
}
STATES: Final[Mapping[OperationState, pb.Operation.State.ValueType]] = {
    OperationState.PENDING: pb.Operation.STATE_PENDING,
    OperationState.RUNNING: pb.Operation.STATE_RUNNING,
    OperationState.SUCCEEDED: pb.Operation.STATE_SUCCEEDED,
    OperationState.FAILED: pb.Operation.STATE_FAILED,
    OperationState.CANCELLED: pb.Operation.STATE_CANCELLED,
}
REPORT_KINDS: Final[Mapping[ReportKind, pb.MirrorReport.Kind.ValueType]] = {
    ReportKind.RECONCILE: pb.MirrorReport.KIND_RECONCILIATION,
    ReportKind.REBUILD: pb.MirrorReport.KIND_REBUILD,
    ReportKind.PROOF: pb.MirrorReport.KIND_PROOF,
}
CHECKS: Final[Mapping[Check, pb.Check.ValueType]] = {
    Check.PARTS: pb.CHECK_PARTS,
    Check.FIGURES: pb.CHECK_FIGURES,
    Check.SETTLEMENTS: pb.CHECK_SETTLEMENTS,
    Check.BANK: pb.CHECK_BANK,
    Check.PAYOUTS: pb.CHECK_PAYOUTS,
    Check.FACTS: pb.CHECK_FACTS,
}
DRIFTS: Final[Mapping[Drift, pb.Finding.Drift.ValueType]] = {
    Drift.MISSING: pb.Finding.DRIFT_MISSING,
    Drift.EXTRA: pb.Finding.DRIFT_EXTRA,
    Drift.DIFFERENT: pb.Finding.DRIFT_DIFFERENT,
}
_KIND_BY_VALUE: Final = {value: kind for kind, value in KINDS.items()}


def read_kind(value: int) -> OperationKind:
    """The kind of an enum value. Raises InvalidArgument for none and for an unknown one."""
    kind = _KIND_BY_VALUE.get(pb.Operation.Kind.ValueType(value))
    if kind is None:
        rule = (
            "one of KIND_BACKFILL, KIND_RECONCILIATION, KIND_REBUILD, KIND_PROOF, "
            "KIND_FACTS_REBUILD"
        )
        raise InvalidArgument([FieldViolation("kind", rule)])
    return kind


def operation_message(operation: Operation) -> pb.Operation:
    """An operation, without what is Billing's own."""
    return pb.Operation(
        id=operation.id,
        kind=KINDS[operation.kind],
        stripe_account=operation.stripe_account,
        state=STATES[operation.state],
        restart=operation.options.restart,
        repair=operation.options.repair,
        progress=_progress_message(operation.progress),
        request_time=timestamp_message(operation.requested_at),
        start_time=_timestamp(operation.started_at),
        finish_time=_timestamp(operation.finished_at),
        report_id=operation.report_id,
        error_reason=reason_value(operation.error_reason),
        error_message=operation.error,
        next_try_time=_timestamp(operation.next_try_at),
    )


def report_message(report: Report, *, findings: bool) -> pb.MirrorReport:
    """A report, with its findings or without."""
    return pb.MirrorReport(
        id=report.id,
        kind=REPORT_KINDS[report.kind],
        stripe_account=report.stripe_account,
        repair=report.repair,
        start_time=timestamp_message(report.started_at),
        finish_time=timestamp_message(report.finished_at),
        counts=map(_counts_message, report.counts),
        drifted_count=report.drifted,
        repaired_count=sum(counts.repaired for counts in report.counts),
        findings=map(_finding_message, report.findings if findings else ()),
        not_understood_count=report.oddities.count,
        not_understood=map(_oddity_message, report.oddities.named if findings else ()),
        checks=[
            pb.CheckCount(
                check=CHECKS[count.check],
                checked_count=count.checked,
                difference_count=count.differed,
            )
            for count in report.checks
        ],
        difference_count=report.differed,
        differences=map(_difference_message, report.differences if findings else ()),
    )


def reports_message(page: Page[Report]) -> pb.ListReportsResponse:
    """A page of reports, without their findings."""
    return pb.ListReportsResponse(
        reports=[report_message(report, findings=False) for report in page.items],
        next_page_token=page.next_page_token,
    )


def status_message(status: MirrorStatus) -> pb.MirrorStatus:
    """How a mirror stands."""
    return pb.MirrorStatus(
        stripe_account=status.stripe_account,
        data_through=_timestamp(status.data_through),
        backlog=_backlog_message(status.backlog),
        rows=[pb.RowCount(noun=noun, count=count) for noun, count in status.rows.items()],
        operations=map(operation_message, status.operations),
        total_backlog=_backlog_message(status.everything) if status.everything else None,
        gap=_gap_message(status.gap) if status.gap else None,
    )


def _gap_message(gap: Gap) -> pb.MirrorGap:
    return pb.MirrorGap(
        start_time=_timestamp(gap.start),
        end_time=timestamp_message(gap.end),
        mending=gap.mending,
        error_message=gap.error,
    )


def _progress_message(progress: OperationProgress) -> pb.OperationProgress:
    return pb.OperationProgress(
        phase=progress.phase,
        noun=progress.noun,
        nouns_done=progress.nouns_done,
        nouns_total=progress.nouns_total,
        read_count=progress.read,
        changed_count=progress.changed,
        drifted_count=progress.drifted,
        rate=progress.rate,
        reached_time=_timestamp(progress.reached),
        not_understood_count=progress.oddities.count,
        not_understood=map(_oddity_message, progress.oddities.named),
    )


def _oddity_message(oddity: Oddity) -> pb.NotUnderstood:
    return pb.NotUnderstood(
        noun=oddity.noun, id=oddity.id, why=oddity.why, ends_noun=oddity.ends_noun
    )


def _counts_message(counts: NounCounts) -> pb.NounCounts:
    return pb.NounCounts(
        noun=counts.noun,
        compared_count=counts.compared,
        missing_count=counts.missing,
        extra_count=counts.extra,
        different_count=counts.different,
        repaired_count=counts.repaired,
        not_understood_count=counts.not_understood,
    )


def _finding_message(finding: Finding) -> pb.Finding:
    return pb.Finding(
        noun=finding.noun,
        id=finding.id,
        drift=DRIFTS[finding.drift],
        fields=finding.fields,
        repaired=finding.repaired,
    )


def _difference_message(difference: Difference) -> pb.Difference:
    expected, found = (
        None if amount is None else money_message(amount, difference.currency)
        for amount in (difference.expected, difference.found)
    )
    return pb.Difference(
        check=CHECKS[difference.check],
        subject=difference.subject,
        expected=expected,
        found=found,
    )


def _backlog_message(backlog: Backlog) -> pb.EventBacklog:
    return pb.EventBacklog(
        pending_count=backlog.pending, dead_count=backlog.dead, parked_count=backlog.waiting
    )


def reason_value(reason: str) -> errors_pb2.ErrorReason.ValueType:
    """A reason's value; unspecified for none, and for one that another release has saved."""
    name = f"ERROR_REASON_{reason}"
    known = errors_pb2.ErrorReason.keys()
    return errors_pb2.ErrorReason.Value(name if name in known else "ERROR_REASON_UNSPECIFIED")


def _timestamp(instant: dt.datetime | None) -> Timestamp | None:
    return None if instant is None else timestamp_message(instant)
