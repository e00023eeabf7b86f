"""MirrorService over a real connection: whose mirror, with which scopes, and how it gets on."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from billing_client.v1 import errors_pb2
from billing_client.v1 import mirror_service_pb2 as pb
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo

from application.effects.waiting import WaitingEvent
from application.events.inbox import EventState
from application.mirror.nouns import NOUNS
from application.requests.callers import OPERATOR
from application.upkeep.catch_up import Gap, Standing
from application.upkeep.ports import Drift, Finding, NounCounts, Report, ReportKind
from domain.errors import FailedPrecondition, Reason
from domain.operations import OperationKind
from tests.support.fakes.operations import ACCOUNT
from tests.support.fakes.operations import NOUNS as FEW_NOUNS
from tests.support.fakes.stores import NOON
from tests.support.rooms.events import event
from tests.support.servers.grpc import PATIENCE, details, reason, refusal
from tests.support.servers.mirror_grpc import MirrorDesk, mirror_desk

Code = grpc.StatusCode
BACKFILL = pb.Operation.KIND_BACKFILL


@pytest.fixture
async def desk() -> AsyncIterator[MirrorDesk]:
    async with mirror_desk() as running:
        yield running


async def ended(desk: MirrorDesk, kind: pb.Operation.Kind.ValueType, **claims: Any) -> pb.Operation:
    """What a watch ends with."""
    watch = desk.call("WatchOperation", pb.WatchOperationRequest(kind=kind), **claims)
    async with asyncio.timeout(PATIENCE):
        told: list[pb.Operation] = [operation async for operation in watch]
    return told[-1]


async def test_a_backfill_is_started_followed_and_done(desk: MirrorDesk) -> None:
    desk.slow()
    begun = await desk.call("StartBackfill", pb.StartBackfillRequest())
    assert (begun.kind, begun.state) == (BACKFILL, pb.Operation.STATE_RUNNING)
    assert (begun.stripe_account, begun.restart) == (ACCOUNT, False)
    assert begun.request_time.ToDatetime(dt.UTC) == NOON
    watch = desk.call("WatchOperation", pb.WatchOperationRequest(kind=BACKFILL))
    async with asyncio.timeout(PATIENCE):
        told = [operation async for operation in watch]
    assert len(told) > 3
    assert {one.id for one in told} == {begun.id}
    assert [one.progress.read_count for one in told] == sorted(
        one.progress.read_count for one in told
    )
    done = told[-1]
    assert done.state == pb.Operation.STATE_SUCCEEDED
    progress = done.progress
    assert (progress.phase, progress.nouns_done, progress.nouns_total) == ("read", 2, 2)
    assert (progress.read_count, progress.changed_count) == (34, 34)
    assert done.HasField("finish_time")
    assert not done.HasField("next_try_time")
    assert done == await desk.call("GetOperation", pb.GetOperationRequest(kind=BACKFILL))
    desk.world.assert_right()


async def test_a_reconciliation_leaves_a_report(desk: MirrorDesk) -> None:
    await desk.call("StartReconciliation", pb.StartReconciliationRequest(repair=True))
    done = await ended(desk, pb.Operation.KIND_RECONCILIATION)
    assert (done.state, done.repair) == (pb.Operation.STATE_SUCCEEDED, True)
    report = await desk.call("GetReport", pb.GetReportRequest(id=done.report_id))
    assert (report.kind, report.repair) == (pb.MirrorReport.KIND_RECONCILIATION, True)
    assert (report.drifted_count, report.repaired_count) == (34, 34)
    counts = {one.noun: (one.compared_count, one.missing_count) for one in report.counts}
    assert counts == {"customer": (30, 30), "product": (4, 4)}
    assert {one.drift for one in report.findings} == {pb.Finding.DRIFT_MISSING}
    assert len(report.findings) == 34
    (listed,) = (await desk.call("ListReports", pb.ListReportsRequest())).reports
    assert listed.id == report.id
    assert not listed.findings
    desk.world.assert_right()


async def test_a_rebuild_goes_through_its_phases(desk: MirrorDesk) -> None:
    await desk.call("StartRebuild", pb.StartRebuildRequest())
    done = await ended(desk, pb.Operation.KIND_REBUILD)
    assert (done.state, done.progress.phase) == (pb.Operation.STATE_SUCCEEDED, "swap")
    report = await desk.call("GetReport", pb.GetReportRequest(id=done.report_id))
    assert report.kind == pb.MirrorReport.KIND_REBUILD


async def test_facts_are_rebuilt_in_blocks(desk: MirrorDesk) -> None:
    await desk.call("StartFactsRebuild", pb.StartFactsRebuildRequest())
    done = await ended(desk, pb.Operation.KIND_FACTS_REBUILD)
    assert (done.state, done.progress.phase) == (pb.Operation.STATE_SUCCEEDED, "post")
    assert done.progress.nouns_done == done.progress.nouns_total


async def test_one_with_other_options_is_not_started_beside(desk: MirrorDesk) -> None:
    desk.slow(20)
    await desk.call("StartBackfill", pb.StartBackfillRequest())
    error = await refusal(desk.call("StartBackfill", pb.StartBackfillRequest(restart=True)))
    assert (error.code(), reason(error)) == (Code.FAILED_PRECONDITION, "OPERATION_RUNNING")
    (info,) = details(error, ErrorInfo)
    assert dict(info.metadata) == {"kind": "backfill", "state": "running"}
    cancelled = await desk.call("CancelOperation", pb.CancelOperationRequest(kind=BACKFILL))
    assert cancelled.state == pb.Operation.STATE_CANCELLED
    begun = await desk.call("StartBackfill", pb.StartBackfillRequest(restart=True))
    assert begun.restart


async def test_why_one_failed_is_told(desk: MirrorDesk) -> None:
    async def where(name: str) -> None:
        if name == "stripe.page":
            raise FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "connect it again")

    desk.world.where = where
    await desk.call("StartBackfill", pb.StartBackfillRequest())
    failed = await ended(desk, BACKFILL)
    assert failed.state == pb.Operation.STATE_FAILED
    assert failed.error_reason == errors_pb2.ERROR_REASON_STRIPE_CONNECTION_REVOKED
    assert failed.error_message == "connect it again"


METHODS: dict[str, Any] = {
    "StartBackfill": pb.StartBackfillRequest,
    "StartReconciliation": pb.StartReconciliationRequest,
    "StartRebuild": pb.StartRebuildRequest,
    "StartFactsRebuild": pb.StartFactsRebuildRequest,
    "GetOperation": pb.GetOperationRequest,
    "WatchOperation": pb.WatchOperationRequest,
    "CancelOperation": pb.CancelOperationRequest,
    "ListReports": pb.ListReportsRequest,
    "GetReport": pb.GetReportRequest,
    "GetMirrorStatus": pb.GetMirrorStatusRequest,
}


async def outcome(call: Any) -> grpc.aio.AioRpcError:
    """What a call is refused with, a stream too."""
    return await refusal(call.read() if hasattr(call, "read") else call)


@pytest.mark.parametrize("method", METHODS)
async def test_each_method_asks_for_its_scope(desk: MirrorDesk, method: str) -> None:
    writes = method.startswith(("Start", "Cancel"))
    scope = "mirror.read" if writes else "mirror.write"
    error = await outcome(desk.call(method, METHODS[method](), scopes=(scope,)))
    assert (error.code(), reason(error)) == (Code.PERMISSION_DENIED, "SCOPE_MISSING")
    assert not desk.world.checkpoints.kept


@pytest.mark.parametrize("method", METHODS)
async def test_a_stranger_is_told_nothing(desk: MirrorDesk, method: str) -> None:
    error = await outcome(desk.call(method, METHODS[method](account="rival")))
    assert reason(error) == "NOT_FOUND"


@pytest.mark.parametrize("method", ["GetOperation", "WatchOperation", "CancelOperation"])
async def test_a_kind_is_needed(desk: MirrorDesk, method: str) -> None:
    for kind in (pb.Operation.KIND_UNSPECIFIED, 77):
        error = await outcome(desk.call(method, METHODS[method](kind=kind)))
        assert error.code() is Code.INVALID_ARGUMENT
        (bad,) = details(error, BadRequest)
        assert bad.field_violations[0].field == "kind"
    error = await outcome(desk.call(method, METHODS[method](kind=BACKFILL)))
    assert reason(error) == "NOT_FOUND", "there never was one"


async def test_accounts_are_apart(desk: MirrorDesk) -> None:
    await desk.call("StartReconciliation", pb.StartReconciliationRequest())
    done = await ended(desk, pb.Operation.KIND_RECONCILIATION)
    get = pb.GetOperationRequest(kind=pb.Operation.KIND_RECONCILIATION)
    assert reason(await refusal(desk.call("GetOperation", get, account="rival"))) == "NOT_FOUND"
    report = pb.GetReportRequest(id=done.report_id)
    assert reason(await refusal(desk.call("GetReport", report, account="rival"))) == "NOT_FOUND"
    listed = await desk.call("ListReports", pb.ListReportsRequest(), account="rival")
    assert not listed.reports
    # A main account acts for its sub-account, an operator for any.
    west = await desk.call("StartBackfill", pb.StartBackfillRequest(account="acme-west"))
    assert west.stripe_account == "acct_west"
    get = pb.GetOperationRequest(account="acme", kind=pb.Operation.KIND_RECONCILIATION)
    assert (await desk.call("GetOperation", get, account=OPERATOR)).id == done.id


async def test_an_operator_of_no_account_works_on_the_platform(desk: MirrorDesk) -> None:
    begun = await desk.call("StartBackfill", pb.StartBackfillRequest(), account=OPERATOR)
    assert begun.stripe_account == "acct_platform"
    assert (await ended(desk, BACKFILL, account=OPERATOR)).id == begun.id
    assert reason(await refusal(
        desk.call("GetOperation", pb.GetOperationRequest(kind=BACKFILL))
    )) == "NOT_FOUND"  # fmt: skip


def report(number: int, stripe_account: str = ACCOUNT) -> Report:
    findings = (Finding("charge", "ch_1", Drift.DIFFERENT, ("status",)),)
    return Report(
        f"r{number}", stripe_account, ReportKind.RECONCILE, False,
        NOON + dt.timedelta(seconds=number // 2), NOON + dt.timedelta(hours=1),
        (NounCounts("charge", 10, different=1),), findings,
    )  # fmt: skip


async def test_reports_are_listed_page_by_page(desk: MirrorDesk) -> None:
    for number in range(6):
        await desk.world.reports.put(report(number))
    await desk.world.reports.put(report(9, "acct_ival"))
    found: list[str] = []
    request = pb.ListReportsRequest(page_size=2)
    for _ in range(3):
        page = await desk.call("ListReports", request)
        assert len(page.reports) == 2
        assert all(one.drifted_count == 1 and not one.findings for one in page.reports)
        found += [one.id for one in page.reports]
        request.page_token = page.next_page_token
    assert request.page_token == ""
    assert found == [f"r{number}" for number in (5, 4, 3, 2, 1, 0)]


async def test_a_bad_page_is_refused(desk: MirrorDesk) -> None:
    for size in (-1, 101):
        error = await refusal(desk.call("ListReports", pb.ListReportsRequest(page_size=size)))
        assert reason(error) == "INVALID_FIELDS"
    for number in range(2):
        await desk.world.reports.put(report(number))
    page = await desk.call("ListReports", pb.ListReportsRequest(page_size=1))
    stolen = pb.ListReportsRequest(page_size=1, page_token=page.next_page_token)
    error = await refusal(desk.call("ListReports", stolen, account="rival"))
    assert reason(error) == "INVALID_PAGE_TOKEN"


async def test_the_status_of_a_mirror(desk: MirrorDesk) -> None:
    await desk.call("StartBackfill", pb.StartBackfillRequest())
    done = await ended(desk, BACKFILL)
    for number in range(3):
        desk.event_log.add(event(f"evt_{number}", ACCOUNT, state=EventState.PENDING))
    desk.event_log.add(event("evt_d", ACCOUNT, state=EventState.DEAD))
    desk.event_log.add(event("evt_o", "acct_other", state=EventState.PENDING))
    waiting = [WaitingEvent(f"evt_{n}", ACCOUNT, NOON) for n in range(1_000)]
    desk.waiting_events.of.side_effect = [waiting, waiting[:7]]
    desk.waiting_events.count.return_value = 4_000
    desk.standing.return_value = Standing(NOON)
    status = await desk.call("GetMirrorStatus", pb.GetMirrorStatusRequest())
    assert status.stripe_account == ACCOUNT
    assert status.data_through.ToDatetime(dt.UTC) == NOON
    assert status.backlog == pb.EventBacklog(pending_count=3, dead_count=1, parked_count=1_007)
    assert not status.HasField("total_backlog"), "what others have is not told"
    assert {one.noun for one in status.rows} == {noun.name for noun in NOUNS}
    counts = {one.noun: one.count for one in status.rows if one.count}
    assert counts == {noun.name: len(desk.world.stripe.of(noun)) for noun in FEW_NOUNS}
    assert list(status.operations) == [done]


async def test_the_status_of_everything_is_for_operators(desk: MirrorDesk) -> None:
    desk.event_log.add(event("evt_p", "", state=EventState.PENDING))
    desk.event_log.add(event("evt_a", ACCOUNT, state=EventState.DEAD))
    desk.waiting_events.count.return_value = 4_000
    status = await desk.call("GetMirrorStatus", pb.GetMirrorStatusRequest(), account=OPERATOR)
    assert status.stripe_account == "acct_platform"
    assert status.backlog == pb.EventBacklog(pending_count=1)
    assert status.total_backlog == pb.EventBacklog(
        pending_count=1, dead_count=1, parked_count=4_000
    )
    assert not status.HasField("data_through")


async def test_the_status_tells_of_a_gap(desk: MirrorDesk) -> None:
    end = NOON + dt.timedelta(days=40)
    desk.standing.return_value = Standing(NOON, Gap(NOON, end, mending=True, error="away"))
    status = await desk.call("GetMirrorStatus", pb.GetMirrorStatusRequest())
    wanted = pb.MirrorGap(mending=True, error_message="away")
    wanted.start_time.FromDatetime(NOON)
    wanted.end_time.FromDatetime(end)
    assert (status.gap, status.data_through) == (wanted, wanted.start_time)
    desk.standing.return_value = Standing(None, Gap(None, end, mending=False))
    status = await desk.call("GetMirrorStatus", pb.GetMirrorStatusRequest())
    assert not status.gap.HasField("start_time")
    desk.standing.return_value = Standing(NOON)
    assert not (await desk.call("GetMirrorStatus", pb.GetMirrorStatusRequest())).HasField("gap")


async def test_a_stopping_process_ends_its_watches(desk: MirrorDesk) -> None:
    desk.slow(50)
    await desk.call("StartBackfill", pb.StartBackfillRequest())
    watch = desk.call("WatchOperation", pb.WatchOperationRequest(kind=BACKFILL))
    await watch.read()
    await desk.process.stop()

    async def read_on() -> None:
        while True:
            await watch.read()

    error = await refusal(asyncio.wait_for(read_on(), PATIENCE))
    assert reason(error) == "SHUTTING_DOWN"
    assert desk.world.stored(OperationKind.BACKFILL).owner == ""


async def test_a_reason_that_is_not_known_is_left_out(desk: MirrorDesk) -> None:
    await desk.call("StartBackfill", pb.StartBackfillRequest())
    await ended(desk, BACKFILL)
    kept = await desk.world.log().find(ACCOUNT, OperationKind.BACKFILL)
    assert kept is not None
    await desk.world.log().save(replace(kept.operation, error_reason="FROM_ELSEWHERE"), kept)
    found = await desk.call("GetOperation", pb.GetOperationRequest(kind=BACKFILL))
    assert found.error_reason == errors_pb2.ERROR_REASON_UNSPECIFIED
