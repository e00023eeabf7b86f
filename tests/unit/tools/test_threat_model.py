"""The check of docs/threat-model.md: it refuses a threat without a test that is there."""

import importlib.util
import sys
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[3]
HERE: Final = "`tests/unit/tools/test_threat_model.py::test_the_page_is_right`"


@pytest.fixture(scope="module")
def tool() -> Any:
    spec = importlib.util.spec_from_file_location("threat_model", ROOT / "tools/threat_model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_is_right(tool: Any) -> None:
    assert list(tool.problems(tool.PAGE.read_text())) == []


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("we are careful", "no test: | a | b | we are careful |"),
        ("`tests/nowhere.py::test_a`", "no such test: tests/nowhere.py::test_a"),
        (
            "`tests/unit/tools/test_threat_model.py::test_b`",
            "no such test: tests/unit/tools/test_threat_model.py::test_b",
        ),
    ],
)
def test_a_threat_without_a_test_is_told(tool: Any, cell: str, problem: str) -> None:
    rows = [f"| t{number} | d | {HERE} |" for number in range(30)]
    page = "\n".join([tool.HEAD, "| --- | --- | --- |", *rows, f"| a | b | {cell} |", "", "| c |"])
    assert list(tool.problems(page)) == [problem]


def test_a_page_whose_tables_are_not_found_is_told(tool: Any) -> None:
    (problem,) = tool.problems("| threat | test |\n| --- | --- |\n| a | b |")
    assert "0 threats were found" in problem
