"""docs/payouts.md: its tables name every category, and add up as the code does."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from domain.payout_summary import PAYOUT, Step, SummaryRow, summarize, waterfall
from domain.reporting_categories import CATEGORIES

PAGE: Final = Path(__file__).parents[3] / "docs" / "payouts.md"


def cells(head: str) -> Sequence[Sequence[str]]:
    """The rows of the table with this first line."""
    text = PAGE.read_text(encoding="utf-8")
    (table,) = re.findall(rf"^{re.escape(head)}\n\| ---.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def number(text: str) -> int:
    return int(text.replace(",", ""))


def example() -> Sequence[tuple[str, SummaryRow]]:
    """Each row of the example, and what the page says that it counts to."""
    found = []
    for category, about, part, *numbers in cells(
        "| category | what it is | counts to | gross | fee | net |"
    ):
        assert about, category
        gross, fee, net = map(number, numbers)
        name = category.strip("`")
        found.append((part, SummaryRow(name, 1, gross, fee, net, own=name == PAYOUT)))
    return found


def test_the_page_has_every_category_once_and_its_part() -> None:
    rows = example()
    assert sorted(row.category for _, row in rows) == sorted(CATEGORIES)
    assert [(row.category, part) for part, row in rows] == [
        (row.category, row.part) for _, row in rows
    ]


def test_the_example_adds_up() -> None:
    rows = [row for _, row in example()]
    assert all(row.net == row.gross - row.fee for row in rows)
    assert sum(row.net for row in rows) == 0
    (own,) = [row for row in rows if row.own]
    assert summarize(rows, own) == rows, "in the order of the page, and nothing is unexplained"


def test_the_steps_lead_to_what_was_paid_out() -> None:
    rows = [row for _, row in example()]
    steps = [
        Step(name, *map(number, numbers)) for name, *numbers in cells("| step | amount | left |")
    ]
    assert waterfall(rows) == steps
    assert steps[-1].total == -sum(row.net for row in rows if row.own)
