"""Shadowing: a rebuild of one account, put together over a second store of its own."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from application.backfill import Backfill
from application.comparing import Comparison
from application.enrichment import Enrichment
from application.importing import Importing
from application.mirroring import Mirroring
from application.ports.checkpoints import Checkpoints
from application.ports.clock import Clock
from application.ports.listing import EventHistory, ObjectLister
from application.ports.mirror import Mirror, Noun
from application.ports.nouns import NOUNS
from application.ports.reports import ReportKind, Reports
from application.ports.shadow import Shadow, Shadows
from application.ports.stripe import EventReader, ObjectReader
from application.rebuilding import MirrorLister, Rebuild, Rebuilding
from application.reconciling import Reconciliation
from application.walking import Retries


class ShadowRebuild:
    """Rebuilds the mirror of an account in a shadow. `mirror` and `checkpoints` are the live ones.

    See docs/decisions/0004-a-rebuild-is-a-second-store.md.
    """

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
        self._clock = clock
        self._nouns = tuple(nouns)
        self._retries = retries or Retries()

    async def run(
        self, stripe_account: str, name: str, *, ours: bool
    ) -> AsyncGenerator[Rebuilding, None]:
        """Begin in an empty shadow, or go on in the one of that name. See `Rebuild.run`.

        Close it (`aclosing`). The shadow stays, also at the end.
        """
        async with self._shadows.open(stripe_account, name) as shadow:
            rebuild = self._over(shadow)
            async with aclosing(rebuild.run(stripe_account, ours=ours)) as steps:
                async for step in steps:
                    yield step

    async def discard(self, stripe_account: str, name: str) -> None:
        """Remove the shadow of that name, if there is one."""
        await self._shadows.discard(stripe_account, name)

    async def discard_others(self, stripe_account: str, name: str) -> None:
        """Remove the account's shadows but for the one of that name: nobody goes on with them."""
        for other in await self._shadows.names(stripe_account):
            if other != name:
                await self._shadows.discard(stripe_account, other)

    def _over(self, shadow: Shadow) -> Rebuild:
        importing = Importing(Mirroring(shadow.mirror), self._objects, Enrichment(shadow.mirror))
        backfill = Backfill(
            self._lister,
            importing,
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
        return Rebuild(
            backfill,
            importing,
            shadow.checkpoints,
            swap,
            self._history,
            self._events,
            self._clock,
            retries=self._retries,
        )
