"""Idempotency keys (API reference, "Idempotent requests")."""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

import msgspec

from sandbox.emulator.core.errors import ApiError, invalid
from sandbox.emulator.core.values import DAY_SECONDS, Form, Scope

EXPIRY_SECONDS: Final = DAY_SECONDS
MOST_KEPT: Final = 50_000
MAX_KEY_CHARACTERS: Final = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """The first answer to a key, replayed as it is."""

    status: int
    body: bytes
    request_id: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Record:
    """A key in use: `answer` is None while its first request runs."""

    route: str
    fingerprint: bytes
    created: int
    answer: Answer | None = None


class IdempotencyKeys:
    """The keys of all scopes: at most MOST_KEPT, the oldest pruned, none older than a day."""

    def __init__(self) -> None:
        self._records: dict[tuple[Scope, str], Record] = {}

    def begin(
        self, scope: Scope, key: str, route: str, form: dict[str, Form], now: int
    ) -> Answer | None:
        """Claim a key, or return the answer to replay.

        route: method and path. Raises ApiError 409 `idempotency_key_in_use`, or 400 of type
        `idempotency_error` when the key came with other parameters or another route before.
        """
        if len(key) > MAX_KEY_CHARACTERS:
            raise invalid(f"Idempotency keys have at most {MAX_KEY_CHARACTERS} characters")
        encoded = msgspec.json.encode(form, order="deterministic")
        fingerprint = blake2b(encoded, digest_size=16).digest()
        record = self._records.get((scope, key))
        if record is not None and now - record.created >= EXPIRY_SECONDS:
            del self._records[scope, key]
            record = None
        if record is None:
            self._records[scope, key] = Record(route, fingerprint, now)
            self._prune()
            return None
        if record.route != route or record.fingerprint != fingerprint:
            raise _mismatch(key, "endpoint" if record.route != route else "parameters")
        if record.answer is None:
            raise _in_use(key)
        return record.answer

    def finish(self, scope: Scope, key: str, answer: Answer) -> None:
        """Keep the answer to a claimed key."""
        record = self._records.get((scope, key))
        if record is not None:
            record.answer = answer

    def release(self, scope: Scope, key: str) -> None:
        """Forget a claimed key: its request was refused before it was executed."""
        self._records.pop((scope, key), None)

    def _prune(self) -> None:
        if len(self._records) > MOST_KEPT:
            del self._records[next(iter(self._records))]


def _mismatch(key: str, what: str) -> ApiError:
    return ApiError(
        400,
        f"Keys for idempotent requests can only be used with the same {what} they were first "
        f"used with. Try a key other than '{key}' to execute a different request.",
        kind="idempotency_error",
    )


def _in_use(key: str) -> ApiError:
    return ApiError(
        409,
        f"There is another request in progress that uses the idempotency key '{key}'.",
        kind="idempotency_error",
        code="idempotency_key_in_use",
    )
