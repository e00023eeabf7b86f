"""Envelopes: what is read of an event before it is stored (API reference, "The Event object").

Whatever is Stripe's is kept, byte for byte, whether we know its shape or not: refusing it would
only make Stripe send the same bytes for days (docs/decisions/0014-what-stripe-signed-is-kept.md).
"""

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from application.events.inbox import EventState, ReceivedEvent
from domain.connections import STRIPE_ACCOUNT_ID
from domain.periods import to_milliseconds
from infrastructure.stripe.core.shapes import Identifier, Seconds, wrong_field

V = TypeVar("V")

_THIN: Final = "v2.core.event"
_IGNORED_THIN: Final = (
    "a thin event: it shows no state; snapshot events show it, and they are listed"
)
_ONLY_A_HINT: Final = frozenset({"type", "created", "api_version"})
"""Without these an event still names its object, which can be read."""


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What an event says of itself.

    `livemode` and `created_ms` are None where it does not tell them. `api_version` is empty where
    the rest is not as it is in any version, so that the event is no more than a hint. `thin` events
    (Stripe, "Thin events") tell no state. `not_understood` names the field, and the rule, for which
    the event cannot be projected; it then names no object.
    """

    id: str
    type: str = ""
    api_version: str = ""
    created_ms: int | None = None
    livemode: bool | None = None
    account: str = ""
    object_type: str = ""
    object_id: str = ""
    thin: bool = False
    not_understood: str = ""

    @property
    def tells_scope(self) -> bool:
        """Whether `account` tells which of our endpoints the event is for."""
        return not (self.thin or self.not_understood)

    def received(self, body: bytes, *, now: dt.datetime, livemode: bool) -> ReceivedEvent:
        """The event as it is stored by a deployment of a mode.

        IGNORED where it is of the other mode or thin, DEAD where it is not understood. One that
        does not tell when it was made counts as made `now`.
        """
        state, decision, error = self._fate(livemode)
        return ReceivedEvent(
            id=self.id,
            stripe_account=self.account,
            type=self.type,
            api_version=self.api_version,
            created=to_milliseconds(now) if self.created_ms is None else self.created_ms,
            object_type=self.object_type,
            object_id=self.object_id,
            payload=body,
            received_at=now,
            state=state,
            decision=decision,
            error=error,
        )

    def _fate(self, livemode: bool) -> tuple[EventState, str, str]:
        """Its state, decision and error."""
        if self.livemode not in (None, livemode):
            return EventState.IGNORED, "other mode", ""
        if self.thin:
            return EventState.IGNORED, _IGNORED_THIN, ""
        if self.not_understood:
            return EventState.DEAD, "not understood", self.not_understood
        return EventState.PENDING, "", ""


def received(
    body: bytes, *, now: dt.datetime, livemode: bool, stripe_account: str | None = None
) -> ReceivedEvent:
    """The event in a body that is known to be Stripe's, as `Envelope.received` has it. Total.

    `stripe_account` is whose events were asked for, where that is known already.
    """
    return read_envelope(body, stripe_account).received(body, now=now, livemode=livemode)


def read_again(event: ReceivedEvent) -> ReceivedEvent:
    """A stored event that names no object, as this release reads its bytes.

    Raises ValueError where it is not understood either, or is of another account now.
    """
    # Without an account it may be the account that was not understood: that is read, too.
    envelope = read_envelope(event.payload, event.stripe_account or None)
    if envelope.not_understood:
        raise ValueError(envelope.not_understood)
    if envelope.account != event.stripe_account:
        raise ValueError("account: differs from the account of the stored event")
    return replace(
        event,
        type=envelope.type,
        api_version=envelope.api_version,
        created=event.created if envelope.created_ms is None else envelope.created_ms,
        object_type=envelope.object_type,
        object_id=envelope.object_id,
    )


def read_envelope(body: bytes, stripe_account: str | None = None) -> Envelope:
    """The envelope of a body that is known to be Stripe's, whatever stands in it.

    `stripe_account`: see `received`. A body without id has one made of its digest, so that the same
    body again is the same event.
    """
    try:
        told = _EVENT.decode(body)
    except (ValueError, RecursionError):
        return _read_apart(body, stripe_account)
    account = (told.account or told.user_id or "") if stripe_account is None else stripe_account
    if account and not STRIPE_ACCOUNT_ID.fullmatch(account):
        return _read_apart(body, stripe_account)
    return Envelope(
        told.id,
        told.type,
        told.api_version or "",
        told.created * 1000,
        told.livemode,
        account,
        told.data.object.object or "",
        told.data.object.id or "",
    )


class _Object(msgspec.Struct, frozen=True, gc=False):
    id: Identifier | UnsetType | None = UNSET
    object: Identifier | UnsetType | None = UNSET


class _Data(msgspec.Struct, frozen=True, gc=False):
    object: _Object


class _Event(msgspec.Struct, frozen=True, gc=False):
    """An event as nearly all of them are. `user_id` is `account` until 2017-05-25."""

    id: Identifier
    object: Literal["event"]
    type: Identifier
    created: Seconds
    livemode: bool
    data: _Data
    api_version: str | None = None
    account: str | None = None
    user_id: str | None = None


class _AnyData(msgspec.Struct, frozen=True, gc=False):
    object: _Object | None = None


class _RelatedObject(msgspec.Struct, frozen=True, gc=False):
    id: Identifier | None = None
    type: Identifier | None = None


_LAST_MS: Final = to_milliseconds(dt.datetime.max.replace(tzinfo=dt.UTC))
_Instant = Seconds | Annotated[dt.datetime, msgspec.Meta(tz=True)]

_EVENT: Final = msgspec.json.Decoder(_Event)
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NULL: Final = msgspec.Raw(b"null")
_NAME: Final = msgspec.json.Decoder(Identifier | None)
_TEXT: Final = msgspec.json.Decoder(str | None)
_FLAG: Final = msgspec.json.Decoder(bool | None)
_INSTANT: Final = msgspec.json.Decoder(_Instant | None)
_DATA: Final = msgspec.json.Decoder(_AnyData | None)
_RELATED: Final = msgspec.json.Decoder(_RelatedObject | None)


class _Fields:
    """Fields that are read one by one, so that one that is wrong spoils no other."""

    def __init__(self, fields: Mapping[str, msgspec.Raw]) -> None:
        self._fields = fields
        self.wrong: dict[str, str] = {}
        """By name, the path within the field that is not of its type."""

    def read(self, name: str, decoder: msgspec.json.Decoder[V | None]) -> V | None:
        """The value of a field; None where it is missing or wrong."""
        try:
            return decoder.decode(self._fields.get(name, _NULL))
        except msgspec.ValidationError as error:
            self.wrong[name] = wrong_field(error)
        except (ValueError, RecursionError):
            self.wrong[name] = ""
        return None

    @property
    def not_understood(self) -> str:
        """The first wrong field without which nothing can be done; empty where there is none."""
        for name, within in self.wrong.items():
            if name not in _ONLY_A_HINT:
                path = f"{name}.{within}" if within else name
                return f"{path}: is missing or not of its type"
        return ""


def _read_apart(body: bytes, stripe_account: str | None) -> Envelope:
    """The envelope of a body that is not as nearly all of them are."""
    try:
        fields = _Fields(_FIELDS.decode(body))
    except msgspec.ValidationError:
        return _without_id(body, stripe_account, "body: must be a JSON object")
    except ValueError:
        return _without_id(body, stripe_account, "body: must be JSON")
    except RecursionError:
        return _without_id(body, stripe_account, "body: is nested too deeply")
    event_id = fields.read("id", _NAME)
    if event_id is None:
        return _without_id(body, stripe_account, "id: is missing or not of its type")
    if fields.read("object", _NAME) == _THIN:
        return _thin(event_id, fields, stripe_account)
    return _snapshot(event_id, fields, stripe_account)


def _without_id(body: bytes, stripe_account: str | None, why: str) -> Envelope:
    digest = hashlib.sha256(body).hexdigest()
    return Envelope(f"body_{digest}", account=stripe_account or "", not_understood=why)


def _thin(event_id: str, fields: _Fields, stripe_account: str | None) -> Envelope:
    """A thin event; its context names the account last, behind an organisation maybe."""
    about = fields.read("related_object", _RELATED)
    account = (fields.read("context", _TEXT) or "").rpartition("/")[2]
    if not STRIPE_ACCOUNT_ID.fullmatch(account):
        account = ""
    return Envelope(
        event_id,
        fields.read("type", _NAME) or "",
        created_ms=_milliseconds(fields.read("created", _INSTANT)),
        livemode=fields.read("livemode", _FLAG),
        account=account if stripe_account is None else stripe_account,
        object_type=(about and about.type) or "",
        object_id=(about and about.id) or "",
        thin=True,
    )


def _snapshot(event_id: str, fields: _Fields, stripe_account: str | None) -> Envelope:
    if fields.read("object", _NAME) not in (None, "event"):
        fields.wrong["object"] = ""
    livemode = fields.read("livemode", _FLAG)
    if livemode is None:
        fields.wrong["livemode"] = ""
    account = _account(fields) if stripe_account is None else stripe_account
    kind, created = fields.read("type", _NAME), fields.read("created", _INSTANT)
    api_version = fields.read("api_version", _TEXT) or ""
    data = fields.read("data", _DATA)
    not_understood = fields.not_understood
    about = data.object if data and not not_understood else None
    return Envelope(
        event_id,
        kind or "",
        api_version if kind and isinstance(created, int) else "",
        _milliseconds(created),
        livemode,
        account,
        (about and about.object) or "",
        (about and about.id) or "",
        not_understood=not_understood,
    )


def _account(fields: _Fields) -> str:
    account = fields.read("account", _TEXT) or fields.read("user_id", _TEXT) or ""
    if {"account", "user_id"} & {*fields.wrong}:
        return ""  # neither stands in for one that is not understood
    if not account or STRIPE_ACCOUNT_ID.fullmatch(account):
        return account
    fields.wrong["account"] = ""
    return ""


def _milliseconds(instant: int | dt.datetime | None) -> int | None:
    """An instant as the inbox has it; None for one that is out of the bounds of `Seconds`."""
    if not isinstance(instant, dt.datetime):
        return None if instant is None else instant * 1000
    milliseconds = to_milliseconds(instant)
    return milliseconds if 0 <= milliseconds <= _LAST_MS else None
