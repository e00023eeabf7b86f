"""Requests that are odd in one place each, or hold one text everywhere."""

from collections.abc import Iterator
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message


def with_nul(request: Message) -> Iterator[tuple[str, Any]]:
    """The request as often as it has texts, set or not, each time with a NUL in one of them.

    With each comes the path of the text; a map's keys and values are two. Left out is what callers
    have no part in.
    """
    for path in _texts(request.DESCRIPTOR):
        changed = type(request)()
        changed.CopyFrom(request)
        _spoil(changed, path)
        yield ".".join(path), changed


def _texts(message: Any) -> Iterator[tuple[str, ...]]:
    for field in message.fields:
        behavior = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
        if field_behavior_pb2.OUTPUT_ONLY in behavior:
            continue
        nested = field.message_type
        if nested is None:
            if field.type == FieldDescriptor.TYPE_STRING:
                yield (field.name,)
        elif nested.GetOptions().map_entry:
            yield (field.name, "key")
            value = nested.fields_by_name["value"].message_type
            inside = [()] if value is None else _texts(value)
            yield from ((field.name, "value", *rest) for rest in inside)
        elif not nested.full_name.startswith("google."):
            yield from ((field.name, *rest) for rest in _texts(nested))


def _spoil(message: Any, path: tuple[str, ...]) -> None:
    name, *rest = path
    field = message.DESCRIPTOR.fields_by_name[name]
    value = getattr(message, name)
    if field.message_type and field.message_type.GetOptions().map_entry:
        of_messages = field.message_type.fields_by_name["value"].message_type is not None
        if not of_messages:
            value.update({"key": {"a\0": "v"}, "value": {"a": "v\0"}}[rest[0]])
        elif rest == ["key"]:
            value.get_or_create("a\0")
        else:
            _spoil(value.get_or_create("eur"), tuple(rest[1:]))
    elif not rest and field.is_repeated:
        value.append("a\0")
    elif not rest:
        setattr(message, name, f"{value}\0")
    elif field.is_repeated:
        _spoil(value[0] if value else value.add(), tuple(rest))
    else:
        _spoil(value, tuple(rest))


def fill(message: Any, kind: Any, text: str, *, depth: int) -> None:
    """Set every text of a message, and of those inside it."""
    for field in kind.fields:
        if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated:
            setattr(message, field.name, text)
        elif field.type == FieldDescriptor.TYPE_STRING:
            getattr(message, field.name).append(text)
        elif field.message_type and field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].type == FieldDescriptor.TYPE_STRING:
                getattr(message, field.name)[text] = text
        elif field.message_type and depth:
            held = getattr(message, field.name)
            inner = held.add() if field.is_repeated else held
            fill(inner, field.message_type, text, depth=depth - 1)
