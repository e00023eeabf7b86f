"""Generate the Python stubs of the contract and its tables, and check that all are fresh.

python tools/protos.py deps       copy third-party protos to where buf looks for them
python tools/protos.py generate   write the stubs into proto/billing_client, and the tables in docs/
python tools/protos.py check      fail where what is committed is not what would be written

The last two begin with what the first does, so buf may follow them.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
THIRD_PARTY = ROOT / "build" / "third_party"
API = ROOT / "docs" / "api.md"
TOKENS = ROOT / "docs" / "tokens.md"
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")
MODULES = "billing_client"
"""What the stubs are imported as. `billing`, the package of the protos, may be a caller's own."""


def deps() -> None:
    """Copy the Google protos that the contract imports; buf does not look into site-packages."""
    shutil.rmtree(THIRD_PARTY, ignore_errors=True)
    target = THIRD_PARTY / "google" / "api"
    target.mkdir(parents=True)
    shutil.copy(str(files("google.api") / "field_behavior.proto"), target)


def generate() -> None:
    """Write the stubs, and then the tables, which need them."""
    with tempfile.TemporaryDirectory() as folder:
        write_stubs(Path(folder))
        for path in _stubs(PROTO):
            path.unlink()  # one of a proto that is no more, too
        shutil.copytree(folder, PROTO, dirs_exist_ok=True)
    API.write_text(api())
    TOKENS.write_text(tokens())


def write_stubs(out: Path) -> None:
    """Run protoc with the Python, gRPC and mypy plug-ins, and name the modules as callers do."""
    deps()
    beside = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as folder:
        protoc(
            f"--plugin=protoc-gen-mypy={beside / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={beside / 'protoc-gen-mypy_grpc'}",
            f"--python_out={folder}", f"--mypy_out=quiet:{folder}",
            f"--grpc_python_out={folder}", f"--mypy_grpc_out=quiet:{folder}",
        )  # fmt: skip
        for path in _stubs(Path(folder, "billing")):
            if "_pb2_grpc" in path.name and "_service_pb2" not in path.name:
                continue  # protoc writes an empty one for a file without a service
            target = out / MODULES / path.relative_to(folder, "billing")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(renamed(path.read_text()))


def renamed(stub: str) -> str:
    """A stub's text with the modules of the contract under the name that callers import.

    protoc has no option for it. What is on the wire keeps its name: files, messages, services.
    """
    stub = re.sub(r"^from billing\.", f"from {MODULES}.", stub, flags=re.MULTILINE)
    stub = stub.replace("(DESCRIPTOR, 'billing.", f"(DESCRIPTOR, '{MODULES}.")
    return stub.replace(" generated code in billing/", f" generated code in {MODULES}/")


def protoc(*arguments: str) -> None:
    """Run protoc on every proto of the contract."""
    protos = sorted(str(path) for path in (PROTO / "billing").rglob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"-I{THIRD_PARTY}"]
    subprocess.run([*command, *arguments, *protos], check=True)  # noqa: S603 - our own arguments


def api() -> str:
    """The table of RPCs, from the descriptors."""
    from api_table import api_table  # it imports the stubs, which `generate` may only just write
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    with tempfile.TemporaryDirectory() as folder:
        descriptors = Path(folder) / "descriptors"
        protoc(f"--descriptor_set_out={descriptors}", "--include_source_info")
        return api_table(FileDescriptorSet.FromString(descriptors.read_bytes()))


def tokens() -> str:
    """docs/tokens.md with its table of scopes as it should be."""
    sys.path.insert(0, str(ROOT))
    from scopes_table import with_table  # as above

    return with_table(TOKENS.read_text())


def check() -> None:
    """Generate into a temporary folder and compare."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        write_stubs(fresh)
        want = {p.relative_to(fresh): p.read_bytes() for p in _stubs(fresh)}
        have = {p.relative_to(PROTO): p.read_bytes() for p in _stubs(PROTO)}
    stale = sorted(str(p) for p in want.keys() | have.keys() if want.get(p) != have.get(p))
    if stale:
        sys.exit(f"stale stubs, run `make proto`: {', '.join(stale)}")
    if not API.exists() or API.read_text() != api():
        sys.exit(f"stale table, run `make proto`: {API.relative_to(ROOT)}")
    if TOKENS.read_text() != tokens():
        sys.exit(f"stale table, run `make proto`: {TOKENS.relative_to(ROOT)}")


def _stubs(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*_pb2*") if p.name.endswith(SUFFIXES)]


if __name__ == "__main__":
    commands = {"deps": deps, "generate": generate, "check": check}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]]()
