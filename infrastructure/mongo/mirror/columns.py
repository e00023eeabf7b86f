"""Columns that follow their declaration: filled anew, at start, where it has changed."""

from typing import Any, Final

from application.mirror.ports import Noun
from domain.periods import to_milliseconds
from infrastructure.clock import SystemClock
from infrastructure.documents import FIELDS, fields_stamp, search_stamp
from infrastructure.mongo.core.collection import Collection
from infrastructure.mongo.mirror.rows import TERMS, refilling

_BATCH: Final = 1_000


async def refill(rows: Collection, stamps: Collection, noun: Noun[Any]) -> int:
    """Fill all rows' columns if the declaration is not the one that last filled them.

    Returns how many rows were read. May be interrupted and repeated, and run in several processes
    at once: a row is written only as long as it has the revision that was read.
    """
    stamp = {"_id": f"columns/{noun.collection}"}
    declared = [
        [column.name, f"{column.source} many" if column.many else column.source]
        for column in noun.columns
    ]
    if noun.search is not None:
        # Stamped like a column: a release that knows no search leaves a stamp without it.
        declared.append([TERMS, search_stamp(noun)])
    declared.append([FIELDS, fields_stamp(noun)])
    found = await stamps.find_one(stamp)
    if found is not None and found["columns"] == declared:
        return 0
    read = 0
    after = ""
    while batch := await rows.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=_BATCH):
        now = to_milliseconds(SystemClock().now())
        await rows.write([refilling(noun, document, now) for document in batch])
        read += len(batch)
        after = batch[-1]["_id"]
    await stamps.upsert(stamp, {"$set": {"columns": declared}})
    return read
