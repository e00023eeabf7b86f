"""Invoice totals as a pipeline over the mirror's columns, from the covering index without a row."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

from application.invoices.totals_port import TotalsFilter, TotalsRow
from application.mirror.nouns import INVOICES
from domain.periods import to_milliseconds
from infrastructure.mongo.core.collection import Document
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.mirror.rows import mirror_index

_COVERING: Final = mirror_index(("status", "created", "currency", "due_date", "counted"))
_OF_CUSTOMER: Final = mirror_index(("customer", "status", "created"))


class MongoInvoiceTotals:
    """`application.invoices.totals_port.InvoiceTotals` on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def totals(
        self,
        stripe_account: str,
        where: TotalsFilter,
        statuses: Sequence[str],
        *,
        now: dt.datetime,
    ) -> Sequence[TotalsRow]:
        overdue = _overdue(to_milliseconds(now))
        groups = await self._database.collection(INVOICES.collection).aggregate(
            [
                {"$match": _match(stripe_account, where, statuses)},
                {
                    "$group": {
                        "_id": {"currency": "$currency", "status": "$status"},
                        "count": {"$sum": 1},
                        "amount": {"$sum": "$counted"},
                        "overdue_count": {"$sum": {"$cond": [overdue, 1, 0]}},
                        "overdue_amount": {"$sum": {"$cond": [overdue, "$counted", 0]}},
                    }
                },
            ],
            hint=_OF_CUSTOMER if where.customer else _COVERING,
        )
        return [TotalsRow(**group.pop("_id"), **group) for group in groups]


def _match(stripe_account: str, where: TotalsFilter, statuses: Sequence[str]) -> Document:
    bounds = {"$gte": where.created_after, "$lt": where.created_before}
    created = {name: to_milliseconds(one) for name, one in bounds.items() if one is not None}
    return {
        "stripe_account": stripe_account,
        "status": {"$in": list(statuses)},
        **({"customer": where.customer} if where.customer else {}),
        **({"created": created} if created else {}),
    }


def _overdue(now_ms: int) -> Any:
    """Whether a row's due date has passed; without one it has not: null sorts before numbers."""
    return {"$and": [{"$gt": ["$due_date", None]}, {"$lt": ["$due_date", now_ms]}]}
