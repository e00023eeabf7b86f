"""Searching mirrored rows: each has all beginnings of its words in an array that is indexed.

A word of a query is one range of that index, in the order of the answer; an index on an array has a
key an element, so the other words are looked for in the rows themselves. The server merges the
ranges of several readings in that order, and gives a row of more than one of them once.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from application.mirror.ports import Noun, T
from application.requests.paging import Position
from infrastructure.mongo.core.collection import DESCENDING, Collection, Document
from infrastructure.mongo.mirror.rows import CHANGES, TERMS, mirror_index

SEARCHED: Final = (TERMS, "created")
"""The columns of the index that a searched noun has beside the declared ones."""

_BY_TERM: Final = mirror_index(SEARCHED)

_COUNTED: Final = 1_000
"""So many of a word's rows are counted to find the rarest: beyond, the longest counts as such."""

WITHOUT_TERMS: Final = {TERMS: 0}
"""The fields that whoever reads rows asks for: the terms serve the index alone."""

WITHOUT_CHANGES: Final = {**WITHOUT_TERMS, CHANGES: 0}
"""The same of a noun whose changes are kept."""


def row_fields(noun: Noun[T]) -> Document | None:
    """What is read of a row; None for all."""
    if noun.kept:
        return WITHOUT_CHANGES
    return None if noun.search is None else WITHOUT_TERMS


async def search(
    rows: Collection,
    stripe_account: str,
    readings: Sequence[Sequence[str]],
    after: Position | None,
    limit: int,
) -> list[Document]:
    """The newest `limit` documents after a position that have, among their terms, all words of a
    reading."""
    ranked = await asyncio.gather(
        *(_rarest_first(rows, stripe_account, words) for words in readings)
    )
    pages: list[Document] = [{}]
    if after is not None:
        pages = [
            {"created": {"$lt": after.value}},
            {"created": after.value, "id": {"$lt": after.id}},
        ]
    # The first condition on the terms bounds the index, those of `$and` are looked for in the row.
    conditions = [
        {
            "stripe_account": stripe_account,
            TERMS: driving,
            **page,
            **({"$and": [{TERMS: word} for word in others]} if others else {}),
        }
        for driving, *others in filter(None, ranked)
        for page in pages
    ]
    if not conditions:
        return []
    return await rows.find(
        conditions[0] if len(conditions) == 1 else {"$or": conditions},
        fields=WITHOUT_TERMS,
        sort=[("created", DESCENDING), ("id", DESCENDING)],
        limit=limit,
        hint=_BY_TERM,
    )


async def _rarest_first(
    rows: Collection, stripe_account: str, words: Sequence[str]
) -> Sequence[str]:
    """The words, that which the fewest rows have first; none where no row has one of them."""
    if len(words) == 1:
        return words
    counts = await asyncio.gather(
        *(
            rows.count(
                {"stripe_account": stripe_account, TERMS: word},
                hint=_BY_TERM,
                limit=_COUNTED,
            )
            for word in words
        )
    )
    if 0 in counts:
        return ()
    ranked = sorted(zip(counts, (-len(word) for word in words), words, strict=True))
    return [word for _, _, word in ranked]
