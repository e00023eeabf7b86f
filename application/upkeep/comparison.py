"""Comparing: what Stripe shows against what the mirror shows, row by row, and what is wrong."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from application.background.retries import Retries
from application.mirror.importer import Importer
from application.mirror.ports import Mirror, Noun
from application.mirror.stripe import ObjectReader, Priority
from application.upkeep.ports import MAX_FINDINGS, Drift, Finding, NounCounts
from domain.errors import BillingError
from domain.mirror import Decision, Row, Snapshot, decide
from domain.oddities import Oddities, Oddity, oddity_of

PASSING_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "invoice": frozenset({"hosted_invoice_url"})  # signed anew at Stripe's pleasure
}
"""Fields whose difference is no drift."""


_READS_AT_ONCE: Final = 8

_Judged = tuple[Finding | None, Snapshot[Any]]
"""What is wrong with a row (None: nothing), and the observation that tells."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What looking at some rows has shown: what is wrong, and what is not understood."""

    findings: Sequence[Finding] = ()
    oddities: Sequence[Oddity] = ()

    def plus(self, other: "Judgement") -> "Judgement":
        """This one and another."""
        return Judgement((*self.findings, *other.findings), (*self.oddities, *other.oddities))


@dataclass(frozen=True, slots=True)
class Tally:
    """What comparing has found so far; plain data, so that a checkpoint can keep it."""

    counts: Mapping[str, NounCounts] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    oddities: Oddities = field(default_factory=Oddities)

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
        return replace(self, counts=counts, findings=kept)

    def not_understood(self, noun: str, oddities: Sequence[Oddity]) -> "Tally":
        """The tally with more objects of a noun that are not understood, each counted once."""
        if not oddities:
            return self
        now = self.oddities.plus(oddities)
        counts = self.counts.get(noun) or NounCounts(noun)
        more = counts.not_understood + now.count - self.oddities.count
        told = replace(counts, not_understood=more)
        return replace(self, counts={**self.counts, noun: told}, oddities=now)


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
        importer: Importer,
        *,
        retries: Retries | None = None,
    ) -> None:
        self._mirror = mirror
        self._objects = objects
        self._importer = importer
        self._retries = retries or Retries()

    async def judge(
        self,
        noun: Noun[Any],
        seen: Sequence[Snapshot[Any]],
        rows: Mapping[str, Row[Any]],
        *,
        repair: bool,
    ) -> Judgement:
        """What is wrong with the rows of one account that were observed (at most 1,000).

        `rows` are those known to the caller; the others are fetched here, later than the
        observations were made.
        """
        absent = [snapshot for snapshot in seen if snapshot.id not in rows]
        if absent:
            ids = [snapshot.id for snapshot in absent]
            rows = {**rows, **await self._mirror.fetch(noun, absent[0].stripe_account, ids)}
        judged = [
            await self._unless_odd(noun, one.id, self._judge_one(noun, one, rows.get(one.id)))
            for one in seen
        ]
        return await self._mend(noun, judged, repair=repair)

    async def absent(self, noun: Noun[Any], rows: Sequence[Row[Any]], *, repair: bool) -> Judgement:
        """What is wrong with live rows that Stripe's list did not show: EXTRA is what is gone."""
        judgement = Judgement()
        for start in range(0, len(rows), _READS_AT_ONCE):
            some = rows[start : start + _READS_AT_ONCE]
            judged = await asyncio.gather(
                *(self._unless_odd(noun, row.id, self._judge_absent(noun, row)) for row in some)
            )
            judgement = judgement.plus(await self._mend(noun, judged, repair=repair))
        return judgement

    async def _mend(
        self, noun: Noun[Any], judged: Sequence[_Judged | Oddity], *, repair: bool
    ) -> Judgement:
        """The judgement; with `repair` what proves it is brought into the mirror first."""
        oddities = [one for one in judged if isinstance(one, Oddity)]
        wrong = [
            (one[0], one[1]) for one in judged if not isinstance(one, Oddity) and one[0] is not None
        ]
        if repair and wrong:
            proofs = [proof for _, proof in wrong]
            brought = await self._retries(
                lambda: self._importer.bring(noun, proofs, Priority.BACKFILL)
            )
            oddities += brought.oddities
        left = {one.id for one in oddities}
        findings = [replace(one, repaired=repair and one.id not in left) for one, _ in wrong]
        return Judgement(findings, oddities)

    async def _unless_odd(
        self, noun: Noun[Any], object_id: str, judging: Awaitable[_Judged]
    ) -> _Judged | Oddity:
        """What was judged; of an object that cannot be read nothing is: its row stays as it is."""
        try:
            return await judging
        except BillingError as error:
            return oddity_of(noun.name, object_id, error)

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
