"""Events as an API noun (API reference, "Events"); `core.events` makes them."""

from typing import Final

from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.errors import invalid
from sandbox.emulator.core.events import RETENTION_SECONDS
from sandbox.emulator.core.listing import Filter, page, parameters
from sandbox.emulator.core.params import Boolean, ListOf, Text
from sandbox.emulator.core.values import JsonObject


def _of_type(event: JsonObject, kind: str) -> bool:
    """`charge.succeeded`, or a group such as `charge.*`."""
    if kind.endswith("*"):
        return bool(event["type"].startswith(kind[:-1]))
    return bool(event["type"] == kind)


def _of_types(event: JsonObject, kinds: list[str]) -> bool:
    return any(_of_type(event, kind) for kind in kinds)


def _delivered(event: JsonObject, delivered: bool) -> bool:
    """Events that are pending, or whose deliveries were given up, count as undelivered."""
    return bool((event["pending_webhooks"] == 0) == delivered)


def _list(call: Call) -> JsonObject:
    """Of the last thirty days."""
    if {"type", "types"} <= call.params.keys():
        raise invalid("You may only specify one of these parameters: type, types.", "types")
    return page(call, NOUN, _FILTERS, _oldest(call))


def _oldest(call: Call) -> int:
    return call.now - RETENTION_SECONDS


def _retrieve(call: Call) -> JsonObject:
    event = call.target()
    if event["created"] < _oldest(call):
        raise call.missing(NOUN, call.id, "id", 404)
    return event


_FILTERS: Final = {
    "type": Filter(Text(), _of_type),
    "types": Filter(ListOf(kind=Text(), most=20), _of_types),
    "delivery_success": Filter(Boolean(), _delivered),
}

NOUN: Final = Noun(
    object="event",
    collection="events",
    prefix="evt",
    fields={},
    actions=(
        Action("GET", "/{id}", {}, _retrieve),
        Action("GET", "", parameters(_FILTERS, created=True), _list),
    ),
)
