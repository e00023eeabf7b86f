"""Invoice totals as SQL: one range of an index a status, from the covering one without a row."""

import datetime as dt
import sqlite3
from collections.abc import Sequence
from typing import Final

from application.invoices.totals_port import TotalsFilter, TotalsRow
from domain.periods import to_milliseconds
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.names import MIN_INTEGER

_MAX_INTEGER: Final = 2**63 - 1

_OVERDUE: Final = "due_date < :now"
_TOTALS: Final = (
    f"SELECT currency, :status, count(*), sum(counted), count(*) FILTER (WHERE {_OVERDUE}),"
    f" coalesce(sum(counted) FILTER (WHERE {_OVERDUE}), 0)"
    ' FROM "billing.invoices" WHERE stripe_account = :stripe_account AND status = :status'
    " AND created >= :after AND created < :before"
)
_OF_CUSTOMER: Final = " AND customer = :customer"
_GROUPED: Final = " GROUP BY currency"


class SqliteInvoiceTotals:
    """`application.invoices.totals_port.InvoiceTotals` on one SQLite file."""

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
        statement = _TOTALS + (_OF_CUSTOMER if where.customer else "") + _GROUPED
        after, before = where.created_after, where.created_before
        values = {
            "stripe_account": stripe_account,
            "customer": where.customer,
            "after": MIN_INTEGER if after is None else to_milliseconds(after),
            "before": _MAX_INTEGER if before is None else to_milliseconds(before),
            "now": to_milliseconds(now),
        }

        def job(connection: sqlite3.Connection) -> Sequence[TotalsRow]:
            return [
                TotalsRow(*row)
                for status in dict.fromkeys(statuses)
                for row in connection.execute(statement, values | {"status": status})
            ]

        return await self._database.read(job)
