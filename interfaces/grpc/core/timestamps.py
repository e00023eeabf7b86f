"""Timestamps and instants."""

import datetime as dt
from typing import Final

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from domain.errors import FieldViolation
from domain.periods import from_milliseconds, to_milliseconds

# The bounds of google.protobuf.Timestamp, which a message on the wire need not keep.
_FIRST_SECOND: Final = -62_135_596_800  # 0001-01-01T00:00:00Z
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z
_NANOS: Final = 1_000_000_000
_RULE: Final = "an instant of the years 1 to 9999, with nanos from 0 to 999,999,999"


def timestamp_message(instant: dt.datetime) -> Timestamp:
    """The Timestamp of an instant, in whole milliseconds."""
    seconds, milliseconds = divmod(to_milliseconds(instant), 1_000)
    return Timestamp(seconds=seconds, nanos=milliseconds * 1_000_000)


def read_instant(
    message: Message, name: str, violations: list[FieldViolation], *, path: str = ""
) -> dt.datetime | None:
    """The instant of a message's field `name`, cut to milliseconds; None where it is not set.

    One that is malformed is None too, and a violation of `path` (else of `name`).
    """
    if not message.HasField(name):
        return None
    timestamp: Timestamp = getattr(message, name)
    if _FIRST_SECOND <= timestamp.seconds <= _LAST_SECOND and 0 <= timestamp.nanos < _NANOS:
        return from_milliseconds(timestamp.seconds * 1_000 + timestamp.nanos // 1_000_000)
    violations.append(FieldViolation(path or name, _RULE))
    return None
