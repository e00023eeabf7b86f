"""Times as people type them: `2h`, `yesterday`, `2026-11-01`; and as commands print them."""

import datetime as dt
import re
from typing import Final
from zoneinfo import ZoneInfo

import typer
from google.protobuf.timestamp_pb2 import Timestamp

FORMS: Final = (
    "2h (also s, m, d, w), now, today, yesterday, 2026-11-01, 2026-11-01T13:30; UTC unless it "
    "ends with Z, +02:00 or a zone such as Europe/Berlin"
)

_AGO: Final = re.compile(r"(\d{1,9})\s*([smhdw])(?: ago)?")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_ZONE: Final = re.compile(r"(?P<time>.*\S)\s+(?P<zone>[A-Za-z][A-Za-z0-9_+/-]*)")
_DAYS: Final = {"today": 0, "yesterday": 1}


def read_instant(text: str, now: dt.datetime | None = None) -> dt.datetime:
    """The instant that a text names, in UTC. Raises typer.BadParameter, which tells the forms.

    A text that names no zone is read in UTC; a day is its first moment in its zone.
    """
    now = now or dt.datetime.now(dt.UTC)
    try:
        return _read(" ".join(text.split()), now).astimezone(dt.UTC)
    except (KeyError, ValueError, OverflowError, OSError):
        raise typer.BadParameter(f"{text!r} is no time; one of: {FORMS}") from None


def timestamp(instant: dt.datetime | None) -> Timestamp | None:
    """An instant as the API takes it."""
    if instant is None:
        return None
    message = Timestamp()
    message.FromDatetime(instant)
    return message


def shown(instant: Timestamp | dt.datetime) -> str:
    """A time for people to read; the `Z` says that it is UTC."""
    moment = instant.ToDatetime(dt.UTC) if isinstance(instant, Timestamp) else instant
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _read(text: str, now: dt.datetime) -> dt.datetime:
    if text == "now":
        return now
    if ago := _AGO.fullmatch(text):
        return now - dt.timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    zone: dt.tzinfo = dt.UTC
    if named := _ZONE.fullmatch(text):
        text, zone = named["time"], ZoneInfo(named["zone"])
    if text in _DAYS:
        day = now.astimezone(zone).date() - dt.timedelta(days=_DAYS[text])
        return dt.datetime(day.year, day.month, day.day, tzinfo=zone)
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=zone)
    if named:
        raise ValueError("two zones")
    return moment
