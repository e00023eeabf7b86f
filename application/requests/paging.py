"""Pages: one signed token serves every list."""

import base64
import binascii
import datetime as dt
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from application.background.clock import Clock
from domain.errors import FieldViolation, InvalidArgument, Reason
from domain.mirror import MirroredObject
from domain.periods import to_milliseconds

T = TypeVar("T")
M = TypeVar("M", bound=MirroredObject)

Scalar = str | int | bool
"""What orders a list, and so stands in a page token."""

DEFAULT_PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 100
TOKEN_LIFETIME: Final = dt.timedelta(days=1)

_MAC_BYTES: Final = 16
_MAX_TOKEN_CHARACTERS: Final = 2_048
"""More than a token that holds the longest id, 255 characters of four bytes each."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ended: the order column's value and the id of its last row."""

    value: Scalar
    id: str


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Items of a list, and the tokens of the next page and of that before (empty: there is none).

    Either is given back as the page token of the same list. Lists that go one way have no second.
    """

    items: Sequence[T]
    next_page_token: str
    previous_page_token: str = ""


class _Content(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    scope: str
    issued_ms: int
    value: Scalar
    id: str


def digest(*parts: object) -> str:
    """The same of a list of something else: its name, its tenant, and all that narrows it."""
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:32]


def page_size_violations(
    page_size: int, *, default: int = DEFAULT_PAGE_SIZE, most: int = MAX_PAGE_SIZE
) -> list[FieldViolation]:
    """The violation of a page size out of range, if it is."""
    if 0 <= page_size <= most:
        return []
    rule = f"0 (which stands for {default}) to {most:,}"
    return [FieldViolation("page_size", rule)]


class PageTokens:
    """Writes and reads page tokens, signed so that nobody makes one for another tenant's list."""

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    def write(self, scope: str, position: Position | None) -> str:
        """The token that continues a list after a position; empty for the last page."""
        if position is None:
            return ""
        issued = to_milliseconds(self._clock.now())
        content = msgspec.json.encode(_Content(scope, issued, position.value, position.id))
        return base64.urlsafe_b64encode(self._mac(content) + content).decode().rstrip("=")

    def read(self, token: str, scope: str) -> Position | None:
        """The position that a token stands for; None for the empty token.

        Raises InvalidArgument (INVALID_PAGE_TOKEN) for a damaged or foreign token, one of another
        list, tenant or filter, and one older than TOKEN_LIFETIME.
        """
        if not token:
            return None
        content = self._verified(token)
        if content is None or content.scope != scope:
            raise _refusal(
                "must be a token that this list returned, with all other fields unchanged"
            )
        age_ms = to_milliseconds(self._clock.now()) - content.issued_ms
        if age_ms > TOKEN_LIFETIME / dt.timedelta(milliseconds=1):
            raise _refusal("must not be older than 24 hours; start again with the first page")
        return Position(content.value, content.id)

    def _verified(self, token: str) -> _Content | None:
        if len(token) > _MAX_TOKEN_CHARACTERS:
            return None
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        mac, content = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(content)):
            return None
        try:
            return msgspec.json.decode(content, type=_Content)
        except msgspec.MsgspecError:  # ours, but of another form: a token of another release
            return None

    def _mac(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, "sha256")[:_MAC_BYTES]


def _refusal(rule: str) -> InvalidArgument:
    return InvalidArgument([FieldViolation("page_token", rule)], reason=Reason.INVALID_PAGE_TOKEN)
