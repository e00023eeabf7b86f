"""Searching mirrored rows: a table of terms beside that of the rows.

Each live row of a searched noun has all beginnings of its words in it, so that a word of a query is
one range of its key, in the order of the answer. The words themselves stand in the row, as the
column `words`: whoever replaces the row sees whether its terms change.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from application.mirror.ports import Noun
from application.requests.paging import Position, Scalar
from domain.mirror import MirroredObject
from domain.search import terms_of
from infrastructure.documents import search_words
from infrastructure.sqlite.core.names import quoted

WORDS: Final = "words"
"""The column of a row that holds its words, between spaces; null where it has none."""

_LOOKED_AT: Final = 1_000
"""So many of a word's newest rows are looked at to find the rarest."""

Terms = tuple[Scalar | None, Scalar | None]
"""What the terms of a row follow from: its words and when it was created; null for none."""

NO_TERMS: Final[Terms] = (None, None)


def words_value(noun: Noun[Any], found: MirroredObject | None) -> str | None:
    """The value of the column `words`."""
    return " ".join(search_words(noun, found)) or None


def prepare_terms(connection: sqlite3.Connection, noun: Noun[Any]) -> None:
    """Make the table of a searched noun; that of one that is no longer searched is removed."""
    table = _table(noun)
    if noun.search is None:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
        return
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {table} (stripe_account TEXT NOT NULL, term TEXT NOT NULL,"
        " created INTEGER NOT NULL, id TEXT NOT NULL,"
        " PRIMARY KEY (stripe_account, term, created, id)) WITHOUT ROWID"
    )


def clear_terms(connection: sqlite3.Connection, noun: Noun[Any]) -> None:
    """Remove all terms, before all rows are indexed anew."""
    connection.execute(f"DELETE FROM {_table(noun)}")


class TermIndex:
    """The statements on the terms of one searched noun, built once."""

    def __init__(self, noun: Noun[Any]) -> None:
        table, rows = _table(noun), quoted(noun.collection)
        self._table = table
        self._rows = rows
        self._terms = f"SELECT {WORDS}, created FROM {rows} WHERE stripe_account = ? AND id = ?"
        self._insert = f"INSERT OR IGNORE INTO {table} VALUES (?, ?, ?, ?)"
        self._delete = (
            f"DELETE FROM {table} WHERE stripe_account = ? AND term = ? AND created = ? AND id = ?"
        )
        self._rarity = (
            f"SELECT count(*), min(created) FROM (SELECT created FROM {table}"
            " WHERE stripe_account = ? AND term = ? ORDER BY created DESC, id DESC LIMIT ?)"
        )

    def of(self, connection: sqlite3.Connection, key: tuple[str, str]) -> Terms:
        """What the terms of a row follow from as it is stored."""
        found: Terms = connection.execute(self._terms, key).fetchone() or NO_TERMS
        return found

    def change(
        self, connection: sqlite3.Connection, key: tuple[str, str], before: Terms, after: Terms
    ) -> None:
        """Write the difference between the terms of a row as it was and as it is."""
        if before == after:
            return
        stripe_account, object_id = key
        old, new = (
            {(stripe_account, term, created, object_id) for term in terms_of(_split(words))}
            for words, created in (before, after)
        )
        connection.executemany(self._delete, sorted(old - new))
        connection.executemany(self._insert, sorted(new - old))

    def newest(
        self,
        connection: sqlite3.Connection,
        columns: str,
        stripe_account: str,
        words: Sequence[str],
        after: Position | None,
        limit: int,
    ) -> list[Sequence[Any]]:
        """The newest rows after a position that have all words, `created` last in each.

        The rarest word's range gives the order; the other words are looked up by whole keys there,
        before the row itself is read. CROSS JOIN keeps that order of reading.
        """
        ranked = self._rarest_first(connection, stripe_account, words)
        if not ranked:
            return []
        others = (
            f" AND EXISTS (SELECT 1 FROM {self._table} AS o WHERE o.stripe_account = ?"
            " AND o.term = ? AND o.created = t.created AND o.id = t.id)"
        )
        beyond = "" if after is None else " AND (t.created, t.id) < (?, ?)"
        sql = (
            f"SELECT {columns}, t.created FROM {self._table} AS t CROSS JOIN {self._rows} AS r"
            " WHERE t.stripe_account = ? AND t.term = ?"
            f"{beyond}{others * (len(ranked) - 1)}"
            " AND r.stripe_account = t.stripe_account AND r.id = t.id"
            " ORDER BY t.created DESC, t.id DESC LIMIT ?"
        )
        driving, *rest = ranked
        values: list[Scalar] = [stripe_account, driving]
        if after is not None:
            values += [after.value, after.id]
        for word in rest:
            values += [stripe_account, word]
        return connection.execute(sql, [*values, limit]).fetchall()

    def _rarest_first(
        self, connection: sqlite3.Connection, stripe_account: str, words: Sequence[str]
    ) -> list[str]:
        """The words, that which the fewest rows have first; none where no row has one of them.

        Of words that many have the rarer one's many newest rows reach further back.
        """
        if len(words) == 1:
            return list(words)
        ranked: list[tuple[int, int, str]] = []
        # A long word is the likeliest that nobody has: then the others are not looked at.
        for word in sorted(words, key=len, reverse=True):
            bound = (stripe_account, word, _LOOKED_AT)
            count, oldest = connection.execute(self._rarity, bound).fetchone()
            if not count:
                return []
            ranked.append((count, oldest, word))
        return [word for _, _, word in sorted(ranked)]


def _split(words: Scalar | None) -> list[str]:
    return [] if words is None else str(words).split(" ")


def _table(noun: Noun[Any]) -> str:
    return quoted(f"{noun.collection} terms")
