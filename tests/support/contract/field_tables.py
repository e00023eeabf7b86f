"""The tables of fields that callers may change, and how gateways write them, by their rooms."""

import importlib
import pkgutil
from typing import Any, Final

import application
import infrastructure.stripe
from application.requests.fields import FieldTable
from infrastructure.stripe.core.parameters import Parameters


def _declared(package: Any, file: str, name: str, kind: type) -> dict[str, Any]:
    """What each room of a package declares by that name in that file, by the room."""
    declarations = {}
    for room in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        files = (
            pkgutil.iter_modules(importlib.import_module(room.name).__path__) if room.ispkg else ()
        )
        if file in {module.name for module in files}:
            declaration = getattr(importlib.import_module(f"{room.name}.{file}"), name, None)
            if isinstance(declaration, kind):
                declarations[room.name.rpartition(".")[2]] = declaration
    return declarations


TABLES: Final[dict[str, FieldTable[Any]]] = _declared(application, "fields", "FIELDS", FieldTable)
"""The table of each room that has one."""

PARAMETERS: Final[dict[str, Parameters[Any]]] = _declared(
    infrastructure.stripe, "gateway", "PARAMETERS", Parameters
)
"""How the gateway of each room writes the fields of its table."""
