"""Importing: what was read in bulk is brought into a mirror, without any effect."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from application.mirror.enrichment import Enrichment
from application.mirror.ports import Noun
from application.mirror.stripe import ObjectReader, Priority
from application.mirror.writer import MirrorWriter
from domain.errors import BillingError, Conflict, Reason
from domain.mirror import Decision, Snapshot
from domain.oddities import Oddity, oddity_of

MAX_REREADS: Final = 3
"""How often an object is read again that changes under every read."""


@dataclass(frozen=True, slots=True)
class Brought:
    """What came of bringing observations, and what could not be brought.

    `changed` counts rows that show other content than before: a row that was written again with the
    same content, as seen later, is none.
    """

    changed: int
    oddities: Sequence[Oddity] = ()


class Importer:
    """Brings observations into a mirror beside whatever webhooks and callers bring.

    No effect follows from it: what was read tells what is, not what has happened.
    """

    def __init__(self, writer: MirrorWriter, objects: ObjectReader, enrichment: Enrichment) -> None:
        self._writer = writer
        self._objects = objects
        self._enrichment = enrichment

    async def bring(
        self, noun: Noun[Any], snapshots: Sequence[Snapshot[Any]], priority: Priority
    ) -> Brought:
        """Let the observations (at most 1,000) stand where they should; what came of it.

        What a page cannot settle against the stored row is read by itself. What cannot be read, or
        not be stored, is an oddity, its row stays as it is, and all others are brought. Idempotent.
        Raises Conflict where an object would not come to rest, and what the ports raise.
        """
        try:
            return await self._bring_together(noun, snapshots, priority)
        except BillingError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it may be one object's alone
            return await self._bring_apart(noun, snapshots, priority, error)

    async def _bring_together(
        self, noun: Noun[Any], snapshots: Sequence[Snapshot[Any]], priority: Priority
    ) -> Brought:
        changed, waiting = 0, snapshots
        oddities: list[Oddity] = []
        for _ in range(MAX_REREADS + 1):
            verdicts = await self._writer.observe(noun, waiting)
            changed += sum(verdict.changes for verdict in verdicts)
            open_ones = [
                snapshot
                for snapshot, verdict in zip(waiting, verdicts, strict=True)
                if verdict.decision is Decision.REREAD
            ]
            if not open_ones:
                await self._enrichment.after(noun, snapshots)
                return Brought(changed, oddities)
            reads = [await self._read(noun, snapshot, priority) for snapshot in open_ones]
            oddities += [one for one in reads if isinstance(one, Oddity)]
            waiting = [one for one in reads if not isinstance(one, Oddity)]
        raise Conflict(Reason.OVERLOADED, f"{noun.name}: an object keeps changing while it is read")

    async def _bring_apart(
        self,
        noun: Noun[Any],
        snapshots: Sequence[Snapshot[Any]],
        priority: Priority,
        error: Exception,
    ) -> Brought:
        """Bring each by itself, where bringing all together failed with `error`.

        Raises it where of several not one can be brought: then it is no matter of one object.
        """
        changed = 0
        oddities: list[Oddity] = []
        broken = 0
        for snapshot in snapshots:
            try:
                brought = await self._bring_together(noun, [snapshot], priority)
            except BillingError:
                raise
            except Exception as each:  # noqa: BLE001 - as above
                broken += 1
                why = f"cannot be stored: {type(each).__name__}"
                oddities.append(Oddity(noun.name, snapshot.id, why))
            else:
                changed += brought.changed
                oddities += brought.oddities
        if broken == len(snapshots) > 1:
            raise error
        return Brought(changed, oddities)

    async def _read(
        self, noun: Noun[Any], snapshot: Snapshot[Any], priority: Priority
    ) -> Snapshot[Any] | Oddity:
        try:
            return await self._objects.read(
                noun, snapshot.stripe_account, snapshot.id, not_before_ms=None, priority=priority
            )
        except BillingError as error:
            return oddity_of(noun.name, snapshot.id, error)
