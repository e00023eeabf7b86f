"""Proof of facts: what stands is what follows from the evidence, computed anew."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import msgspec
from typing_extensions import override

from application.facts.clock import INTERVAL_SECONDS
from application.facts.ports import EvidenceStore, Topic
from application.facts.posting import Lack, Posting
from application.mirror.nouns import CHARGES, DISPUTES
from application.mirror.ports import Filter, Mirror, Noun, Order
from application.requests.paging import Position, Scalar
from application.upkeep.ports import Check, Difference, Proved, Prover
from domain.subscriber_figures import whole

BLOCK: Final = 200
"""How many subjects are proved between two checkpoints."""

_LOOKS: Final = 3
_WAITS: Final = 20
"""How often a proof waits in all for what is being posted."""

_NOUNS: Final[tuple[tuple[Noun[Any], Topic], ...]] = (
    (CHARGES, Topic.CHARGE),
    (DISPUTES, Topic.DISPUTE),
)
_OLDEST_FIRST: Final = Order("created", descending=False)

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a proof is: first at the customers who have evidence, then at charges and disputes."""

    part: int = 0
    customer: str = ""
    value: Scalar | None = None
    id: str = ""
    waits: int = 0


class FactsProof(Prover):
    """Computes the facts of all customers, charges and disputes anew; posts nothing.

    What differs is looked at again after the loop that posts what is due had its turn.
    """

    check: ClassVar[Check] = Check.FACTS

    def __init__(
        self,
        posting: Posting,
        evidence: EvidenceStore,
        mirror: Mirror,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._posting = posting
        self._evidence = evidence
        self._mirror = mirror
        self._sleep = sleep

    @override
    async def block(self, stripe_account: str, place: Mapping[str, Any]) -> Proved:
        at = msgspec.convert(place, _Place)
        if at.part == 0:
            following, subjects = await self._customers(stripe_account, at)
            topic = Topic.CUSTOMER
        else:
            noun, topic = _NOUNS[at.part - 1]
            following, subjects = await self._objects(stripe_account, noun, at)
        checked, differences, waits = await self._proved(stripe_account, topic, subjects, at.waits)
        following = replace(following, waits=waits)
        ended = following.part > len(_NOUNS)
        told = None if ended else msgspec.to_builtins(following)
        return Proved(checked, differences, len(subjects), told)

    async def _customers(self, stripe_account: str, at: _Place) -> tuple[_Place, Sequence[str]]:
        found = await self._evidence.subjects(stripe_account, after=at.customer)
        subjects = found[:BLOCK]
        if not subjects:
            return replace(at, part=1), ()
        return replace(at, customer=subjects[-1]), subjects

    async def _objects(
        self, stripe_account: str, noun: Noun[Any], at: _Place
    ) -> tuple[_Place, Sequence[str]]:
        page = await self._mirror.list(
            noun,
            stripe_account,
            Filter(),
            order=_OLDEST_FIRST,
            after=None if at.value is None else Position(at.value, at.id),
            limit=BLOCK,
        )
        ids = [row.id for row in page.rows]
        if page.next is None:
            return replace(at, part=at.part + 1, value=None, id=""), ids
        return replace(at, value=page.next.value, id=page.next.id), ids

    async def _proved(
        self, stripe_account: str, topic: Topic, subjects: Sequence[str], waits: int
    ) -> tuple[int, Sequence[Difference], int]:
        """How much was checked of subjects, what differs, and how often this proof has waited."""
        if not subjects:
            return 0, (), waits
        checked, lacks, failed = await self._posting.lacking(stripe_account, topic, subjects)
        for _ in range(_LOOKS - 1):
            if not lacks or waits >= _WAITS:
                break
            await self._sleep(1.5 * INTERVAL_SECONDS)
            waits += 1
            again = sorted({lack.fact.statement.subject for lack in lacks})
            _, lacks, _ = await self._posting.lacking(stripe_account, topic, again)
        differences = [_difference(lack) for lack in lacks]
        differences += [
            Difference(
                self.check, f"{topic} {id_}: no facts follow from its evidence", "", None, None
            )
            for id_ in sorted(failed)
        ]
        return checked, differences, waits


def _difference(lack: Lack) -> Difference:
    said = lack.fact.statement
    amount, count = lack.stood or (0, 0)
    subject = f"{said.series} of {said.subject}: {said.kind} at {said.at:%Y-%m-%dT%H:%M:%SZ}"
    if not said.currency:
        subject += f", {count + said.count} expected, {count} found"
        return Difference(Check.FACTS, subject, "", None, None)
    found = None if lack.stood is None else whole(amount)
    return Difference(Check.FACTS, subject, said.currency, whole(amount + said.amount), found)
