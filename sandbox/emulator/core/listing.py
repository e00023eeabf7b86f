"""List pages (API reference, "Pagination"): newest first, cursors both ways, filters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeAlias

from sandbox.emulator.core.call import Call, Noun
from sandbox.emulator.core.errors import invalid
from sandbox.emulator.core.params import Integer, Kind, Parameters, Span, Text
from sandbox.emulator.core.values import JsonObject

Test: TypeAlias = Callable[[JsonObject, Any], bool]

DEFAULT_LIMIT: Final = 10
MOST: Final = 100

_PAGE: Final[Parameters] = {
    "limit": Integer(least=1, most=MOST),
    "starting_after": Text(),
    "ending_before": Text(),
}


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter of a list.

    test: whether an object passes for the given value; without one the field of the same name
    must equal it (declare that field as indexed).
    """

    kind: Kind
    test: Test | None = None


def parameters(filters: Mapping[str, Filter], *, created: bool) -> Parameters:
    """The parameters that a list with these filters takes."""
    own = {name: declared.kind for name, declared in filters.items()}
    return {**_PAGE, **({"created": Span()} if created else {}), **own}


def page(
    call: Call, noun: Noun, filters: Mapping[str, Filter], oldest: int | None = None
) -> JsonObject:
    """One page of a noun's objects; `oldest` bounds `created` from below."""
    params = call.params
    limit = params.get("limit", DEFAULT_LIMIT)
    shelf = call.shelf(noun)
    after = _cursor(call, noun, "starting_after")
    before = _cursor(call, noun, "ending_before")
    if after is not None and before is not None:
        raise invalid("You cannot pass both ending_before and starting_after.", "starting_after")
    first, end = params.get("created", (None, None))
    if oldest is not None:
        first = oldest if first is None else max(first, oldest)
    equal, tests = _criteria(noun, filters, params)
    walk = shelf.walk(equal, (first, end), after, before)
    matching = (item for item in walk if all(test(item, value) for test, value in tests))
    found = list(islice(matching, limit + 1))
    data = found[:limit]
    if before is not None:
        data.reverse()
    return {
        "object": "list",
        "data": [call.seen(item) for item in data],
        "has_more": len(found) > limit,
        "url": call.path,
    }


def _cursor(call: Call, noun: Noun, param: str) -> tuple[int, int, str] | None:
    if param not in call.params:
        return None
    identifier = call.params[param]
    call.find(noun.object, identifier, param)
    return call.shelf(noun).key(identifier)


def _criteria(
    noun: Noun, filters: Mapping[str, Filter], params: JsonObject
) -> tuple[tuple[str, str] | None, list[tuple[Test, Any]]]:
    """One indexed equality to walk along, and the tests for the rest."""
    equal: tuple[str, str] | None = None
    tests: list[tuple[Test, Any]] = []
    for name, declared in filters.items():
        if name not in params:
            continue
        if declared.test is not None:
            tests.append((declared.test, params[name]))
        elif equal is None and name in noun.indexed:
            equal = (name, params[name])
        else:
            tests.append((_field_equals(name), params[name]))
    return equal, tests


def _field_equals(name: str) -> Test:
    return lambda item, value: bool(item.get(name) == value)
