"""Logging: a JSON line an event, to standard error, without secrets or personal data.

Use cases log through the standard library, with their facts in `extra`, the interfaces through
structlog, which is quicker a line; structlog gives both the same shape. Nobody should log a secret
in the first place: what is done here is the second line of defence.
"""

import atexit
import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, Final, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from domain.errors import BillingError
from infrastructure.telemetry.lines import Lines

REDACTED: Final = "[redacted]"

_MAX_CHARACTERS: Final = 8_192
_SHORT: Final = 256
_MAX_ITEMS: Final = 50
_MAX_DEPTH: Final = 5
_MAX_CAUSES: Final = 5
_MAX_FRAMES: Final = 30

_PRIVATE_KEYS: Final = frozenset(
    """
    address api_key authorization body client_secret customer_name email name password payload
    phone secret token
    access_token authorize_url refresh_token
    """.split()
)
"""What is never shown, whatever its value looks like."""

_OAUTH_KEYS: Final = frozenset({"code", "state"})
_OAUTH_SECRET: Final = re.compile(r"(?=.{0,4095}[a-z])(?=.{0,4095}[A-Z])[\w.~-]{24,4096}")
"""What OAuth's codes and states look like. Under the same keys stand codes of errors, and states of
events, which are words, and so of one case.
"""

# Every repetition is bounded, so that no text makes this slow.
_PRIVATE_TEXT: Final = re.compile(
    r"""
      \b[srp]k_(?:test|live)_\w{1,256}                  # Stripe's API keys
    | \bwhsec_[\w+/=-]{1,256}                           # webhook secrets
    | \b[a-z]{2,12}_\w{1,64}_secret_\w{1,256}           # client secrets
    | \b(?:ac|rt)_\w{8,256}                             # OAuth codes and refresh tokens
    | \b(?:code|state|access_token|refresh_token)=[^\s&"'<>]{8,4096}  # in an address or a form
    | \beyJ[\w-]{8,2048}(?:\.[\w-]{0,2048}){1,2}        # JSON Web Tokens
    | (?:[Bb]earer|BEARER)\s{1,4}[^\s"',]{1,4096}
    | ://[^\s/@:]{0,128}:[^\s/@]{1,256}@                # passwords in URLs
    | [\w.+%'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4} # addresses of mail
    | \+\d(?:[ ().-]{0,2}\d){6,14}(?!\d)               # numbers of phones (E.164)
    """,
    re.VERBOSE,
)

_HINT: Final = re.compile(
    "[@_+]|e=|eyJ|earer|EARER|[A-Z][A-Z][0-9][0-9]"
    "|[0-9][0-9][0-9][0-9][ -]?[0-9][0-9][0-9][0-9]"  # written out: a third of the time of {4}
)
"""One of these is in whatever the patterns find. Most text has none, and looking is cheap."""

_CARD: Final = re.compile(r"(?<![\w.])[2-6]\d(?:[ -]?\d){11,21}(?!\w)")
_IBAN: Final = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"
)
_CARD_DIGITS: Final = range(13, 20)


