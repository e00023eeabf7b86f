"""The calendar of billing cycles: periods count from an anchor, in UTC (docs, "Billing cycle")."""

from calendar import monthrange
from datetime import UTC, datetime
from typing import Final

from sandbox.emulator.core.values import DAY_SECONDS, JsonObject

_DAYS: Final = {"day": 1, "week": 7}
_MONTHS: Final = {"month": 1, "year": 12}
_TIME: Final = ("hour", "minute", "second")
_LONGEST_SEARCH: Final = 100
"""Cycles within which a month has the day again, the 29th of February after eight years at most."""


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


def next_named(config: JsonObject, now: int) -> int:
    """The next instant after `now` that a `billing_cycle_anchor_config` names, in UTC.

    A month without the day has its last one in its place; a part of the time that is not named is
    that of now (from memory).
    """
    at = datetime.fromtimestamp(now, UTC)
    time = {name: config[name] for name in _TIME if config[name] is not None}
    for ahead in range(_MONTHS["year"] + 1):
        first = datetime.fromtimestamp(_plus_months(at.replace(day=1), ahead), UTC)
        if config["month"] not in (None, first.month):
            continue
        day = min(config["day_of_month"], monthrange(first.year, first.month)[1])
        named = first.replace(day=day, **time)
        if named > at:
            return int(named.timestamp())
    raise ValueError("every year has every month")


def origin(anchor: int, config: JsonObject | None, recurring: JsonObject) -> int:
    """A boundary of the cycle that falls on the very day: the anchor, unless its month lacks it.

    `config`: the subscription's `billing_cycle_anchor_config`, whose day later months return to.
    """
    at = datetime.fromtimestamp(anchor, UTC)
    if config is None or recurring["interval"] in _DAYS or at.day >= config["day_of_month"]:
        return anchor
    length = _MONTHS[recurring["interval"]] * recurring["interval_count"]
    for cycles in range(1, _LONGEST_SEARCH):
        first = datetime.fromtimestamp(_plus_months(at.replace(day=1), -cycles * length), UTC)
        if monthrange(first.year, first.month)[1] >= config["day_of_month"]:
            return int(first.replace(day=config["day_of_month"]).timestamp())
    return anchor


def months_after(instant: int, months: int) -> int:
    """The same day and time so many months later, or the last day of a shorter month."""
    return _plus_months(datetime.fromtimestamp(instant, UTC), months)


def _plus_months(origin: datetime, months: int) -> int:
    year, month = divmod(origin.year * 12 + origin.month - 1 + months, 12)
    day = min(origin.day, monthrange(year, month + 1)[1])
    return int(origin.replace(year=year, month=month + 1, day=day).timestamp())
