"""The work that operations do: begun, followed step by step, and tidied up after."""

import datetime as dt
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from application.backfill import Backfill, Progress
from application.contact_linking import ContactLinking
from application.platform import Platform
from application.ports.checkpoints import Checkpoints
from application.ports.clock import Clock
from application.ports.reports import Report, ReportKind, Reports
from application.rebuilding import Rebuilding
from application.reconciling import Compared, Reconciliation
from application.shadowing import ShadowRebuild
from domain.operations import EXPIRY, Operation, OperationKind, OperationProgress

_REPORT_KINDS: Final = {
    OperationKind.RECONCILE: ReportKind.RECONCILE,
    OperationKind.REBUILD: ReportKind.REBUILD,
}
_REPORTS: Final = 20
"""Among how many of the newest reports an operation's own is looked for."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where the work has come to; at the end of a comparison with its report."""

    progress: OperationProgress
    report: Report | None = None


class MirrorWork:
    """What each kind of operation does. All of it may be cut off and repeated at any point.

    Raises what `Backfill.run` does.
    """

    def __init__(
        self,
        backfill: Backfill,
        reconciliation: Reconciliation,
        rebuild: ShadowRebuild,
        checkpoints: Checkpoints,
        reports: Reports,
        platform: Platform,
        linking: ContactLinking,
        clock: Clock,
    ) -> None:
        self._backfill = backfill
        self._reconciliation = reconciliation
        self._rebuild = rebuild
        self._checkpoints = checkpoints
        self._reports = reports
        self._platform = platform
        self._linking = linking
        self._clock = clock

    async def prepare(self, operation: Operation) -> None:
        """Do what an operation needs once, before its first step.

        A comparison begins anew, so that its report is of one time, and a rebuild is never compared
        half with what an earlier one has read. Linking goes through all customers each time.
        """
        if operation.kind is OperationKind.REBUILD:
            await self._rebuild.discard_others(operation.stripe_account, operation.id)
        if operation.kind is not OperationKind.BACKFILL:
            await self._forget(operation)
        elif operation.options.restart:
            await self._backfill.reset(operation.stripe_account)

    async def steps(self, operation: Operation) -> AsyncGenerator[Step, None]:
        """Begin, or go on where it was cut off, to the end. Close it (`aclosing`)."""
        account, meter = operation.stripe_account, _Meter(self._clock)
        match operation.kind:
            case OperationKind.BACKFILL:
                async with aclosing(self._backfill.run(account)) as pages:
                    async for progress in pages:
                        yield Step(_read(progress))
            case OperationKind.RECONCILE:
                run = self._reconciliation.run(account, repair=operation.options.repair)
                async with aclosing(run) as comparisons:
                    async for compared in comparisons:
                        yield Step(meter.of(_compared(compared, "compare")), compared.report)
            case OperationKind.REBUILD:
                ours = account == await self._platform.stripe_account()
                rebuild = self._rebuild.run(account, operation.id, ours=ours)
                async with aclosing(rebuild) as rebuildings:
                    async for one in rebuildings:
                        yield Step(meter.of(_rebuilding(one)), one.report)
            case OperationKind.LINK_CONTACTS:
                async with aclosing(self._linking.run(operation)) as blocks:
                    async for linked in blocks:
                        yield Step(meter.of(linked))

    async def report_of(self, operation: Operation) -> Report | None:
        """The report of a comparison that is over, though its process did not live to say so."""
        kind = _REPORT_KINDS.get(operation.kind)
        if kind is None:
            return None
        newest = await self._reports.newest(operation.stripe_account, after=None, limit=_REPORTS)
        for report in newest:
            same = report.kind is kind and report.repair is _repairs(operation)
            if same and report.started_at >= operation.requested_at:
                return report
        return None

    async def is_elsewhere(self, operation: Operation) -> bool:
        """Whether the same work was seen alive a moment ago, for instance as part of catch-up."""
        checkpoint = await self._checkpoints.load(operation.stripe_account, operation.kind)
        saved_at = checkpoint.saved_at
        return saved_at is not None and abs(self._clock.now() - saved_at) < EXPIRY

    async def tidy(self, operation: Operation) -> None:
        """Remove what an operation that is over leaves behind. Idempotent."""
        if operation.kind is OperationKind.REBUILD:
            await self._rebuild.discard(operation.stripe_account, operation.id)

    async def _forget(self, operation: Operation) -> None:
        """Let the work begin anew, whatever an earlier operation has done of it."""
        checkpoint = await self._checkpoints.load(operation.stripe_account, operation.kind)
        if checkpoint.state:
            await self._checkpoints.save(replace(checkpoint, state={}), now=self._clock.now())


class _Meter:
    """Measures how fast a phase goes, since its first step in this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._phase = ""
        self._count = 0
        self._since = clock.now()

    def of(self, progress: OperationProgress) -> OperationProgress:
        """The progress with its rate."""
        if progress.phase != self._phase:
            self._phase, self._count = progress.phase, progress.read
            self._since = self._clock.now()
        seconds = (self._clock.now() - self._since) / dt.timedelta(seconds=1)
        rate = (progress.read - self._count) / seconds if seconds > 0 else 0.0
        return replace(progress, rate=rate)


def _repairs(operation: Operation) -> bool:
    return operation.options.repair or operation.kind is OperationKind.REBUILD


def _read(progress: Progress) -> OperationProgress:
    return OperationProgress(
        phase="read",
        noun=progress.noun,
        nouns_done=progress.nouns_done,
        nouns_total=progress.nouns_total,
        read=progress.read,
        changed=progress.stored,
        rate=progress.rate,
        reached=progress.reached,
        oddities=progress.oddities,
    )


def _compared(compared: Compared, phase: str) -> OperationProgress:
    return OperationProgress(
        phase=phase,
        noun=compared.noun,
        nouns_done=compared.nouns_done,
        nouns_total=compared.nouns_total,
        read=compared.compared,
        drifted=compared.drifted,
        oddities=compared.oddities,
    )


def _rebuilding(one: Rebuilding) -> OperationProgress:
    match one.within:
        case Progress():
            return _read(one.within)
        case Compared():
            return _compared(one.within, one.phase)
        case None:
            return OperationProgress(phase=one.phase, read=one.done, oddities=one.oddities)
