"""The actions that most nouns have; a noun declares their parameters and what differs."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from sandbox.emulator.core import listing
from sandbox.emulator.core.call import Action, Call, Run
from sandbox.emulator.core.listing import Filter
from sandbox.emulator.core.params import Hash, Parameters, Text, merged_metadata
from sandbox.emulator.core.values import JsonObject

Fields: TypeAlias = Callable[[Call], JsonObject]


def create(parameters: Parameters, fields: Fields | None = None, *, emits: bool = True) -> Action:
    """`POST /v1/<collection>`: an object of the parameters, and its `created` event if it `emits`.

    fields: what the object takes from the call, when that is not simply `given(call)`.
    """

    def run(call: Call) -> JsonObject:
        item = call.add(call.noun, given(call, parameters) if fields is None else fields(call))
        if emits:
            call.emit(f"{call.noun.object}.created", item)
        return call.seen(item)

    return Action("POST", "", parameters, run)


def retrieve() -> Action:
    """`GET /v1/<collection>/{id}`: the object, or what is left of a deleted one."""

    def run(call: Call) -> JsonObject:
        remains = call.shelf(call.noun).tombstone(call.id)
        return remains if remains is not None else call.seen(call.target())

    return Action("GET", "/{id}", {}, run)


def update(parameters: Parameters, fields: Fields | None = None, *, emits: bool = True) -> Action:
    """`POST /v1/<collection>/{id}`: changes fields; `updated` event with what they were."""

    def run(call: Call) -> JsonObject:
        item = call.target()
        patch = patched(item, call.params, parameters) if fields is None else fields(call)
        event = f"{call.noun.object}.updated" if emits else ""
        return call.seen(call.change(item, patch, event))

    return Action("POST", "/{id}", parameters, run)


def delete(
    *, tombstone: bool = True, before: Callable[[Call], None] | None = None, emits: bool = True
) -> Action:
    """`DELETE /v1/<collection>/{id}`: `deleted` event with the whole object.

    tombstone: whether a retrieval then answers `deleted: true` instead of 404.
    before: what else goes with the object.
    """

    def run(call: Call) -> JsonObject:
        item = call.target()
        if before is not None:
            before(call)
        remains = {"id": item["id"], "object": call.noun.object, "deleted": True}
        call.shelf(call.noun).remove(item["id"], remains if tombstone else None)
        if emits:
            call.emit(f"{call.noun.object}.deleted", item)
        return remains

    return Action("DELETE", "/{id}", {}, run)


def listed(filters: Mapping[str, Filter] | None = None, *, created: bool = True) -> Action:
    """`GET /v1/<collection>`: a page."""
    declared = filters or {}

    def run(call: Call) -> JsonObject:
        return listing.page(call, call.noun, declared)

    return Action("GET", "", listing.parameters(declared, created=created), run)


def listed_under(path: str, noun: str, field: str) -> Action:
    """`GET /v1/<collection>/{id}/…`: the page of another noun whose `field` names this object."""
    filters = {field: Filter(Text())}

    def run(call: Call) -> JsonObject:
        item = call.target()
        inner = call.on(noun, {**call.params, field: item["id"]})
        return listing.page(inner, inner.noun, filters)

    return Action("GET", path, listing.parameters({}, created=True), run)


def act(name: str, parameters: Parameters, run: Run) -> Action:
    """`POST /v1/<collection>/{id}/<name>`."""
    return Action("POST", f"/{{id}}/{name}", parameters, run)


def given(call: Call, parameters: "Parameters | None" = None) -> JsonObject:
    """The parameters as fields of a new object; those that the noun has no field for left out.

    parameters: their declaration, where hashes among them are shown whole (addresses).
    """
    fields = {name: value for name, value in call.params.items() if name in call.noun.fields}
    template = call.noun.fields
    for name, value in fields.items():
        kind = (parameters or {}).get(name)
        if name == "metadata":
            fields[name] = merged_metadata({}, value)
        elif isinstance(kind, Hash) and isinstance(value, dict):
            fields[name] = kind.merged(template[name], value)
        elif isinstance(value, dict) and isinstance(template[name], dict):
            fields[name] = {**template[name], **value}
    return fields


def patched(item: JsonObject, params: JsonObject, parameters: Parameters) -> JsonObject:
    """The patch that parameters make on an object; metadata and hashes merge."""
    patch: JsonObject = {}
    for name, value in params.items():
        kind = parameters[name]
        stored = item.get(name)
        if name == "metadata":
            patch[name] = merged_metadata(item["metadata"], value)
        elif name not in item:
            continue
        elif isinstance(kind, Hash) and isinstance(value, dict):
            patch[name] = kind.merged(stored, value)
        else:
            patch[name] = value
    return patch
