"""Which days' marks a change of a row raises, and remembered rows as text: the same for each store.

What marks are for, `application.analytics.remembered_port` says.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from application.analytics.ports import FigureRow
from application.mirror.ports import Counted, Noun

Marked = tuple[str, str, int]
"""A Stripe account, the name of a noun, and a UTC day counted from 1970."""

_DAY: Final = 86_400_000

_decode: Final = msgspec.json.Decoder(
    list[tuple[str, tuple[Any, ...], tuple[int, ...], int]]
).decode


def changed_marks(
    noun: Noun[Any],
    counted: Counted,
    stripe_account: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> Iterator[Marked]:
    """The marks that a change raises: of the days before and after, where a counted value differs.

    The values are those of the columns; a column that is null or left out says that the row counts
    on no day.
    """
    if any(before.get(name) != after.get(name) for name in counted.names):
        for values in (before, after):
            for name in counted.dates:
                if (instant := values.get(name)) is not None:
                    yield stripe_account, noun.name, instant // _DAY


def rows_to_text(rows: Sequence[FigureRow]) -> str:
    """The rows of one bucket."""
    told = [(row.currency, row.group, row.sums, row.count) for row in rows]
    return msgspec.json.encode(told).decode()


def rows_from_text(text: str) -> Sequence[FigureRow]:
    """The rows again, each as of bucket 0."""
    return tuple(FigureRow(0, *row) for row in _decode(text))
