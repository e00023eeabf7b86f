"""Every field that an update mask may name is read from the noun's message."""

import importlib
import inspect
from typing import Any, Final

import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor

from domain.errors import FieldViolation
from tests.support.contract.field_tables import PARAMETERS, ROOMS, TABLES

FIELDS: Final = [(noun, name) for noun in PARAMETERS for name in TABLES[noun].names]


def give_value(message: Any, field: FieldDescriptor) -> None:
    """Give a field of a message some value, of whatever type it is."""
    if field.is_repeated and field.message_type and field.message_type.GetOptions().map_entry:
        give_entry(getattr(message, field.name), field.message_type.fields_by_name["value"])
    elif field.is_repeated:
        getattr(message, field.name).append("text")
    elif field.message_type:
        give_value(getattr(message, field.name), field.message_type.fields[0])
    elif field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        setattr(message, field.name, "text")
    else:
        setattr(message, field.name, 1)


def give_entry(entries: Any, value: FieldDescriptor) -> None:
    """Give a map an entry, whose value is a text or a message."""
    if value.message_type:
        give_value(entries["key"], value.message_type.fields[0])
    else:
        entries["key"] = "value"


@pytest.mark.parametrize(("noun", "name"), FIELDS)
def test_a_field_is_read_from_the_request_of_an_update(noun: str, name: str) -> None:
    table = TABLES[noun]
    mapping = importlib.import_module(f"interfaces.grpc.{ROOMS[noun]}.mapping")
    read = getattr(mapping, f"read_update_{noun}", None) or mapping.read_update
    kind = f"billing.v1.Update{table.noun.title().replace('_', '')}Request"
    descriptor = descriptor_pool.Default().FindMessageTypeByName(kind)
    request = message_factory.GetMessageClass(descriptor)()
    fields = descriptor.fields_by_name[noun].message_type.fields_by_name
    give_value(getattr(request, noun), fields[name])
    violations: list[FieldViolation] = []
    takes_violations = "violations" in inspect.signature(read).parameters
    command = read(request, violations) if takes_violations else read(request)
    assert [*table.given(command.values)] == [name]
    assert violations == []
