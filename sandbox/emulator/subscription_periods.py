"""The calendar of billing cycles: periods count from an anchor, in UTC (docs, "Billing cycle")."""

from calendar import monthrange
from datetime import UTC, datetime
from typing import Final

from sandbox.emulator.core.values import DAY_SECONDS, JsonObject

_DAYS: Final = {"day": 1, "week": 7}
_MONTHS: Final = {"month": 1, "year": 12}


def end_of(anchor: int, start: int, recurring: JsonObject) -> int:
    """The first boundary after `start` of the cycle that `anchor` is a boundary of.

    All in seconds since 1970. An anchor on the 31st falls on the last day of shorter months and
    returns to the 31st.
    """
    interval: str = recurring["interval"]
    count: int = recurring["interval_count"]
    if interval in _DAYS:
        length = _DAYS[interval] * count * DAY_SECONDS
        return anchor + ((start - anchor) // length + 1) * length
    months = _MONTHS[interval] * count
    origin, at = (datetime.fromtimestamp(instant, UTC) for instant in (anchor, start))
    cycles = ((at.year - origin.year) * 12 + at.month - origin.month) // months - 1
    # The estimate lies at most a cycle below; a clipped day can cost one more.
    while (boundary := _plus_months(origin, cycles * months)) <= start:
        cycles += 1
    return boundary


def start_before(anchor: int, recurring: JsonObject) -> int:
    """Where the full period that ends at `anchor` would have begun."""
    interval: str = recurring["interval"]
    count: int = recurring["interval_count"]
    if interval in _DAYS:
        return anchor - _DAYS[interval] * count * DAY_SECONDS
    return _plus_months(datetime.fromtimestamp(anchor, UTC), -_MONTHS[interval] * count)


def _plus_months(origin: datetime, months: int) -> int:
    year, month = divmod(origin.year * 12 + origin.month - 1 + months, 12)
    day = min(origin.day, monthrange(year, month + 1)[1])
    return int(origin.replace(year=year, month=month + 1, day=day).timestamp())
