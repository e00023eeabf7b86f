"""Reading again: what events do not tell, Stripe is asked for, once an object."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from application.mirror.enrichment import Enrichment
from application.mirror.nouns import NOUN_BY_NAME
from application.mirror.oddity_log import log_oddities
from application.mirror.ports import Noun
from application.mirror.stripe import Concern, ObjectReader, Priority
from application.mirror.writer import MirrorWriter, ObjectKey
from domain.errors import BillingError, Unavailable
from domain.mirror import Decision, Snapshot, Verdict, Version
from domain.oddities import Oddity, is_hopeless

REREADS_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Concerning:
    """An event that changed other objects than its own; `version` is when, and when we knew."""

    event_id: str
    stripe_account: str
    version: Version
    concerns: Sequence[Concern]


class Rereader:
    """Brings observations into the mirror, and objects for which there is none worth having.

    At most REREADS_AT_ONCE requests are under way at once.
    """

    def __init__(self, writer: MirrorWriter, enrichment: Enrichment, objects: ObjectReader) -> None:
        self._writer = writer
        self._enrichment = enrichment
        self._objects = objects
        self._free = asyncio.Semaphore(REREADS_AT_ONCE)

    async def observe(
        self, noun: Noun[Any], snapshots: Sequence[Snapshot[Any]]
    ) -> Sequence[Verdict]:
        """Bring observations into the mirror, and join them to the rows that they tell about."""
        verdicts = await self._writer.observe(noun, snapshots)
        await self._enrichment.after(noun, snapshots)
        return verdicts

    async def read(
        self, noun: Noun[Any], wanted: Mapping[ObjectKey, int]
    ) -> Mapping[ObjectKey, Verdict | Exception]:
        """Read each object, and let what Stripe says now stand; what came of it.

        `wanted` tells of each when the newest event about it was made (milliseconds, Stripe's
        time). An exception: it could not be read, or settled. Raises what the mirror raises.
        """
        reads = await asyncio.gather(*(self._read(noun, key, wanted[key]) for key in wanted))
        results: dict[ObjectKey, Verdict | Exception] = {}
        found: dict[ObjectKey, Snapshot[Any]] = {}
        for key, read in zip(wanted, reads, strict=True):
            if isinstance(read, BillingError):
                results[key] = read
            else:
                found[key] = read
        verdicts = await self.observe(noun, list(found.values()))
        for key, verdict in zip(found, verdicts, strict=True):
            unsettled = verdict.decision is Decision.REREAD
            results[key] = ValueError(verdict.why) if unsettled else verdict
        return results

    async def read_concerned(self, events: Sequence[Concerning]) -> Mapping[str, str | Exception]:
        """Read each object that events changed beyond their own, but for those seen since.

        What came of it in words, or the exception for which an event has to come again, by event
        id: one for which no read can help is only told. What cannot be read or stored holds up no
        other. Raises Unavailable where the store is away.
        """
        wanted: dict[str, dict[ObjectKey, Version]] = defaultdict(dict)
        for event in events:
            for noun, object_id in event.concerns:
                key, versions = (event.stripe_account, object_id), wanted[noun.name]
                versions[key] = versions.get(key, event.version).joined(event.version)
        results = {
            name: await self._read_unless_seen(NOUN_BY_NAME[name], versions)
            for name, versions in wanted.items()
        }
        outcomes: dict[str, str | Exception] = {}
        for event in events:
            told = []
            for noun, object_id in event.concerns:
                result = results[noun.name][event.stripe_account, object_id]
                if isinstance(result, BillingError) and is_hopeless(result):
                    odd = Oddity(noun.name, object_id, result.message)
                    log_oddities(event.stripe_account, [odd])
                    told.append(f"{noun.name} {object_id} cannot be read: {result.message}")
                elif isinstance(result, Exception):
                    outcomes[event.event_id] = result
                    break
                else:
                    told.append(f"{noun.name} {object_id} {result}")
            else:
                outcomes[event.event_id] = "; ".join(told)
        return outcomes

    async def _read_unless_seen(
        self, noun: Noun[Any], wanted: Mapping[ObjectKey, Version]
    ) -> Mapping[ObjectKey, str | Exception]:
        rows = await self._writer.rows(noun, wanted)

        async def one(key: ObjectKey) -> str | Exception:
            row, since = rows.get(key), wanted[key]
            if row and row.snapshot and row.snapshot.version.surely_after(since):
                return "seen since"
            try:
                result = (await self.read(noun, {key: since.high}))[key]
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, other objects go on
                return error
            return result if isinstance(result, Exception) else f"re-read: {in_words(result)}"

        return dict(zip(wanted, await asyncio.gather(*map(one, wanted)), strict=True))

    async def _read(
        self, noun: Noun[Any], key: ObjectKey, not_before_ms: int
    ) -> Snapshot[Any] | BillingError:
        stripe_account, object_id = key
        async with self._free:
            try:
                return await self._objects.read(
                    noun,
                    stripe_account,
                    object_id,
                    not_before_ms=not_before_ms,
                    priority=Priority.REREAD,
                )
            except BillingError as error:
                return error


def in_words(verdict: Verdict) -> str:
    """A verdict, as it is written on the event."""
    applied = verdict.decision is Decision.REPLACE
    return f"{'applied' if applied else 'ignored'}: {verdict.why}"
