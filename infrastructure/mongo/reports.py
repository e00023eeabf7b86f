"""The reports port: one document a report."""

from collections.abc import Sequence
from typing import Final

import msgspec
from typing_extensions import override

from application.upkeep.ports import Report, Reports
from domain.periods import from_milliseconds
from infrastructure.documents import to_builtins
from infrastructure.mongo.core.collection import DESCENDING, Collection, Document, Indexes, index
from infrastructure.mongo.core.database import Database

_REPORTS: Final = "billing.reports"
_BY_START: Final = "stripe_account_started_at_id"

INDEXES: Final[Indexes] = {
    _REPORTS: [index("stripe_account", "started_at", "id", name=_BY_START)],
}


class MongoReports(Reports):
    """Reports on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def put(self, report: Report) -> None:
        id_ = _id(report.stripe_account, report.id)
        await self._reports.replace_one({"_id": id_}, to_builtins(report))

    @override
    async def get(self, stripe_account: str, report_id: str) -> Report | None:
        found = await self._reports.find_one({"_id": _id(stripe_account, report_id)})
        return None if found is None else msgspec.convert(found, Report)

    @override
    async def newest(
        self, stripe_account: str, *, after: tuple[int, str] | None, limit: int
    ) -> Sequence[Report]:
        pages: list[Document] = [{}]
        if after is not None:
            start = from_milliseconds(after[0])
            pages = [{"started_at": {"$lt": start}}, {"started_at": start, "id": {"$lt": after[1]}}]
        branches = [{"stripe_account": stripe_account, **page} for page in pages]
        found = await self._reports.find(
            branches[0] if len(branches) == 1 else {"$or": branches},
            sort=[("started_at", DESCENDING), ("id", DESCENDING)],
            limit=limit,
            hint=_BY_START,
        )
        return [msgspec.convert(document, Report) for document in found]

    @property
    def _reports(self) -> Collection:
        return self._database.collection(_REPORTS)


def _id(stripe_account: str, report_id: str) -> Document:
    return {"stripe_account": stripe_account, "id": report_id}
