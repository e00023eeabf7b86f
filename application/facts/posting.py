"""Posting: what should stand of a subject is compared with what stands, and the rest is posted."""

import asyncio
import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from application.background.clock import Clock
from application.facts.gathering import AT_ONCE, Gathering
from application.facts.ports import MAX_ROWS, Due, Dues, FactStore, Topic
from application.mirror.ports import Closings
from domain.errors import Reason, Unavailable
from domain.evidence import ChargeEvidence, CustomerEvidence, DisputeEvidence
from domain.facts import Fact, Series, Statement, difference, stood
from domain.mrr import due_at, statements_of
from domain.periods import to_milliseconds
from domain.revenue_lines import statements_of_charge, statements_of_dispute

SERIES: Final[Mapping[Topic, Sequence[Series]]] = {
    Topic.CUSTOMER: (Series.MRR, Series.NEW_CUSTOMER, Series.FIRST_PAYMENT, Series.TRIAL),
    Topic.CHARGE: (Series.REVENUE_LINE,),
    Topic.DISPUTE: (Series.DISPUTE_CLOSED,),
}

_MAX_ROUNDS: Final = 100
"""How often a subject is looked at anew while others post about it."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Posted:
    """What came of posting: how many facts, and whose evidence could not be understood.

    `next_at`: when the facts of a subject change next without an event.
    """

    facts: int = 0
    next_at: dict[str, dt.datetime] = field(default_factory=dict)
    failed: dict[str, Exception] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lack:
    """A fact that would be posted, and what stands of the same; None where nothing does."""

    fact: Fact
    stood: tuple[int, int] | None


@dataclass(slots=True)
class _Should:
    """What should stand of subjects, and whose facts change next without an event."""

    statements: dict[str, Sequence[Statement]] = field(default_factory=dict)
    dues: list[Due] = field(default_factory=list)
    failed: dict[str, Exception] = field(default_factory=dict)


class Posting:
    """Posts differences, so that late and double evidence does no harm, nor a rebuild.

    What stands is read before the evidence, and what was posted is looked at once more: so of two
    who post about a subject at once the one who has seen less does not have the last word
    (docs/decisions/0047). In a process one at a time posts of a Stripe account.
    """

    def __init__(
        self,
        gathering: Gathering,
        facts: FactStore,
        dues: Dues,
        clock: Clock,
        closings: Closings,
    ) -> None:
        self._closings = closings
        self._gathering = gathering
        self._facts = facts
        self._dues = dues
        self._clock = clock
        self._alone: dict[str, asyncio.Lock] = {}

    async def post(
        self,
        stripe_account: str,
        topic: Topic,
        subjects: Iterable[str],
        *,
        charged: Collection[str] | None = None,
    ) -> Posted:
        """Let stand what should of some subjects. Durable on return; idempotent.

        `charged` are the customers of whom something new is known about a charge: when the others
        first paid stands. None: everybody's first payment is looked for.

        A subject whose evidence makes no sense is told of, and holds up no other. Raises
        Unavailable where the store is away, or others post about a subject again and again.
        """
        posted, wanted = Posted(), sorted(set(subjects))
        async with self._alone.setdefault(stripe_account, asyncio.Lock()):
            for start in range(0, len(wanted), AT_ONCE):
                some = wanted[start : start + AT_ONCE]
                await self._settle(stripe_account, topic, some, charged, posted)
        return posted

    async def lacking(
        self, stripe_account: str, topic: Topic, subjects: Sequence[str]
    ) -> tuple[int, Sequence[Lack], Mapping[str, Exception]]:
        """What would be posted of some subjects, at most AT_ONCE; nothing is.

        First of how many series and subjects there is something; at last whose evidence makes no
        sense. Raises Unavailable where the store is away.
        """
        standing = await self._facts.standing(stripe_account, SERIES[topic], subjects)
        should = await self._should(stripe_account, topic, subjects, None)
        lacks = [
            Lack(fact, stood(fact, standing.get(_key(fact), ())))
            for fact in self._offered(topic, should.statements, standing)
        ]
        stated = {(each.series, id_) for id_, own in should.statements.items() for each in own}
        return len(stated | standing.keys()), lacks, should.failed

    async def _settle(
        self,
        stripe_account: str,
        topic: Topic,
        subjects: Sequence[str],
        charged: Collection[str] | None,
        posted: Posted,
    ) -> None:
        left = subjects
        for _ in range(_MAX_ROUNDS):
            standing = await self._facts.standing(stripe_account, SERIES[topic], left)
            stood = None if charged is None else _first_payments(standing, {*left} - {*charged})
            should = await self._should(stripe_account, topic, left, stood)
            posted.failed |= should.failed
            posted.next_at |= {due.subject: due.due_at for due in should.dues}
            for place in range(0, len(should.dues), MAX_ROWS):
                await self._dues.plan(should.dues[place : place + MAX_ROWS])
            offered = self._offered(topic, should.statements, standing)
            if not offered:
                return
            count = await self._post(stripe_account, await self._marked(stripe_account, offered))
            posted.facts += count
            if count == len(offered) and not self._facts.shared:
                return
            left = list(dict.fromkeys(fact.statement.subject for fact in offered))
        raise Unavailable(Reason.STORE_UNAVAILABLE, "others post facts of the same; try again")

    async def _marked(self, stripe_account: str, facts: Sequence[Fact]) -> Sequence[Fact]:
        """The facts, marked where their time is closed."""
        closing = await self._closings.closing(stripe_account)
        if closing is None:
            return facts
        return [replace(fact, late=to_milliseconds(fact.statement.at) < closing) for fact in facts]

    async def _post(self, stripe_account: str, facts: Sequence[Fact]) -> int:
        """Post in order, up to the first whose place is taken."""
        count = 0
        for start in range(0, len(facts), MAX_ROWS):
            some = facts[start : start + MAX_ROWS]
            done = await self._facts.post(stripe_account, some)
            count += done
            if done < len(some):
                break
        return count

    def _offered(
        self,
        topic: Topic,
        should: Mapping[str, Sequence[Statement]],
        standing: Mapping[tuple[Series, str], Sequence[Fact]],
    ) -> list[Fact]:
        now, facts = self._clock.now(), list[Fact]()
        for subject, statements in should.items():
            own: dict[Series, list[Statement]] = defaultdict(list)
            for statement in statements:
                own[statement.series].append(statement)
            for series in SERIES[topic]:
                stands = standing.get((series, subject), ())
                if series in own or stands:
                    facts += difference(own[series], stands, now)
        return facts

    async def _should(
        self,
        stripe_account: str,
        topic: Topic,
        subjects: Sequence[str],
        first_paid: Mapping[str, dt.datetime | None] | None,
    ) -> _Should:
        should, now = _Should(), self._clock.now()
        evidence: Mapping[str, CustomerEvidence | ChargeEvidence | DisputeEvidence]
        if topic is Topic.CUSTOMER:
            evidence = await self._gathering.customers(stripe_account, subjects, first_paid)
        elif topic is Topic.CHARGE:
            evidence = await self._gathering.charges(stripe_account, subjects)
        else:
            evidence = await self._gathering.disputes(stripe_account, subjects)
        for subject, told in evidence.items():
            try:
                if isinstance(told, CustomerEvidence):
                    should.statements[subject] = statements_of(told, now)
                    next_at = due_at(told, now)
                    if next_at is not None:
                        should.dues.append(Due(stripe_account, topic, subject, next_at))
                elif isinstance(told, ChargeEvidence):
                    should.statements[subject] = statements_of_charge(told)
                else:
                    should.statements[subject] = statements_of_dispute(told)
            except Exception as error:  # noqa: BLE001 - whatever it is, other subjects go on
                facts = {"stripe_account": stripe_account, "topic": topic, "subject": subject}
                _log.exception("facts do not follow from evidence", extra=facts)
                should.failed[subject] = error
        return should


def _key(fact: Fact) -> tuple[Series, str]:
    return fact.statement.series, fact.statement.subject


def _first_payments(
    standing: Mapping[tuple[Series, str], Sequence[Fact]], customers: Iterable[str]
) -> Mapping[str, dt.datetime | None]:
    """When customers first paid, as it stands."""
    found: dict[str, dt.datetime | None] = {}
    for customer in customers:
        counts: dict[dt.datetime, int] = defaultdict(int)
        for fact in standing.get((Series.FIRST_PAYMENT, customer), ()):
            counts[fact.statement.at] += fact.statement.count
        found[customer] = next((at for at, count in counts.items() if count > 0), None)
    return found