def configure(*, level: str = "INFO", console: bool = False, stream: TextIO | None = None) -> Lines:
    """Send all that the process logs to `stream` (standard error), in place of where it went.

    `console` gives lines for people instead of JSON. What is returned may be closed to have all
    lines written; it is closed at exit anyhow. ValueError for an unknown level.
    """
    out = stream or sys.stderr
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError("level: one of DEBUG, INFO, WARNING, ERROR, CRITICAL")
    lines = Lines(out)
    atexit.register(lines.close)
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    rendering: list[Processor] = [
        describe_exception,
        redact,
        structlog.dev.ConsoleRenderer(colors=out.isatty())
        if console
        else structlog.processors.JSONRenderer(serializer=_to_json),
    ]
    file = cast("TextIO", lines)
    handler = logging.StreamHandler(file)
    formatter = structlog.stdlib.ProcessorFormatter
    handler.setFormatter(
        formatter(
            foreign_pre_chain=[
                *shared,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
            ],
            processors=[formatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(level=number, handlers=[handler], force=True)
    # A record that cannot be rendered would be printed as it is, arguments included.
    logging.raiseExceptions = False
    structlog.configure(
        processors=[*shared, *rendering],
        logger_factory=structlog.WriteLoggerFactory(file),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=False,
    )
    return lines


def describe_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Say of what kind an exception is and where it was raised, but not its text.

    The text of an unforeseen exception quotes what it stumbled over: a payload, a customer's name.
    Billing's own errors promise not to.
    """
    found = event.pop("exc_info", None)
    error = sys.exc_info()[1] if found is True else found
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["exception"] = " <- ".join(_name(one) for one in _chain(error))
        event["traceback"] = "\n".join(f"{_name(one)}\n{_frames(one)}" for one in _chain(error))
    return event


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take out what looks like a key, a secret, a token, or data of a person, card or bank."""
    for key, value in event.items():
        # Nearly every value is short text that says nothing; this is run on each of each line.
        if type(value) is str and len(value) < _SHORT and key not in _PRIVATE_KEYS:
            if key in _OAUTH_KEYS and _OAUTH_SECRET.fullmatch(value):
                event[key] = REDACTED
            elif _HINT.search(value):
                event[key] = _scrubbed(value)
        else:
            event[key] = _clean(key, value, _MAX_DEPTH)
    return event


def _clean(key: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if key in _PRIVATE_KEYS:
        return REDACTED
    if isinstance(value, str):
        text = value[:_MAX_CHARACTERS]
        if key in _OAUTH_KEYS and _OAUTH_SECRET.fullmatch(text):
            return REDACTED
        return _scrubbed(text) if _HINT.search(text) else text
    if isinstance(value, int | float):
        return REDACTED if type(value) is int and _is_card(str(value)) else value
    if depth and isinstance(value, Mapping):
        some = list(value.items())[:_MAX_ITEMS]
        return {_clean("", str(k), 0): _clean(str(k), v, depth - 1) for k, v in some}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_clean(key, item, depth - 1) for item in list(value)[:_MAX_ITEMS]]
    return _clean("", str(value), 0)


def _scrubbed(text: str) -> str:
    """A text without what looks private; numbers only where their check digits are right."""
    text = _PRIVATE_TEXT.sub(REDACTED, text)
    text = _CARD.sub(lambda found: REDACTED if _holds_card(found[0]) else found[0], text)
    return _IBAN.sub(lambda found: REDACTED if _is_iban(found[0]) else found[0], text)


def _holds_card(text: str) -> bool:
    """Whether some of the groups of digits are a card's number: others may stand beside them."""
    groups = re.split("[ -]", text)
    places = range(len(groups))
    return any(
        _is_card("".join(groups[first : last + 1])) for first in places for last in places[first:]
    )


def _is_card(digits: str) -> bool:
    """Whether it may be the number of a card: its first digit, its length, and Luhn's check."""
    if len(digits) not in _CARD_DIGITS or digits[0] not in "23456":
        return False
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    total = sum(int(digit) for digit in digits[-1::-2])
    return (total + sum(number // 10 + number % 10 for number in doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """Whether the check digits of an IBAN are right (ISO 13616)."""
    plain = text.replace(" ", "")
    number = "".join(str(int(character, 36)) for character in plain[4:] + plain[:4])
    return 15 <= len(plain) <= 34 and int(number) % 97 == 1


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception, then what it came from."""
    one: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if one is None:
            return
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _name(error: BaseException) -> str:
    kind = type(error)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    return f"{name}: {error.message}" if isinstance(error, BillingError) else name


def _frames(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__, limit=-_MAX_FRAMES)
    return "\n".join(f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)


def _to_json(event: Any, **_: Any) -> str:
    try:
        return msgspec.json.encode(event).decode()
    except UnicodeEncodeError:  # a lone surrogate, which ASCII can show
        return json.dumps(event)
