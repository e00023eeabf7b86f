"""When what was put off, or leased, may be taken: the same condition for every queue."""

import datetime as dt

from infrastructure.mongo.core.collection import Document


def due_by(field: str, now: dt.datetime, longest: dt.timedelta) -> Document:
    """Documents whose `field` has passed, or is further ahead than anything is put off for.

    The latter was written by a clock that was ahead.
    """
    return {"$or": [{field: {"$lte": now}}, {field: {"$gt": now + longest}}]}
