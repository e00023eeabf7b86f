"""Times as people type them."""

import datetime as dt
from typing import Final

import pytest
import typer
from google.protobuf.timestamp_pb2 import Timestamp

from interfaces.cli.times import read_instant, shown, timestamp

NOW: Final = dt.datetime(2026, 11, 29, 1, 30, 15, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("now", "2026-11-29T01:30:15+00:00"),
        ("90s", "2026-11-29T01:28:45+00:00"),
        ("2h", "2026-11-28T23:30:15+00:00"),
        ("2 h ago", "2026-11-28T23:30:15+00:00"),
        ("3d", "2026-11-26T01:30:15+00:00"),
        ("1w", "2026-11-22T01:30:15+00:00"),
        ("today", "2026-11-29T00:00:00+00:00"),
        ("yesterday", "2026-11-28T00:00:00+00:00"),
        ("yesterday America/New_York", "2026-11-27T05:00:00+00:00"),  # where it is the 28th still
        ("today Asia/Tokyo", "2026-11-28T15:00:00+00:00"),
        ("2026-11-01", "2026-11-01T00:00:00+00:00"),
        ("2026-11-01T13:30", "2026-11-01T13:30:00+00:00"),
        ("2026-11-01 13:30:05", "2026-11-01T13:30:05+00:00"),
        ("2026-11-01T13:30Z", "2026-11-01T13:30:00+00:00"),
        ("2026-11-01T13:30+02:00", "2026-11-01T11:30:00+00:00"),
        ("2026-11-01T13:30 Europe/Berlin", "2026-11-01T12:30:00+00:00"),
    ],
)
def test_a_time_is_read(text: str, instant: str) -> None:
    found = read_instant(text, NOW)
    assert found.isoformat() == instant
    assert found.tzinfo is dt.UTC


@pytest.mark.parametrize(
    "text",
    ["", "2", "h", "2y", "tomorrow", "2026-13-01", "01.11.2026", "2026-11-01 Mars/Olympus",
     "2026-11-01T13:30Z Europe/Berlin", "999999999w", "0001-01-01T00:00+14:00"],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        read_instant(text, NOW)
    assert str(refused.value).startswith(f"{text!r} is no time; one of: 2h ")


def test_a_time_is_shown_with_its_zone() -> None:
    moment = dt.datetime(2026, 11, 1, 13, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert shown(moment) == "2026-11-01 11:30:00Z"
    assert shown(Timestamp(seconds=5)) == "1970-01-01 00:00:05Z"
    assert timestamp(None) is None
    assert timestamp(moment) == Timestamp(seconds=1_793_532_600)
