"""The tables of `billing mrr|cohorts|products revenue`. Bars and colours are for terminals."""

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo

from billing_client.v1 import money_pb2
from billing_client.v1 import subscriber_figures_pb2 as pb
from rich.bar import Bar
from rich.table import Table
from rich.text import Text

from interfaces.cli.output import table_of
from interfaces.cli.overview_tables import amount_text

_BAR: Final = 30
_HEAT: Final = (
    (0.9, "black on green3"),
    (0.75, "black on dark_sea_green4"),
    (0.5, "black on yellow3"),
    (0.25, "black on dark_orange3"),
    (0.0, "white on red3"),
)
"""From which part of a cohort on a cell has which colour."""

_KINDS: Final = {
    "other_products": "(other products)",
    "no_product": "(lines without a product)",
    "tax": "(tax)",
    "unattributed": "(unattributed)",
    "pending": "(pending)",
}


def waterfall_table(part: pb.CurrencyMrr, *, bars: bool) -> Table:
    """MRR at the start, each movement that there was, and MRR at the end."""
    table = table_of(f"MRR {part.currency}", ids=(f"MRR {part.currency}",), numbers=("amount",))
    if bars:
        table.add_column("", no_wrap=True)
    moved = [each for each in part.movements if any(each.amount.amounts)]
    rows = [("start", part.start.amount, 0)]
    level = part.start.amount
    for each in moved:
        amount = each.amount.current.amount
        rows.append((each.name, amount, level))
        level += amount
    rows.append(("end", part.end.amount, 0))
    most = max((abs(begin) + abs(amount) for _, amount, begin in rows), default=0) or 1
    for name, amount, begin in rows:
        bar = (_step(begin, begin + amount, most),) if bars else ()
        table.add_row(name, amount_text(amount, part.currency), *bar)
    beside = (
        ("before discounts", part.before_discounts),
        ("will be canceled", part.scheduled_cancellations),
        ("a year (ARR)", part.arr),
    )
    for name, money in beside:
        table.add_row(name, _money(money), *(("",) if bars else ()))
    table.add_row("gross churn", _ratio(part, "gross_churn"), *(("",) if bars else ()))
    table.add_row("net churn", _ratio(part, "net_churn"), *(("",) if bars else ()))
    return table


def subscriber_table(found: pb.Subscribers) -> Table:
    """Subscribers at the start, who came and went, and those at the end."""
    table = table_of("subscribers", ids=("subscribers",), numbers=("number",))
    table.add_row("start", f"{found.start:,}")
    for each in found.movements:
        if any(each.count.counts):
            table.add_row(each.name, f"{each.count.current:+,}")
    table.add_row("end", f"{found.end:,}")
    table.add_row("lost", f"{found.lost:,}")
    table.add_row("churn rate", _ratio(found, "churn_rate"))
    return table


def cohort_table(found: pb.ListCohortsResponse, *, heat: bool) -> Table:
    """A row a month in which customers began, a column for each month since."""
    zone = ZoneInfo(found.timeline.period.time_zone)
    width = max((len(each.cells) for each in found.cohorts), default=0)
    months = [str(month) for month in range(width)]
    table = table_of("month", ids=("month",), numbers=("size", *months))
    for each in found.cohorts:
        start = each.start_time.ToDatetime(dt.UTC).astimezone(zone)
        cells = [_cell(cell, heat=heat) for cell in each.cells]
        table.add_row(f"{start:%Y-%m}", f"{each.size:,}", *cells)
    means = [_mean(each, heat=heat) for each in found.mean_retention[:width]]
    table.add_row("mean", "", *means)
    if any(cell.partial for each in found.cohorts for cell in each.cells):
        table.caption = "A month marked * is not over yet, and in no mean."
    return table


def product_table(part: pb.CurrencyProducts) -> Table:
    """What each product brought, and what no product did; what was captured adds up to gross."""
    table = table_of(
        "product", "name", ids=("product",), numbers=("captured", "refunded", "before")
    )
    for row in part.rows:
        name = Text(row.name, style="dim" if row.deleted else "")
        table.add_row(
            row.product or _KINDS.get(row.kind, f"({row.kind})"), name, _money(row.captured),
            _money(row.refunded), _money(row.previous_captured),
        )  # fmt: skip
    table.add_row(f"gross {part.currency}", "", _money(part.gross), "", _money(part.previous_gross))
    return table


def _cell(cell: pb.CohortCell, *, heat: bool) -> Text:
    if not cell.HasField("retention"):
        return Text("-")
    words = f"{cell.retention:.0%}{'*' if cell.partial else ''}"
    return Text(words, style=_colour(cell.retention) if heat else "")


def _mean(mean: pb.MeanRetention, *, heat: bool) -> Text:
    if not mean.HasField("retention"):
        return Text("-")
    return Text(f"{mean.retention:.0%}", style=_colour(mean.retention) if heat else "")


def _colour(part: float) -> str:
    return next((style for least, style in _HEAT if part >= least), "")


def _step(begin: int, end: int, most: int) -> Bar:
    """A bar from one level to the next; what is below zero has none."""
    low, high = sorted((max(begin, 0), max(end, 0)))
    return Bar(most, low, high, width=_BAR, color="green" if end >= begin else "red")


def _money(money: money_pb2.Money) -> str:
    return amount_text(money.amount, money.currency) if money.currency else "-"


def _ratio(message: pb.CurrencyMrr | pb.Subscribers, field: str) -> str:
    return f"{getattr(message, field):.1%}" if message.HasField(field) else "-"  # type: ignore[arg-type]
