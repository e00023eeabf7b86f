"""Importing: what was read in bulk is brought into a mirror, without any effect."""

from collections.abc import Sequence
from typing import Any, Final

from application.enrichment import Enrichment
from application.mirroring import Mirroring
from application.ports.mirror import Noun
from application.ports.stripe import ObjectReader, Priority
from domain.errors import Conflict, Reason
from domain.mirror import Decision, Snapshot

MAX_REREADS: Final = 3
"""How often an object is read again that changes under every read."""


class Importing:
    """Brings observations into a mirror beside whatever webhooks and callers bring.

    No effect follows from it: what was read tells what is, not what has happened.
    """

    def __init__(self, mirroring: Mirroring, objects: ObjectReader, enrichment: Enrichment) -> None:
        self._mirroring = mirroring
        self._objects = objects
        self._enrichment = enrichment

    async def bring(
        self, noun: Noun[Any], snapshots: Sequence[Snapshot[Any]], priority: Priority
    ) -> int:
        """Let the observations (at most 1,000) stand where they should; how many rows changed.

        What a page cannot settle against the stored row is read by itself. Idempotent. Raises
        Conflict where an object would not come to rest, and what the ports raise.
        """
        changed = 0
        waiting = snapshots
        for _ in range(MAX_REREADS + 1):
            verdicts = await self._mirroring.observe(noun, waiting)
            changed += sum(verdict.decision is Decision.REPLACE for verdict in verdicts)
            open_ones = [
                snapshot
                for snapshot, verdict in zip(waiting, verdicts, strict=True)
                if verdict.decision is Decision.REREAD
            ]
            if not open_ones:
                await self._enrichment.after(noun, snapshots)
                return changed
            waiting = [await self._read(noun, snapshot, priority) for snapshot in open_ones]
        raise Conflict(Reason.OVERLOADED, f"{noun.name}: an object keeps changing while it is read")

    async def _read(
        self, noun: Noun[Any], snapshot: Snapshot[Any], priority: Priority
    ) -> Snapshot[Any]:
        return await self._objects.read(
            noun, snapshot.stripe_account, snapshot.id, not_before_ms=None, priority=priority
        )
