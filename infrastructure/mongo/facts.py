"""Facts in MongoDB: one document a generation."""

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from secrets import SystemRandom
from typing import Final

from typing_extensions import override

from application.analytics.fact_rows import FactPlace, FactRows
from application.facts.ports import FactStore
from domain.facts import Basis, Fact, Series, Statement
from domain.periods import from_milliseconds, to_milliseconds
from infrastructure.documents import check_bounds
from infrastructure.mongo.core.collection import (
    ASCENDING,
    DESCENDING,
    Collection,
    Document,
    Indexes,
    index,
)
from infrastructure.mongo.core.database import Database

FACTS: Final = "billing.facts"
_BY_SUBJECT: Final = "stripe_account_series_subject_generation"
BY_TIME: Final = "series_time"
_LATE: Final = "late"
BY_CUSTOMER: Final = "customer_movements"
BY_KNOWLEDGE: Final = "stripe_account_series_known_at"

INDEXES: Final[Indexes] = {
    FACTS: [
        index("stripe_account", "series", "subject", "generation", name=_BY_SUBJECT, unique=True),
        # Covers figures: no document is read for them.
        index(
            "stripe_account", "series", "at", "currency", "kind", "cause", "product", "basis",
            "amount", "count", "customer", "known_at", name=BY_TIME,
        ),
        # Covers who is lost, and what moved the customers of a cohort.
        index(
            "stripe_account", "customer", "at", "series", "kind", "currency", "amount", "count",
            "known_at",
            name=BY_CUSTOMER,
        ),
        index("stripe_account", "series", "known_at", name=BY_KNOWLEDGE),
        index(
            "stripe_account", "series", "known_at", "subject", "generation", name=_LATE,
            partialFilterExpression={"late": True},
        ),
    ],
}  # fmt: skip

_MOST_FOUND: Final = 1_000_000
_PAUSE_SECONDS: Final = 0.004
_MAX_PAUSES: Final = 250
"""How often a fact that was seen to be there is looked for, about a second in all."""

_random = SystemRandom()


class MongoFactStore(FactStore, FactRows):
    """FactStore, and FactRows of analytics, on MongoDB.

    Every unique index begins with the Stripe account.
    """

    shared = True

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def standing(
        self, stripe_account: str, series: Sequence[Series], subjects: Sequence[str]
    ) -> Mapping[tuple[Series, str], Sequence[Fact]]:
        check_bounds(len(subjects))
        if not series or not subjects:
            return {}
        found = await self._facts.find(
            {
                "stripe_account": stripe_account,
                "series": {"$in": [str(each) for each in series]},
                "subject": {"$in": list(dict.fromkeys(subjects))},
            },
            sort=[
                ("series", ASCENDING),
                ("subject", ASCENDING),
                ("generation", ASCENDING),
            ],
            limit=_MOST_FOUND,
            hint=_BY_SUBJECT,
        )
        facts: dict[tuple[Series, str], list[Fact]] = defaultdict(list)
        for document in found:
            fact = _fact(document)
            facts[fact.statement.series, fact.statement.subject].append(fact)
        return facts

    @override
    async def post(self, stripe_account: str, facts: Sequence[Fact]) -> int:
        check_bounds(len(facts))
        if not facts:
            return 0
        documents = [_document(stripe_account, fact) for fact in facts]
        posted, refused_by = await self._facts.insert_in_order(documents)
        if refused_by is not None:
            await self._wait_for(documents[posted])
        return posted

    @override
    async def restated(
        self, stripe_account: str, series: Series, *, after: FactPlace | None, limit: int
    ) -> Sequence[Fact]:
        where = {"stripe_account": stripe_account, "series": str(series), "late": True}
        found = await self._facts.find(
            {**where, **_behind("known_at", after)}, sort=_last_first("known_at"), limit=limit,
            hint=_LATE,
        )  # fmt: skip
        return list(map(_fact, found))

    @override
    async def within(
        self,
        stripe_account: str,
        series: Series,
        start: dt.datetime,
        end: dt.datetime,
        *,
        currency: str,
        kinds: Sequence[str],
        known_by: dt.datetime,
        after: FactPlace | None,
        limit: int,
    ) -> Sequence[Fact]:
        until = to_milliseconds(end) if after is None else min(to_milliseconds(end), after[0] + 1)
        where: Document = {
            "stripe_account": stripe_account,
            "series": str(series),
            "at": {"$gte": to_milliseconds(start), "$lt": until},
            "known_at": {"$lte": to_milliseconds(known_by)},
            **({"currency": currency} if currency else {}),
            **({"kind": {"$in": list(kinds)}} if kinds else {}),
            **_behind("at", after),
        }
        found = await self._facts.find(where, sort=_last_first("at"), limit=limit, hint=BY_TIME)
        return list(map(_fact, found))

    async def _wait_for(self, document: Document) -> None:
        """Until what took the place of a document is with a majority, so that readers see it."""
        key = ("stripe_account", "series", "subject", "generation")
        where = {name: document[name] for name in key}
        for _ in range(_MAX_PAUSES):
            if await self._facts.find(where, limit=1, hint=_BY_SUBJECT):
                return
            await asyncio.sleep(_PAUSE_SECONDS * _random.uniform(0.25, 1))

    @property
    def _facts(self) -> Collection:
        return self._database.collection(FACTS)


def _behind(column: str, after: FactPlace | None) -> Document:
    """What comes behind a place, the last first."""
    if after is None:
        return {}
    instant, subject, generation = after
    return {
        "$or": [
            {column: {"$lt": instant}},
            {column: instant, "subject": {"$lt": subject}},
            {column: instant, "subject": subject, "generation": {"$lt": generation}},
        ]
    }


def _last_first(column: str) -> list[tuple[str, int]]:
    return [(column, DESCENDING), ("subject", DESCENDING), ("generation", DESCENDING)]


def _document(stripe_account: str, fact: Fact) -> Document:
    said = fact.statement
    return {
        "stripe_account": stripe_account,
        "series": str(said.series),
        "subject": said.subject,
        "generation": fact.generation,
        "at": to_milliseconds(said.at),
        "known_at": to_milliseconds(fact.known_at),
        "currency": said.currency,
        "amount": said.amount,
        "count": said.count,
        "kind": said.kind,
        "cause": said.cause,
        "customer": said.customer,
        "product": said.product,
        "source": said.source,
        "basis": str(said.basis),
        "restates": fact.restates,
        "late": fact.late,
    }


def _fact(found: Document) -> Fact:
    said = Statement(
        Series(found["series"]), found["subject"], from_milliseconds(found["at"]), found["kind"],
        found["currency"], found["amount"], found["count"], found["cause"], found["customer"],
        found["product"], found["source"], Basis(found["basis"]),
    )  # fmt: skip
    known_at = from_milliseconds(found["known_at"])
    return Fact(said, found["generation"], known_at, found["restates"], found["late"])
