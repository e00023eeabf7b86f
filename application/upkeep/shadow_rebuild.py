"""Shadowing: a rebuild of one account, put together over a second store of its own."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from typing_extensions import override

from application.background.checkpoints import Checkpoints
from application.background.clock import Clock
from application.background.retries import Retries
from application.connections.platform import Platform
from application.events.lists import EventHistory
from application.events.readings import EventReader
from application.mirror.enrichment import Enrichment
from application.mirror.importer import Importer
from application.mirror.lists import ObjectLister
from application.mirror.nouns import NOUNS
from application.mirror.ports import Mirror, Noun
from application.mirror.stripe import ObjectReader
from application.mirror.writer import MirrorWriter
from application.operations.work import Meter, Step, Work, begin_anew
from application.upkeep.backfill import Backfill
from application.upkeep.comparison import Comparison
from application.upkeep.ports import ReportKind, Reports
from application.upkeep.rebuild import MirrorLister, ShadowFilling
from application.upkeep.reconciliation import Reconciliation, report_of
from application.upkeep.shadows import Shadow, Shadows
from domain.operations import Operation, OperationKind


class RebuildInShadow(Work):
    """Rebuilds the mirror of an account in a shadow. `mirror` and `checkpoints` are the live ones.

    The shadow bears the operation's id, and goes with it.
    See docs/decisions/0004-a-rebuild-is-a-second-store.md.
    """

    kind = OperationKind.REBUILD

    def __init__(
        self,
        shadows: Shadows,
        lister: ObjectLister,
        objects: ObjectReader,
        history: EventHistory,
        events: EventReader,
        mirror: Mirror,
        comparison: Comparison,
        checkpoints: Checkpoints,
        reports: Reports,
        platform: Platform,
        clock: Clock,
        *,
        nouns: Sequence[Noun[Any]] = NOUNS,
        retries: Retries | None = None,
    ) -> None:
        self._shadows = shadows
        self._lister = lister
        self._objects = objects
        self._history = history
        self._events = events
        self._mirror = mirror
        self._comparison = comparison
        self._checkpoints = checkpoints
        self._reports = reports
        self._platform = platform
        self._clock = clock
        self._nouns = tuple(nouns)
        self._retries = retries or Retries()

    @override
    async def prepare(self, operation: Operation) -> None:
        """Nothing is compared half with what an earlier one has read, whose shadow goes."""
        for name in await self._shadows.names(operation.stripe_account):
            if name != operation.id:
                await self._shadows.discard(operation.stripe_account, name)
        await begin_anew(self._checkpoints, operation, self._clock)

    @override
    async def steps(self, operation: Operation) -> AsyncGenerator[Step, None]:
        """See `ShadowFilling.run`. The shadow stays, also at the end."""
        account, meter = operation.stripe_account, Meter(self._clock)
        ours = account == await self._platform.stripe_account()
        async with (
            self._shadows.open(account, operation.id) as shadow,
            aclosing(self._over(shadow).run(account, ours=ours)) as run,
        ):
            async for progress in run:
                yield Step(meter.of(progress.of_operation()), progress.report_id)

    @override
    async def report(self, operation: Operation) -> str:
        return await report_of(self._reports, operation, ReportKind.REBUILD, repair=True)

    @override
    async def tidy(self, operation: Operation) -> None:
        await self._shadows.discard(operation.stripe_account, operation.id)

    def _over(self, shadow: Shadow) -> ShadowFilling:
        importer = Importer(MirrorWriter(shadow.mirror), self._objects, Enrichment(shadow.mirror))
        backfill = Backfill(
            self._lister,
            importer,
            shadow.checkpoints,
            self._clock,
            nouns=self._nouns,
            retries=self._retries,
        )
        swap = Reconciliation(
            MirrorLister(shadow.mirror, self._clock),
            self._mirror,
            self._comparison,
            self._checkpoints,
            self._reports,
            self._clock,
            nouns=self._nouns,
            retries=self._retries,
            kind=ReportKind.REBUILD,
        )
        return ShadowFilling(
            backfill,
            importer,
            shadow.checkpoints,
            swap,
            self._history,
            self._events,
            self._clock,
            retries=self._retries,
        )
