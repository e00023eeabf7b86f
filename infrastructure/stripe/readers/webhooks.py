"""Deliveries to the webhook: only what Stripe signed gets in ("Verify webhook signatures")."""

import datetime as dt
import hmac
import re
from collections.abc import Iterable
from enum import Enum
from typing import Final

from typing_extensions import override

from application.events.inbox import ReceivedEvent
from application.events.readings import WebhookReader
from domain.connections import Mode
from domain.errors import Reason, Unauthenticated
from infrastructure.stripe.readers.envelopes import read_envelope

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


_OTHER_SCOPE: Final = {
    _Scope.PLATFORM: (
        "it is an event of a connected account, signed with a secret of"
        " BILLING_WEBHOOK_SECRETS_PLATFORM; BILLING_WEBHOOK_SECRETS_CONNECT has the secrets for"
        " such events: are the two settings swapped?"
    ),
    _Scope.CONNECT: (
        "it is an event of the platform's own, signed with a secret of"
        " BILLING_WEBHOOK_SECRETS_CONNECT; BILLING_WEBHOOK_SECRETS_PLATFORM has the secrets for"
        " such events: are the two settings swapped?"
    ),
}
"""What to say by the scope of the secret that signed an event of the other one."""


class StripeWebhookReader(WebhookReader):
    """Verifies first, with every secret of both scopes, and reads the body only then.

    A thin event may come by either scope: its endpoint is a third one, with a secret of its own.
    """

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
        envelope = read_envelope(body)
        if envelope.tells_scope and bool(envelope.account) != (scope is _Scope.CONNECT):
            raise _refusal(_OTHER_SCOPE[scope])
        return envelope.received(body, now=now, livemode=self._livemode)

    def _scope_of(self, body: bytes, header: str, now: dt.datetime) -> _Scope:
        timestamp, signatures = _parse(header)
        if abs(now.timestamp() - int(timestamp)) > self._tolerance_seconds:
            raise _refusal("its time differs too much from our clock")
        message = b"%s.%s" % (timestamp.encode(), body)
        for secret, scope in self._secrets:
            expected = hmac.digest(secret, message, "sha256").hex()
            if any(hmac.compare_digest(expected, candidate) for candidate in signatures):
                return scope
        raise _refusal("no secret verifies it")


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


def _refusal(why: str) -> Unauthenticated:
    return Unauthenticated(Reason.SIGNATURE_INVALID, f"the event's signature is refused: {why}")
