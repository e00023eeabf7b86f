"""The few types that all files of the emulator share."""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object. Its nested values are replaced, never changed in place: so nothing is copied."""

Form: TypeAlias = "str | list[Form] | dict[str, Form]"
"""A decoded form parameter: Stripe's API takes text, arrays and hashes of these only."""

API_VERSION: Final = "2026-10-28.endive"

DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an object lives: objects of two accounts, or of the two modes, never meet."""

    account: str
    livemode: bool


@dataclass(frozen=True, slots=True)
class Origin:
    """The API request that causes a change, as its events name it; empty outside of one."""

    id: str | None = None
    idempotency_key: str | None = None


NO_REQUEST: Final = Origin()
