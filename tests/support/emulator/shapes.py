"""What Stripe's SDK says of an object, asked of an answer: its fields, and those always there.

The SDK's classes are generated from Stripe's OpenAPI document. A field that is not `Optional`
there is in every answer and never null; a key that no class names is not Stripe's.
"""

import types
from collections.abc import Iterator, Mapping
from functools import cache
from inspect import get_annotations
from typing import Any, Final, Union, get_args, get_origin

from stripe._object_classes import get_object_class
from stripe._stripe_object import StripeObject, UntypedStripeObject

_NULL: Final = type(None)


def differences(item: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """Each key that the SDK does not know, and each field that it promises and is not there."""
    kind = item.get("object")
    if kind in ("list", "search_result"):
        for member in item["data"]:
            yield from differences(member, where)
        return
    if item.get("deleted") is True or not isinstance(kind, str):
        return
    yield from _of_class(item, get_object_class("V1", kind), where or kind)


def _of_class(item: Mapping[str, Any], kind: type, where: str) -> Iterator[str]:
    fields = _fields(kind)
    if not fields:
        return
    for name in item:
        if name not in fields:
            yield f"{where}.{name}: not Stripe's"
    for name, (annotation, required) in fields.items():
        value = item.get(name)
        if required and value is None:
            yield f"{where}.{name}: always there at Stripe"
        yield from _of_value(value, annotation, f"{where}.{name}")


def _of_value(value: object, annotation: object, where: str) -> Iterator[str]:
    if isinstance(value, list):
        for member in value:
            yield from _of_value(member, _member(annotation), f"{where}[]")
    if not isinstance(value, dict):
        return
    if "object" in value:
        yield from differences(value, value["object"] if value["object"] != "list" else where)
        return
    for kind in _classes(annotation):
        yield from _of_class(value, kind, where)


@cache
def _fields(kind: type) -> dict[str, tuple[object, bool]]:
    """(annotation, whether it is always there) of each field; empty for what is not typed."""
    if not issubclass(kind, StripeObject) or kind in (StripeObject, UntypedStripeObject):
        return {}
    found: dict[str, tuple[object, bool]] = {}
    renamed: Mapping[str, str] = getattr(kind, "_field_remappings", {})
    wire = {ours: theirs for theirs, ours in renamed.items()}
    for ancestor in reversed(kind.__mro__):
        if ancestor in (object, StripeObject) or ancestor.__module__.startswith("typing"):
            continue
        if not issubclass(ancestor, StripeObject):
            continue
        for name, annotation in get_annotations(ancestor).items():
            if name.startswith("_") or name.isupper():
                continue
            required = _NULL not in get_args(annotation)
            found[wire.get(name, name)] = (annotation, required)
    return found


def _classes(annotation: object) -> list[type]:
    """The SDK's classes that a value of this annotation may be of."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return [kind for one in get_args(annotation) for kind in _classes(one)]
    if origin is None and isinstance(annotation, type) and issubclass(annotation, StripeObject):
        return [annotation]
    return []


def _member(annotation: object) -> object:
    for one in (annotation, *get_args(annotation)):
        if get_origin(one) is list:
            return get_args(one)[0]
    return object
