"""Webhook endpoints (API reference, "Webhook Endpoints"). They make no events of their own."""

from typing import Final

from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.delivery import Endpoint
from sandbox.emulator.core.errors import invalid
from sandbox.emulator.core.params import Boolean, ListOf, Metadata, Text
from sandbox.emulator.core.values import API_VERSION, JsonObject
from sandbox.emulator.core.verbs import delete, given, listed, patched, retrieve

_URL: Final = Text(required=True)
_TYPES: Final = ListOf(kind=Text(), required=True, most=500)

_CREATE: Final = {
    "api_version": Text(),
    "connect": Boolean(),
    "description": Text(clearable=True),
    "enabled_events": _TYPES,
    "metadata": Metadata(),
    "url": _URL,
}

_UPDATE: Final = {
    "description": Text(clearable=True),
    "disabled": Boolean(),
    "enabled_events": ListOf(kind=Text(), most=500),
    "metadata": Metadata(),
    "url": Text(),
}


def _create(call: Call) -> JsonObject:
    """The endpoint; its secret is in this answer only."""
    _check_url(call)
    secret = call.world.ids.mint("whsec", 32)
    item = call.add(NOUN, given(call))
    _register(call, item, secret, connect=call.params.get("connect", False))
    return {**item, "secret": secret}


def _update(call: Call) -> JsonObject:
    _check_url(call)
    item = call.target()
    patch = patched(item, call.params, _UPDATE)
    if "disabled" in call.params:
        patch["status"] = "disabled" if call.params["disabled"] else "enabled"
    call.change(item, patch)
    known = call.world.delivery.endpoint(item["id"])
    _register(call, item, known.secret, connect=known.connect)
    return item


def _check_url(call: Call) -> None:
    url: str = call.params.get("url", "http://")
    if not url.startswith(("http://", "https://")):
        raise invalid("Invalid URL: An explicit scheme (such as https) must be provided.", "url")


def _register(call: Call, item: JsonObject, secret: str, *, connect: bool) -> None:
    endpoint = Endpoint(
        id=item["id"],
        scope=call.scope,
        url=item["url"],
        secret=secret,
        connect=connect,
        enabled_events=frozenset(item["enabled_events"]),
        enabled=item["status"] == "enabled",
        api_version=item["api_version"],
    )
    call.world.delivery.register(endpoint)


def _unregister(call: Call) -> None:
    call.world.delivery.unregister(call.id)


NOUN: Final = Noun(
    object="webhook_endpoint",
    collection="webhook_endpoints",
    prefix="we",
    title="webhook endpoint",
    fields={
        "api_version": API_VERSION,
        "application": None,
        "description": None,
        "enabled_events": [],
        "metadata": {},
        "status": "enabled",
        "url": "",
    },
    actions=(
        Action("POST", "", _CREATE, _create),
        retrieve(),
        Action("POST", "/{id}", _UPDATE, _update),
        delete(tombstone=False, before=_unregister, emits=False),
        listed(created=False),
    ),
)
