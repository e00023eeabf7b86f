"""The mirror's writer: every observation of a Stripe object goes through here into the mirror."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from application.mirror.ports import Closings, Mirror, Noun
from domain.errors import RateLimited, Reason
from domain.mirror import (
    LAST,
    Facet,
    MirroredObject,
    Row,
    Snapshot,
    Verdict,
    last_facet,
    resolve,
)

T = TypeVar("T", bound=MirroredObject)

ObjectKey = tuple[str, str]
"""Which object: its Stripe account, and its id."""

MAX_ROUNDS: Final = 5
"""How often a decision is made again because somebody else wrote the row meanwhile."""


class MirrorWriter:
    """Decides on observations and stores what stands.

    Webhooks, answers of mutations, re-reads and (later) backfills all use it, at once and in any
    order: a row is written only by someone who has decided against the very revision that it has.
    """

    def __init__(self, mirror: Mirror, closings: Closings | None = None) -> None:
        """Without `closings` no change is a restatement: a shadow's are none."""
        self._mirror = mirror
        self._closings = closings

    async def observe(self, noun: Noun[T], snapshots: Sequence[Snapshot[T]]) -> list[Verdict]:
        """The verdict on each observation, in their order; what stands is durable on return.

        At most 1,000. Idempotent. Observations of one object are decided in the order given, but
        that events of the same second stand after those that they are known to follow. Raises
        RateLimited (OVERLOADED) where a row would not come to rest, Unavailable where the store is
        down.
        """
        verdicts: dict[int, Verdict] = {}
        waiting = list(enumerate(snapshots))
        for _ in range(MAX_ROUNDS):
            rows = await self.rows(noun, ((one.stripe_account, one.id) for _, one in waiting))
            standing: dict[ObjectKey, Snapshot[T]] = {}
            outlived: list[Snapshot[T]] = []
            for index, snapshot in _in_succession(waiting):
                key = (snapshot.stripe_account, snapshot.id)
                row = rows.get(key)
                stored = standing.get(key) or (row.snapshot if row else None)
                verdicts[index], change = resolve(stored, snapshot, noun.rank)
                if noun.last and stored is not None:
                    outlived += _outlived(stored, snapshot, change)
                if change is not None:
                    standing[key] = change
            if outlived:
                await self._keep_last(noun, outlived, rows)
            changes = [
                (change, rows[key].revision if key in rows else 0)
                for key, change in standing.items()
            ]
            lost = set(await self._replace(noun, changes)) if changes else set()
            waiting = [(i, s) for i, s in waiting if (s.stripe_account, s.id) in lost]
            if not waiting:
                return [verdicts[index] for index in range(len(snapshots))]
        message = f"{noun.name}: rows keep changing under the decision"
        raise RateLimited(Reason.OVERLOADED, message, retry_after_seconds=1)

    async def _replace(
        self, noun: Noun[T], changes: Sequence[tuple[Snapshot[T], int]]
    ) -> Sequence[ObjectKey]:
        """Store what stands; what is closed is asked for where changes are kept, and only there."""
        if not noun.kept or self._closings is None:
            return await self._mirror.replace(noun, changes)
        closed = {}
        for stripe_account in {snapshot.stripe_account for snapshot, _ in changes}:
            closing = await self._closings.closing(stripe_account)
            if closing is not None:
                closed[stripe_account] = closing
        return await self._mirror.replace(noun, changes, closed=closed)

    async def _keep_last(
        self, noun: Noun[T], outlived: Sequence[Snapshot[T]], rows: Mapping[ObjectKey, Row[T]]
    ) -> None:
        """Keep what deleted objects were called: before the tombstones, so that none is without."""
        facets: dict[ObjectKey, Facet] = {}
        for one in outlived:
            key = (one.stripe_account, one.id)
            row = rows.get(key) or Row(*key, 0, None)
            if key in facets:
                row = replace(row, derived={LAST: facets[key]})
            facet = last_facet(one, row, noun.last)
            if facet is not None and not _later(row.derived.get(LAST), facet):
                facets[key] = facet
        if facets:
            await self._mirror.derive(noun, list(facets.values()))

    async def rows(self, noun: Noun[T], keys: Iterable[ObjectKey]) -> dict[ObjectKey, Row[T]]:
        """The rows of the keys (at most 1,000), as they are now; absent ones left out."""
        ids: dict[str, set[str]] = defaultdict(set)
        for stripe_account, object_id in keys:
            ids[stripe_account].add(object_id)
        return {
            (stripe_account, row.id): row
            for stripe_account, wanted in ids.items()
            for row in (await self._mirror.fetch(noun, stripe_account, sorted(wanted))).values()
        }


def _outlived(
    stored: Snapshot[T], incoming: Snapshot[T], change: Snapshot[T] | None
) -> Sequence[Snapshot[T]]:
    """The observation of a live object that a tombstone stands against, whichever came first."""
    if change is not None:
        return [stored] if change.deleted and not stored.deleted else ()
    return [incoming] if stored.deleted and not incoming.deleted else ()


def _later(one: Facet | None, other: Facet) -> bool:
    return one is not None and one.version.place() > other.version.place()


def _in_succession(observations: list[tuple[int, Snapshot[T]]]) -> list[tuple[int, Snapshot[T]]]:
    """The same observations, each after the ones whose state it is known to have followed.

    Between observations of other objects or other times the order stays as it is.
    """
    ties: dict[tuple[str, str, int], list[tuple[int, Snapshot[T]]]] = defaultdict(list)
    for index, snapshot in observations:
        ties[snapshot.stripe_account, snapshot.id, snapshot.version.high].append((index, snapshot))
    return [item for tie in ties.values() for item in (_chained(tie) if len(tie) > 2 else tie)]


def _chained(tie: list[tuple[int, Snapshot[T]]]) -> list[tuple[int, Snapshot[T]]]:
    """A few observations of one object and time, put one behind the other as far as they tell."""
    left, chain = list(tie), []
    while left:
        nexts = [item for item in left if not any(_follows(item[1], o[1]) for o in left)]
        chosen = nexts[0] if nexts else left[0]
        chain.append(chosen)
        left.remove(chosen)
    return chain


def _follows(one: Snapshot[T], other: Snapshot[T]) -> bool:
    if one is other or other.object is None:  # None among the befores is no deletion
        return False
    return other.object in one.befores and one.object not in other.befores
