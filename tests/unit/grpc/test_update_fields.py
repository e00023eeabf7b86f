"""Every field that an update mask may name is read from the noun's message."""

import importlib
import inspect
from typing import Any, Final

import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor

from domain.errors import FieldViolation
from tests.support.contract.field_tables import PARAMETERS, TABLES

FIELDS: Final = [(room, name) for room in PARAMETERS for name in TABLES[room].names]


def give_value(message: Any, field: FieldDescriptor) -> None:
    """Give a field of a message some value, of whatever type it is."""
    if field.is_repeated and field.message_type and field.message_type.GetOptions().map_entry:
        getattr(message, field.name)["key"] = "value"
    elif field.message_type:
        give_value(getattr(message, field.name), field.message_type.fields[0])
    elif field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        setattr(message, field.name, "text")
    else:
        setattr(message, field.name, 1)


@pytest.mark.parametrize(("room", "name"), FIELDS)
def test_a_field_is_read_from_the_request_of_an_update(room: str, name: str) -> None:
    table = TABLES[room]
    read = importlib.import_module(f"interfaces.grpc.{room}.mapping").read_update
    kind = f"billing.v1.Update{table.noun.title().replace('_', '')}Request"
    descriptor = descriptor_pool.Default().FindMessageTypeByName(kind)
    request = message_factory.GetMessageClass(descriptor)()
    noun = descriptor.fields_by_name[table.noun].message_type
    give_value(getattr(request, table.noun), noun.fields_by_name[name])
    violations: list[FieldViolation] = []
    takes_violations = "violations" in inspect.signature(read).parameters
    command = read(request, violations) if takes_violations else read(request)
    assert [*table.given(command.values)] == [name]
    assert violations == []
