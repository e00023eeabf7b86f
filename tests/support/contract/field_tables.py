"""The tables of fields that callers may change, and how gateways write them, by their nouns."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, Final

import application
import infrastructure.stripe
from application.requests.fields import FieldTable
from infrastructure.stripe.core.parameters import Parameters


def _declared(package: Any, kind: type) -> Iterator[tuple[str, Any]]:
    """What the files of each room of a package declare of a kind, beside the room's name."""
    for room in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        files = importlib.import_module(room.name).__path__ if room.ispkg else ()
        for file in pkgutil.iter_modules(files):
            module = importlib.import_module(f"{room.name}.{file.name}")
            declared = [value for value in vars(module).values() if isinstance(value, kind)]
            yield from ((room.name.rpartition(".")[2], value) for value in declared)


_TABLES: Final = [*_declared(application, FieldTable)]

TABLES: Final[dict[str, FieldTable[Any]]] = {table.noun: table for _, table in _TABLES}
"""The table of each noun that has one."""

ROOMS: Final[dict[str, str]] = {table.noun: room for room, table in _TABLES}
"""Whose room it is."""

PARAMETERS: Final[dict[str, Parameters[Any]]] = {
    parameters.table.noun: parameters
    for _, parameters in _declared(infrastructure.stripe, Parameters)
}
"""How a gateway writes the fields of each noun's table."""
