"""Questions about revenue as SQL: bucket edges in, sums out, read from a covering index alone.

The buckets come first in the join (CROSS JOIN keeps that order), so each is one range of the index
`(stripe_account, status, created, currency, amount_captured, id)` and no row is ever read.
"""

import datetime as dt
import sqlite3
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from application.analytics.ports import StatusRow, VolumeRow
from domain.periods import to_milliseconds
from infrastructure.documents import to_json
from infrastructure.sqlite.core.database import Database

_CHARGES_BY_BUCKET: Final = (
    ' FROM json_each(:buckets) AS bucket CROSS JOIN "billing.charges" AS charge'
    " WHERE charge.stripe_account = :stripe_account AND charge.status = :status"
    " AND charge.created >= json_extract(bucket.value, '$[0]')"
    " AND charge.created < json_extract(bucket.value, '$[1]')"
)
_ONE_CURRENCY: Final = " AND charge.currency = :currency"
_GROUPED: Final = " GROUP BY bucket.key, charge.currency"

_VOLUME: Final = (
    "SELECT bucket.key, charge.currency, sum(charge.amount_captured), count(*)" + _CHARGES_BY_BUCKET
)
_COUNTS: Final = "SELECT bucket.key, charge.currency, :status, count(*)" + _CHARGES_BY_BUCKET


class SqliteAnalytics:
    """`application.analytics.ports.Analytics` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def gross_volume(
        self, stripe_account: str, edges: Sequence[dt.datetime], currency: str | None
    ) -> Sequence[VolumeRow]:
        rows = await self._ask(_VOLUME, stripe_account, edges, currency, ("succeeded",))
        return [VolumeRow(*row) for row in rows]

    async def charge_counts(
        self,
        stripe_account: str,
        edges: Sequence[dt.datetime],
        currency: str | None,
        statuses: Sequence[str],
    ) -> Sequence[StatusRow]:
        rows = await self._ask(_COUNTS, stripe_account, edges, currency, statuses)
        return [StatusRow(*row) for row in rows]

    async def _ask(
        self,
        question: str,
        stripe_account: str,
        edges: Sequence[dt.datetime],
        currency: str | None,
        statuses: Sequence[str],
    ) -> Sequence[Any]:
        """The rows of a question, asked once for each distinct status."""
        statement = question + (_ONE_CURRENCY if currency is not None else "") + _GROUPED

        def job(connection: sqlite3.Connection) -> Sequence[Any]:
            values = {
                "buckets": to_json(list(pairwise(map(to_milliseconds, edges)))).decode(),
                "stripe_account": stripe_account,
                "currency": currency,
            }
            return [
                row
                for status in dict.fromkeys(statuses)
                for row in connection.execute(statement, values | {"status": status})
            ]

        return await self._database.read(job)
