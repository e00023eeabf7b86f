"""Deliveries to the webhook: only what Stripe signed gets in ("Verify webhook signatures")."""

import datetime as dt
import hmac
import re
from collections.abc import Iterable
from enum import Enum
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType
from typing_extensions import override

from application.ports.inbox import EventState, ReceivedEvent
from application.ports.stripe import WebhookReader
from domain.connections import STRIPE_ACCOUNT_ID, Mode
from domain.errors import FieldViolation, InvalidArgument, Reason, Unauthenticated
from infrastructure.stripe.shapes import Identifier, Seconds, wrong_field

TOLERANCE: Final = dt.timedelta(minutes=5)
"""How far a signature's time may be from ours, either way: a replayed delivery is older."""

MAX_HEADER_CHARACTERS: Final = 1_024
MAX_SIGNATURES: Final = 8
"""Stripe signs with each secret that is active; during a rotation those are two."""

_TIMESTAMP: Final = re.compile(r"[0-9]{1,11}", re.ASCII)
_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class _Scope(Enum):
    """Whose events a secret signs: the platform's own, or those of connected accounts."""

    PLATFORM = "platform"
    CONNECT = "connect"


class _Object(msgspec.Struct, frozen=True, gc=False):
    id: Identifier | UnsetType | None = UNSET
    object: Identifier | UnsetType = UNSET


class _Data(msgspec.Struct, frozen=True, gc=False):
    object: _Object


class _Envelope(msgspec.Struct, frozen=True, gc=False):
    """What is read of an event before it is stored (API reference, "The Event object")."""

    id: Identifier
    type: Identifier
    created: Seconds
    livemode: bool
    data: _Data
    api_version: str | None = None
    account: str | None = None


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


class StripeWebhookReader(WebhookReader):
    """Verifies first, with every secret of both scopes, and reads the body only then."""

    def __init__(
        self,
        *,
        platform_secrets: Iterable[str],
        connect_secrets: Iterable[str],
        mode: Mode,
        tolerance: dt.timedelta = TOLERANCE,
    ) -> None:
        """Keep the signing secrets by scope; several each while they are rotated.

        Raises ValueError where a secret is empty, stands in both scopes, or there is none.
        """
        connect, platform = tuple(connect_secrets), tuple(platform_secrets)
        if not all((*connect, *platform)) or not (connect or platform):
            raise ValueError("webhook secrets: at least one is needed, and none may be empty")
        if set(connect) & set(platform):
            raise ValueError("webhook secrets: a secret belongs to one scope")
        # Most events are those of connected accounts: their secrets are tried first.
        self._secrets = tuple(
            (secret.encode(), scope)
            for scope, secrets in ((_Scope.CONNECT, connect), (_Scope.PLATFORM, platform))
            for secret in secrets
        )
        self._livemode = mode is Mode.LIVE
        self._tolerance_seconds = tolerance.total_seconds()

    @override
    def read(self, body: bytes, signature: str, now: dt.datetime) -> ReceivedEvent:
        scope = self._scope_of(body, signature, now)
        event = received(body, now=now, livemode=self._livemode)
        if bool(event.stripe_account) != (scope is _Scope.CONNECT):
            raise _refusal("the secret that signed the event is of the other scope")
        return event

    def _scope_of(self, body: bytes, header: str, now: dt.datetime) -> _Scope:
        timestamp, signatures = _parse(header)
        if abs(now.timestamp() - int(timestamp)) > self._tolerance_seconds:
            raise _refusal("its time is too far from ours")
        message = b"%s.%s" % (timestamp.encode(), body)
        for secret, scope in self._secrets:
            expected = hmac.digest(secret, message, "sha256").hex()
            if any(hmac.compare_digest(expected, candidate) for candidate in signatures):
                return scope
        raise _refusal("no secret verifies it")


def received(
    body: bytes, *, now: dt.datetime, livemode: bool, stripe_account: str | None = None
) -> ReceivedEvent:
    """The event in a body that is known to be Stripe's: one of the other mode is IGNORED.

    `stripe_account` is whose events were asked for, where that is known already. Raises
    InvalidArgument where it is no event.
    """
    envelope = _decode(body)
    account = (envelope.account or "") if stripe_account is None else stripe_account
    if account and not STRIPE_ACCOUNT_ID.fullmatch(account):
        raise _no_event("account", "must be the id of a Stripe account")
    ours = envelope.livemode is livemode
    about = envelope.data.object
    return ReceivedEvent(
        id=envelope.id,
        stripe_account=account,
        type=envelope.type,
        api_version=envelope.api_version or "",
        created=envelope.created * 1000,
        object_type=about.object or "",
        object_id=about.id or "",
        payload=body,
        received_at=now,
        state=EventState.PENDING if ours else EventState.IGNORED,
        decision="" if ours else "other mode",
    )


def _parse(header: str) -> tuple[str, list[str]]:
    """The time and the `v1` signatures of a `Stripe-Signature` header; other schemes are left."""
    if len(header) > MAX_HEADER_CHARACTERS:
        raise _refusal("the header is too long")
    pairs = [item.partition("=") for item in header.split(",")]
    times = [value for key, _, value in pairs if key == "t"]
    signatures = [value for key, _, value in pairs if key == "v1"]
    if len(times) != 1 or not _TIMESTAMP.fullmatch(times[0]):
        raise _refusal("the header has no time")
    if not 0 < len(signatures) <= MAX_SIGNATURES or not all(
        _SIGNATURE.fullmatch(signature) for signature in signatures
    ):
        raise _refusal("the header has no v1 signature")
    return times[0], signatures


def _decode(body: bytes) -> _Envelope:
    try:
        return _ENVELOPE.decode(body)
    except msgspec.ValidationError as error:
        raise _no_event(wrong_field(error) or "body", "is missing or not of its type") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _no_event("body", "must be JSON") from error
    except RecursionError as error:
        raise _no_event("body", "is nested too deeply") from error


def _refusal(why: str) -> Unauthenticated:
    return Unauthenticated(Reason.SIGNATURE_INVALID, f"the event's signature is refused: {why}")


def _no_event(field: str, rule: str) -> InvalidArgument:
    return InvalidArgument([FieldViolation(field, rule)])
