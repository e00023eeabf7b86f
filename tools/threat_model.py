"""Check docs/threat-model.md: each threat names a test, and each test that is named is there.

python tools/threat_model.py
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "threat-model.md"
HEAD: Final = "| threat | defence | test |"

_TEST: Final = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_FEWEST: Final = 20


def problems(page: str) -> Iterator[str]:
    """What is wrong with the page, a line each."""
    rows = list(_threats(page))
    if len(rows) < _FEWEST:
        yield f"{len(rows)} threats were found: is the head of a table changed ({HEAD})?"
    for row in rows:
        named = _TEST.findall(row)
        if not named:
            yield f"no test: {row:.80}"
        for path, test in named:
            if test not in _tests(ROOT / path):
                yield f"no such test: {path}::{test}"


def _threats(page: str) -> Iterator[str]:
    """The rows of every table of threats."""
    inside = False
    for line in page.splitlines():
        if line == HEAD:
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("| ---"):
            yield line


def _tests(path: Path) -> set[str]:
    if not path.is_file():
        return set()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, functions)
    }


if __name__ == "__main__":
    wrong = list(problems(PAGE.read_text()))
    if wrong:
        sys.exit("docs/threat-model.md:\n" + "\n".join(wrong))
