"""The few types that all files of the emulator share."""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object. Its nested values are replaced, never changed in place: so nothing is copied."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a form carries: its name as the sender gave it, and its bytes."""

    filename: str
    content: bytes


Form: TypeAlias = "str | Upload | list[Form] | dict[str, Form]"
"""A decoded form parameter: text, arrays and hashes of it, and a file where one is uploaded."""

API_VERSION: Final = "2026-10-28.endive"

DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an object lives: objects of two accounts, or of the two modes, never meet."""

    account: str
    livemode: bool


@dataclass(frozen=True, slots=True)
class Origin:
    """The API request that causes a change, as its events name it; empty outside of one.

    `application` is the platform that asks for it on a connected account, by the platform's key.
    """

    id: str | None = None
    idempotency_key: str | None = None
    application: str | None = None


@dataclass(frozen=True, slots=True)
class Download:
    """An answer that is a file's bytes instead of JSON."""

    content: bytes
    content_type: str


NO_REQUEST: Final = Origin()
