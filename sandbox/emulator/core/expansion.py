"""Expansion (API reference, "Expanding Responses"): ids in an answer replaced by their objects."""

from typing import Any, Final

from sandbox.emulator.core.call import Call, Include, Noun
from sandbox.emulator.core.errors import ApiError, invalid
from sandbox.emulator.core.values import JsonObject

MAX_DEPTH: Final = 4
MAX_PATHS: Final = 20


def expand(call: Call, answer: JsonObject, paths: list[str]) -> JsonObject:
    """The answer with each dotted path expanded; the stored objects stay as they are.

    ApiError 400 for a path that cannot be expanded.
    """
    if len(paths) > MAX_PATHS:
        raise invalid(f"You can expand at most {MAX_PATHS} paths", "expand")
    for path in paths:
        segments = path.split(".")
        if len(segments) > MAX_DEPTH:
            raise invalid(f"You cannot expand more than {MAX_DEPTH} levels: {path}", "expand")
        if segments[0] == "data" and answer.get("object") == "list":
            if len(segments) < 2:
                raise _not_expandable(path)
            items = [_expanded(call, item, segments[1:], path) for item in answer["data"]]
            answer = {**answer, "data": items}
        else:
            answer = _expanded(call, answer, segments, path)
    return answer


def check(call: Call, paths: list[str]) -> None:
    """ApiError 400 for a path that no object of the call's noun has, before anything is done."""
    noun = call.noun
    for path in paths:
        segments = path.split(".")
        heads = {".".join(segments[:length]) for length in range(1, len(segments) + 1)}
        if heads.isdisjoint(noun.expandable | noun.includes.keys()):
            raise _not_expandable(path)


def _expanded(call: Call, item: JsonObject, segments: list[str], path: str) -> JsonObject:
    """A copy of one object (or list) with one path expanded."""
    if item.get("object") == "list" and segments[0] == "data":
        return {
            **item,
            "data": [_expanded(call, one, segments[1:], path) for one in item["data"]],
        }
    if item.get("deleted") is True:
        return item
    owner = call.world.nouns.named(item["object"])
    for length in range(1, len(segments) + 1):
        name, rest = ".".join(segments[:length]), segments[length:]
        if name in owner.includes:
            value = _at(item, segments[:length])
            made = value if isinstance(value, dict) else owner.includes[name](call, item)
            return _with(item, segments[:length], _deeper(call, made, rest, path))
        if name in owner.expandable:
            value = _at(item, segments[:length])
            return _with(item, segments[:length], _grown(call, value, rest, path))
    raise _not_expandable(path)


def _grown(
    call: Call, value: str | JsonObject | list[Any] | None, rest: list[str], path: str
) -> JsonObject | list[Any] | None:
    """What stands in place of an id, of an embedded object, or of a list of either."""
    if isinstance(value, list):
        return [_grown(call, one, rest, path) for one in value]
    linked = _linked(call, value) if isinstance(value, str) else value
    return _deeper(call, linked, rest, path)


def _deeper(call: Call, linked: JsonObject | None, rest: list[str], path: str) -> JsonObject | None:
    if linked is None or not rest:
        return linked
    return _expanded(call, linked, rest, path)


def linked_as(noun: str, path: str) -> Include:
    """How to expand the field at a dotted path whose ids may be of anybody's making: a coupon's."""

    def link(call: Call, item: JsonObject) -> JsonObject | None:
        value = _at(item, path.split("."))
        return _found(call, call.world.nouns.named(noun), value) if isinstance(value, str) else None

    return link


def _linked(call: Call, identifier: str) -> JsonObject:
    """The object, the remains of a deleted one, or ApiError 400."""
    noun = call.world.nouns.owning(identifier)
    if noun is None:
        raise invalid(f"This id cannot be expanded: {identifier}", "expand")
    if noun.object == "account":
        return call.world.accounts.get(identifier)
    return _found(call, noun, identifier)


def _found(call: Call, noun: Noun, identifier: str) -> JsonObject:
    shelf = call.shelf(noun)
    found = shelf.get(identifier)
    if found is not None:
        return call.seen(found)
    remains = shelf.tombstone(identifier)
    if remains is None:
        raise call.missing(noun, identifier, "expand", 400)
    return remains


def _at(item: JsonObject, segments: list[str]) -> str | JsonObject | list[Any] | None:
    value: object = item
    for segment in segments:
        value = value.get(segment) if isinstance(value, dict) else None
    return value if isinstance(value, str | dict | list) else None


def _with(
    item: JsonObject, segments: list[str], value: JsonObject | list[Any] | None
) -> JsonObject:
    """A copy with the value at a path, copying only what lies on the way."""
    head, *rest = segments
    if not rest:
        return {**item, head: value}
    inner = item.get(head)
    return {**item, head: _with(inner, rest, value)} if isinstance(inner, dict) else item


def _not_expandable(path: str) -> ApiError:
    return invalid(f"This property cannot be expanded ({path}).", "expand")
