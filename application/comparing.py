"""Comparing: what Stripe shows against what the mirror shows, row by row, and what is wrong."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from application.importing import Importing
from application.ports.mirror import Mirror, Noun
from application.ports.reports import MAX_FINDINGS, Drift, Finding, NounCounts
from application.ports.stripe import ObjectReader, Priority
from application.walking import Retries
from domain.mirror import Decision, Row, Snapshot, decide

PASSING_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "invoice": frozenset({"hosted_invoice_url"})  # signed anew at Stripe's pleasure
}
"""Fields whose difference is no drift."""


_READS_AT_ONCE: Final = 8

_Judged = tuple[Finding | None, Snapshot[Any]]
"""What is wrong with a row (None: nothing), and the observation that tells."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What comparing has found so far; plain data, so that a checkpoint can keep it."""

    counts: Mapping[str, NounCounts] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def compared(self, noun: str, count: int) -> "Tally":
        """The tally with so many more objects of a noun."""
        counts = self.counts.get(noun) or NounCounts(noun)
        more = replace(counts, compared=counts.compared + count)
        return replace(self, counts={**self.counts, noun: more})

    def found(self, findings: Sequence[Finding]) -> "Tally":
        """The tally with more findings: all counted, the first MAX_FINDINGS kept."""
        counts = dict(self.counts)
        for finding in findings:
            before = counts.get(finding.noun) or NounCounts(finding.noun)
            drift = finding.drift.value
            counts[finding.noun] = replace(
                before,
                repaired=before.repaired + finding.repaired,
                **{drift: getattr(before, drift) + 1},
            )
        kept = (*self.findings, *findings)[:MAX_FINDINGS]
        return Tally(counts, kept)


class Comparison:
    """Judges rows of a mirror against fresher observations, and mends them through the one rule.

    A row that an observation does not prove wrong is right: where the clocks cannot tell, the
    object is read by itself, and a row counts as extra only if Stripe says that there is no such
    object.
    """

    def __init__(
        self,
        mirror: Mirror,
        objects: ObjectReader,
        importing: Importing,
        *,
        retries: Retries | None = None,
    ) -> None:
        self._mirror = mirror
        self._objects = objects
        self._importing = importing
        self._retries = retries or Retries()

    async def judge(
        self,
        noun: Noun[Any],
        seen: Sequence[Snapshot[Any]],
        rows: Mapping[str, Row[Any]],
        *,
        repair: bool,
    ) -> list[Finding]:
        """What is wrong with the rows of one account that were observed (at most 1,000).

        `rows` are those known to the caller; the others are fetched here, later than the
        observations were made.
        """
        absent = [snapshot for snapshot in seen if snapshot.id not in rows]
        if absent:
            ids = [snapshot.id for snapshot in absent]
            rows = {**rows, **await self._mirror.fetch(noun, absent[0].stripe_account, ids)}
        judged = [await self._judge_one(noun, one, rows.get(one.id)) for one in seen]
        return await self._mend(noun, judged, repair=repair)

    async def absent(
        self, noun: Noun[Any], rows: Sequence[Row[Any]], *, repair: bool
    ) -> list[Finding]:
        """What is wrong with live rows that Stripe's list did not show: EXTRA is what is gone."""
        findings: list[Finding] = []
        for start in range(0, len(rows), _READS_AT_ONCE):
            some = rows[start : start + _READS_AT_ONCE]
            judged = await asyncio.gather(*(self._judge_absent(noun, row) for row in some))
            findings += await self._mend(noun, judged, repair=repair)
        return findings

    async def _mend(
        self, noun: Noun[Any], judged: Sequence[_Judged], *, repair: bool
    ) -> list[Finding]:
        """The findings; with `repair` what proves them is brought into the mirror first."""
        proofs = [proof for finding, proof in judged if finding is not None]
        if repair and proofs:
            await self._retries(lambda: self._importing.bring(noun, proofs, Priority.BACKFILL))
        return [replace(finding, repaired=repair) for finding, _ in judged if finding is not None]

    async def _judge_absent(self, noun: Noun[Any], row: Row[Any]) -> _Judged:
        """What is wrong with one row that was not listed: Stripe is asked for the object itself."""
        read = await self._read(noun, row.stripe_account, row.id)
        # Fetched after the read: a deletion that was told meanwhile is no drift.
        now = (await self._mirror.fetch(noun, row.stripe_account, [row.id])).get(row.id)
        if read.object is not None:
            return await self._judge_one(noun, read, now)
        return _finding(noun, read, now)[0], read

    async def _judge_one(
        self, noun: Noun[Any], seen: Snapshot[Any], row: Row[Any] | None
    ) -> _Judged:
        """What is wrong with a row, and the observation that proves it."""
        finding, sure = _finding(noun, seen, row)
        if sure:
            return finding, seen
        read = await self._read(noun, seen.stripe_account, seen.id)
        now = (await self._mirror.fetch(noun, seen.stripe_account, [seen.id])).get(seen.id)
        # A row that changes under two reads is alive: whoever changes it settles it.
        finding, sure = _finding(noun, read, now)
        return (finding if sure else None), read

    async def _read(self, noun: Noun[Any], stripe_account: str, object_id: str) -> Snapshot[Any]:
        return await self._retries(
            lambda: self._objects.read(
                noun, stripe_account, object_id, not_before_ms=None, priority=Priority.BACKFILL
            )
        )


def _finding(
    noun: Noun[Any], seen: Snapshot[Any], row: Row[Any] | None
) -> tuple[Finding | None, bool]:
    """What is wrong with a row as an observation has it, and whether the clocks prove that."""
    stored = row.snapshot if row else None
    if seen.object is None:  # deleted while the page was completed
        live = stored is not None and not stored.deleted
        return (Finding(noun.name, seen.id, Drift.EXTRA) if live else None), True
    if stored is None:
        return Finding(noun.name, seen.id, Drift.MISSING), True
    differing = () if stored.deleted else different_fields(noun, stored, seen)
    if not stored.deleted and not differing:
        return None, True
    verdict = decide(stored, seen, noun.rank)
    if verdict.decision is Decision.KEEP:
        return None, True
    drift = Drift.MISSING if stored.deleted else Drift.DIFFERENT
    return Finding(noun.name, seen.id, drift, differing), verdict.decision is Decision.REPLACE


def different_fields(noun: Noun[Any], one: Snapshot[Any], other: Snapshot[Any]) -> tuple[str, ...]:
    """The fields that both snapshots know and tell otherwise, but for those that are passing."""
    if one.object == other.object:  # nearly always: all fields at once are cheaper than each apart
        return ()
    left = one.unknown | other.unknown | PASSING_FIELDS.get(noun.name, frozenset())
    return tuple(
        known.name
        for known in fields(noun.type)
        if known.name not in left
        and getattr(one.object, known.name) != getattr(other.object, known.name)
    )
