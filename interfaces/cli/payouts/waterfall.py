"""The way from what was sold to what was paid out, as a table, with bars on a terminal."""

from collections.abc import Sequence
from typing import Final

from billing_client.v1 import payout_service_pb2 as pb
from rich.table import Table
from rich.text import Text

from domain.money import Money
from domain.payout_summary import Step, SummaryRow, waterfall
from interfaces.cli.output import table_of

BAR_CELLS: Final = 40

_NAMES: Final = {
    "unknown": "unknown categories", "unexplained": "UNEXPLAINED", "payout": "other payouts",
    "payout_reversal": "payouts that came back", "topups": "top-ups",
}  # fmt: skip
_TOTAL: Final = "paid out"
_FULL: Final = "█"


def steps_of(summary: pb.PayoutSummary) -> Sequence[Step]:
    """The steps of a summary."""
    return waterfall(
        [
            SummaryRow(
                row.reporting_category,
                row.count,
                row.gross.amount,
                row.fee.amount,
                row.net.amount,
                row.own,
            )
            for row in summary.rows
        ]
    )


def waterfall_table(steps: Sequence[Step], currency: str, *, bars: bool) -> Table:
    """A row a step, and one of what was paid out; with bars to one scale, if there are to be."""
    total = steps[-1].total if steps else 0
    names = [*(_NAMES.get(step.name, step.name) for step in steps), _TOTAL]
    amounts = [*(step.amount for step in steps), total]
    table = table_of("step", ids=("step",), numbers=("amount", "left"))
    if bars:
        table.add_column("", no_wrap=True, min_width=BAR_CELLS)
    places = places_of(steps, BAR_CELLS)
    lefts = [*(step.total for step in steps), total]
    for name, amount, left, (start, cells) in zip(names, amounts, lefts, places, strict=True):
        row: list[str | Text] = [name, _shown(amount, currency), _shown(left, currency)]
        if bars:
            style = "blue" if name == _TOTAL else "green" if amount >= 0 else "red"
            row.append(Text(" " * start) + Text(_FULL * cells, style))
        table.add_row(*row)
    return table


def places_of(steps: Sequence[Step], width: int) -> Sequence[tuple[int, int]]:
    """Where the bar of each step begins and how long it is, in cells, and that of the total last.

    All have one scale, from the lowest sum on the way to the highest, nothing among them. A step
    that is not nothing has a cell at least.
    """
    edges = [(step.total - step.amount, step.total) for step in steps]
    edges.append((0, steps[-1].total if steps else 0))
    low, high = min(map(min, edges)), max(map(max, edges))
    span = max(high - low, 1)

    def cell(value: int) -> int:
        return ((value - low) * width * 2 + span) // (span * 2)  # to the nearest

    places = []
    for one, other in edges:
        first, last = cell(min(one, other)), cell(max(one, other))
        cells = max(last - first, int(one != other))
        places.append((min(first, width - cells), cells))
    return places


def _shown(amount: int, currency: str) -> str:
    return Money(amount, currency).formatted()
