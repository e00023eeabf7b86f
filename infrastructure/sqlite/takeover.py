"""Taking over in SQLite: one process at a time serves from a file."""

import datetime as dt
import sqlite3
from typing import Final

from typing_extensions import override

from application.background.takeover import Takeover
from domain.periods import to_milliseconds
from infrastructure.sqlite.core.database import Database

# The states are written out, since only so the partial indexes are chosen.
_END_LEASES: Final = tuple(
    f'UPDATE "{table}" SET owner = NULL, due_at = ? WHERE {held}owner IS NOT NULL'
    for table, held in (
        ("billing.mutations", "state = 'open' AND "),
        ("billing.events", "state = 'pending' AND "),
        ("queues", "state = 'pending' AND "),
        ("billing.processes", ""),
    )
)


class SqliteTakeover(Takeover):
    """`application.background.takeover.Takeover` on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def end_leases(self, *, now: dt.datetime) -> int:
        now_ms = to_milliseconds(now)

        def job(connection: sqlite3.Connection) -> int:
            return sum(connection.execute(each, (now_ms,)).rowcount for each in _END_LEASES)

        return await self._database.write(job)
