"""What adapters declare beside their queries is made: none is forgotten."""

import pkgutil
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType

import infrastructure.mongo
import infrastructure.sqlite
from infrastructure.mongo import preparation as mongo
from infrastructure.sqlite import preparation as sqlite


def _declaring(package: ModuleType, declaration: str) -> set[str]:
    """The files below a package that declare something under this name."""
    names = [
        found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    return {name for name in names if hasattr(import_module(name), declaration)}


def _names(adapters: Iterable[object]) -> set[str]:
    return {str(getattr(adapter, "__name__", adapter)) for adapter in adapters}


def test_each_file_that_declares_indexes_is_prepared() -> None:
    declaring = _declaring(infrastructure.mongo, "INDEXES")
    assert "infrastructure.mongo.inbox" in declaring
    assert _names(mongo.ADAPTERS) == declaring


def test_each_file_that_declares_tables_is_prepared() -> None:
    declaring = _declaring(infrastructure.sqlite, "TABLES")
    assert "infrastructure.sqlite.inbox" in declaring
    assert _names(sqlite.ADAPTERS) == declaring


def test_two_files_may_declare_indexes_of_one_collection() -> None:
    names = [index.document["name"] for index in mongo.declared_indexes(())["billing.events"]]
    assert {"pending", "dead", "received_at_id_type"} <= set(names)
    assert len(names) == len(set(names))
