"""What an adapter declares beside its queries: the tables that they need."""

import sqlite3
from collections.abc import Callable
from typing import Final

from infrastructure.sqlite.core.names import quoted

Mend = Callable[[sqlite3.Connection, int], None]
"""Called with the schema version that the file had; 0 for a new one."""


def _leave(connection: sqlite3.Connection, version: int) -> None:
    """Nothing to mend: no earlier release has made these tables otherwise."""


class Tables:
    """Tables and their indexes, which `preparation.py` makes at start.

    `statements` make each where it is not there. `mend`, called after those of all adapters, makes
    what an earlier release has left into what this one asks for. Both run in one transaction, and
    again at each start.
    """

    def __init__(self, *statements: str, mend: Mend = _leave) -> None:
        self.statements: Final = statements
        self.mend: Final = mend


def columns_of(connection: sqlite3.Connection, table: str) -> set[str]:
    """The names of the columns that a table has."""
    return {row[1] for row in connection.execute(f"PRAGMA table_info({quoted(table)})")}
