"""Evidence in MongoDB: one document an event and first read."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from typing_extensions import override

from application.facts.ports import MAX_EVIDENCE, MAX_ROWS, EvidenceStore
from domain.evidence import Evidence
from domain.periods import to_milliseconds
from infrastructure.documents import check_bounds, to_builtins
from infrastructure.evidence import converted_evidence, kind_of, subject_of
from infrastructure.mongo.core.collection import (
    ASCENDING,
    BY_ID,
    Collection,
    Document,
    Indexes,
    index,
)
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.core.keys import restored, storable

_EVIDENCE: Final = "billing.evidence"
_BY_SUBJECT: Final = "stripe_account_subject_at_id"

INDEXES: Final[Indexes] = {_EVIDENCE: [index("stripe_account", "subject", "at", "id")]}

_IN_ORDER: Final = [("at", ASCENDING), ("id", ASCENDING)]


class MongoEvidenceStore(EvidenceStore):
    """EvidenceStore on MongoDB. `_id` is `"<Stripe account>/<id>"`; `shown` is the row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def append(self, stripe_account: str, rows: Sequence[Evidence]) -> None:
        check_bounds(len(rows))
        if rows:
            await self._evidence.insert_many([_document(stripe_account, row) for row in rows])

    @override
    async def of(
        self, stripe_account: str, subjects: Sequence[str]
    ) -> Mapping[str, Sequence[Evidence]]:
        check_bounds(len(subjects))
        if not subjects:
            return {}
        most = MAX_EVIDENCE if len(subjects) == 1 else 2 * MAX_EVIDENCE
        found = await self._evidence.find(
            {"stripe_account": stripe_account, "subject": {"$in": list(dict.fromkeys(subjects))}},
            sort=None if len(subjects) > 1 else _IN_ORDER,
            limit=most,
            hint=_BY_SUBJECT,
        )
        if len(found) == most and len(subjects) > 1:  # too many at once: each by itself
            apart = [
                await self.of(stripe_account, [subject]) for subject in dict.fromkeys(subjects)
            ]
            return {subject: rows for each in apart for subject, rows in each.items()}
        rows: dict[str, list[Evidence]] = defaultdict(list)
        for document in sorted(found, key=lambda document: (document["at"], document["id"])):
            shown = restored(document["shown"])
            rows[document["subject"]].append(converted_evidence(document["kind"], shown))
        return rows

    @override
    async def known(self, stripe_account: str, ids: Sequence[str]) -> frozenset[str]:
        check_bounds(len(ids))
        if not ids:
            return frozenset()
        found = await self._evidence.find(
            {"_id": {"$in": [f"{stripe_account}/{id_}" for id_ in ids]}},
            fields={"_id": 1},
            limit=len(ids),
            hint=BY_ID,
        )
        start = len(stripe_account) + 1
        return frozenset(document["_id"][start:] for document in found)

    @override
    async def subjects(self, stripe_account: str, *, after: str = "") -> Sequence[str]:
        found = await self._evidence.find(
            {"stripe_account": stripe_account, "subject": {"$gt": after}},
            sort=[("subject", ASCENDING), *_IN_ORDER],
            fields={"_id": 0, "subject": 1},
            limit=MAX_ROWS,
            hint=_BY_SUBJECT,
        )
        return list(dict.fromkeys(document["subject"] for document in found))

    @property
    def _evidence(self) -> Collection:
        return self._database.collection(_EVIDENCE)


def _document(stripe_account: str, row: Evidence) -> Document:
    return {
        "_id": f"{stripe_account}/{row.id}",
        "stripe_account": stripe_account,
        "id": row.id,
        "subject": subject_of(row),
        "at": to_milliseconds(row.at),
        "kind": kind_of(row),
        "shown": storable(to_builtins(row)),
    }
