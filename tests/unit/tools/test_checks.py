"""`make check` refuses what it is there to refuse, and no more.

That it passes shows only that the code is clean.
"""

import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MONEY = "proto/billing/v1/money.proto"


def check(tool: str, checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run what the Makefile runs of a tool, in a checkout that was spoilt."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.partition("\ncheck:")[2].partition("\n\n")[0]
    (line,) = (line for line in recipe.splitlines() if f"/{tool}" in line)
    command = shlex.split(line.replace("$(BIN)", str(Path(sys.executable).parent)))
    return subprocess.run(
        [*command, *options], cwd=checkout, capture_output=True, text=True, check=False
    )


def change(path: Path, old: str, new: str) -> None:
    """Write another text in a file."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """The project's packages."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for package in settings["tool"]["importlinter"]["root_packages"]:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    return tmp_path


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    """The protos with what they import, and the image."""
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    shutil.copytree(ROOT / "proto", tmp_path / "proto", ignore=shutil.ignore_patterns("*_pb2*"))
    google = tmp_path / "build" / "third_party" / "google" / "api"
    google.mkdir(parents=True)
    shutil.copy(str(files("google.api") / "field_behavior.proto"), google)
    return tmp_path


@pytest.mark.parametrize("layer", ["domain", "application"])
def test_an_import_of_the_clients_stubs_is_refused(code: Path, layer: str) -> None:
    with (code / layer / "__init__.py").open("a", encoding="utf-8") as module:
        module.write("\nfrom billing_client.v1 import money_pb2\n")

    lint = check("lint-imports", code, "--no-cache", "--no-logo")

    assert lint.returncode == 1, lint.stdout + lint.stderr
    assert f"{layer} is not allowed to import billing_client" in lint.stdout


def test_a_field_with_another_name_is_refused(contract: Path) -> None:
    change(contract / MONEY, "string currency = 2;", "string code = 2;")
    buf = check("buf breaking", contract)
    assert buf.returncode == 100, buf.stdout + buf.stderr
    assert "money.proto" in buf.stdout


def test_a_field_more_is_not_refused(contract: Path) -> None:
    change(contract / MONEY, "message Money {", "message Money {\n  string more = 999;")
    buf = check("buf breaking", contract)
    assert buf.returncode == 0, buf.stdout + buf.stderr


def test_what_google_changes_is_not_refused(contract: Path) -> None:
    google = contract / "build/third_party/google/api/field_behavior.proto"
    change(
        google,
        "genproto/googleapis/api/annotations;annotations",
        "genproto/annotations;annotations",
    )
    buf = check("buf breaking", contract)
    assert buf.returncode == 0, buf.stdout + buf.stderr
