"""The worked examples of a page of docs: fenced blocks of settings and tables."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```example\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Example:
    """One of them. `tables` are by their first heading; a row is its cells by heading."""

    line: int
    settings: Mapping[str, str]
    tables: Mapping[str, Sequence[Mapping[str, str]]]

    @property
    def figures(self) -> Mapping[str, str]:
        """What is expected, by the name of the figure."""
        return {row["figure"]: row["value"] for row in self.tables["figure"]}


def examples_of(page: Path) -> list[Example]:
    """All examples of a page, in their order. ValueError for a row that does not fit its table."""
    text = page.read_text(encoding="utf-8")
    return [
        _example(text[: block.start()].count("\n") + 1, block[1]) for block in _BLOCK.finditer(text)
    ]


def _example(line: int, block: str) -> Example:
    settings: dict[str, str] = {}
    tables: dict[str, list[Mapping[str, str]]] = {}
    for paragraph in block.strip().split("\n\n"):
        lines = paragraph.splitlines()
        if "|" not in lines[0]:
            settings |= {name: value for name, _, value in (each.partition(": ") for each in lines)}
            continue
        headings, *rows = ([cell.strip() for cell in each.split("|")] for each in lines)
        tables[headings[0]] = [dict(zip(headings, row, strict=True)) for row in rows]
    return Example(line, settings, tables)
