"""A capability is a room of the same name in every layer: nobody has to search for invoices."""

import ast
import importlib
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]

EXCEPTIONS: Final = {
    "catalog": {"application": ("catalogue",), "grpc": "catalogue"},
    "connection": {"application": ("connections", "connecting"), "grpc": "connections"},
    "contact_link": {"application": ("contacts",), "grpc": "contacts"},
    "mirror": {"application": ("upkeep", "operations"), "grpc": "mirror"},
    "wallet": {"application": ("wallet",), "grpc": "wallet"},
}
"""Nouns of services whose rooms are not their plural, and where those are."""

SERVICES: Final = tuple(
    proto.stem.removesuffix("_service")
    for proto in sorted((ROOT / "proto" / "billing" / "v1").glob("*_service.proto"))
)


def rooms(noun: str) -> tuple[tuple[str, ...], str]:
    """The rooms of a service's noun in the application, and its one in gRPC."""
    if noun in EXCEPTIONS:
        exception = EXCEPTIONS[noun]
        return tuple(exception["application"]), str(exception["grpc"])
    plural = noun if noun.endswith("s") else f"{noun}s"
    return (plural,), plural


def gateways(room: str) -> list[str]:
    """The ports of a room of the application that stand for Stripe."""
    ports = ROOT / "application" / room / "ports.py"
    tree = ast.parse(ports.read_text()) if ports.exists() else ast.Module([], [])
    names = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    return [name for name in names if name.endswith("Gateway")]


def test_there_are_services() -> None:
    assert len(SERVICES) >= 12
    assert {*EXCEPTIONS} <= {*SERVICES}, "an exception of no service"


@pytest.mark.parametrize("noun", SERVICES)
def test_a_service_has_its_rooms(noun: str) -> None:
    application, grpc = rooms(noun)
    for room in application:
        assert (ROOT / "application" / room).is_dir()
        # The upkeep of the mirror is work of operations, which callers ask for.
        assert room == "upkeep" or (ROOT / "application" / room / "use_cases.py").exists()
    for name in ("servicer", "mapping"):
        assert (ROOT / "interfaces" / "grpc" / grpc / f"{name}.py").exists()
    servicer = importlib.import_module(f"interfaces.grpc.{grpc}.servicer")
    wanted = "".join(word.title() for word in noun.split("_")) + "Servicer"
    assert hasattr(servicer, wanted)


@pytest.mark.parametrize("noun", SERVICES)
def test_what_asks_stripe_has_its_gateway_there(noun: str) -> None:
    application, _ = rooms(noun)
    for room in application:
        if gateways(room):
            assert (ROOT / "infrastructure" / "stripe" / room / "gateway.py").exists()


def test_some_room_asks_stripe() -> None:
    assert gateways("invoices"), "or the test above shows nothing"


def test_no_folder_re_exports() -> None:
    for layer in ("domain", "application", "infrastructure", "interfaces", "bootstrap"):
        for file in (ROOT / layer).rglob("__init__.py"):
            told = ast.parse(file.read_text()).body
            assert not any(isinstance(node, ast.ImportFrom) for node in told), file
