"""What the generated stubs are imported as: their names are rewritten after protoc."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import billing_client.v1
import pytest
from google.protobuf.message import Message

(FOLDER,) = map(Path, billing_client.v1.__path__)


def modules() -> list[ModuleType]:
    """The messages' modules of the contract."""
    names = sorted(path.stem for path in FOLDER.glob("*_pb2.py"))
    return [importlib.import_module(f"billing_client.v1.{name}") for name in names]


def test_every_message_says_the_module_that_it_is_imported_from() -> None:
    messages = [
        (module, getattr(module, name))
        for module in modules() for name in module.DESCRIPTOR.message_types_by_name
    ]  # fmt: skip
    assert messages
    for module, message in messages:
        assert issubclass(message, Message)
        assert message.__module__ == module.__name__


def test_on_the_wire_nothing_is_renamed() -> None:
    for module in modules():
        assert module.DESCRIPTOR.package == "billing.v1"
        assert module.DESCRIPTOR.name.startswith("billing/v1/")


@pytest.mark.parametrize("suffix", ["_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi"])
def test_no_stub_imports_billing(suffix: str) -> None:
    stubs = list(FOLDER.glob(f"*{suffix}"))
    assert stubs
    for stub in stubs:
        text = stub.read_text(encoding="utf-8")
        assert re.search(r"^\s*(from|import) billing\b", text, re.MULTILINE) is None, stub.name


def test_a_caller_may_have_a_package_of_his_own_named_billing(tmp_path: Path) -> None:
    (tmp_path / "billing").mkdir()
    (tmp_path / "billing" / "__init__.py").write_text("OWN = 1\n")
    imports = "".join(
        f"import billing_client.v1.{path.stem}\n" for path in sorted(FOLDER.glob("*_pb2*.py"))
    )
    (tmp_path / "caller.py").write_text(f"import billing\nassert billing.OWN\n{imports}")
    caller = subprocess.run(
        [sys.executable, "caller.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert caller.returncode == 0, caller.stderr
