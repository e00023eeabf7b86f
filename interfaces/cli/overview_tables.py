"""The tables of `billing overview`. Bars and trends are for terminals: piped, figures alone."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from billing_client.v1 import analytics_service_pb2 as pb
from billing_client.v1 import figures_pb2, money_pb2
from rich.bar import Bar
from rich.table import Table
from rich.text import Text

from domain.money import Money
from interfaces.cli.output import table_of

_BAR: Final = 30
_TREND: Final = 30
_TICKS: Final = "▁▂▃▄▅▆▇█"
_PARTS: Final = (
    ("gross", "gross"),
    ("payments that failed", "charge_failure"),
    ("refunds", "refund"),
    ("refunds that failed", "refund_failure"),
    ("disputes", "dispute"),
    ("disputes won back", "dispute_reversal"),
    ("fees", "fees"),
    ("other", "other"),
)
"""What net is made of, as people and as the API call it."""


def title(overview: pb.Overview) -> str:
    """Of which days the figures are."""
    period = overview.gross.period
    zone = ZoneInfo(period.time_zone)
    first, after = (
        moment.ToDatetime(dt.UTC).astimezone(zone)
        for moment in (period.start_time, period.end_time)
    )
    last = (after - dt.timedelta(microseconds=1)).date()
    return f"{first.date()} to {last}, by the clock of {period.time_zone}"


def headline(overview: pb.Overview, *, bars: bool) -> Table:
    """Each figure of the days, of as many before, and how it has grown."""
    table = table_of("figure", ids=("figure",), numbers=("now", "before", "growth"))
    if bars:
        table.add_column("trend", no_wrap=True)
    for name, now, before, growth, values, less_is_better in _lines(overview):
        trend = (_trend(values),) if bars else ()
        table.add_row(name, now, before, _growth(growth, less_is_better=less_is_better), *trend)
    return table


_Line = tuple[str, str, str, float | None, Sequence[int], bool]


def _lines(overview: pb.Overview) -> Iterator[_Line]:
    for volume in overview.gross.currencies:
        values = [bucket.amount.amount for bucket in volume.buckets]
        yield _amount_line(f"gross volume {volume.currency}", volume, values)
    if overview.gross.HasField("base"):
        yield _base_line("gross volume, all", overview.gross.base)
    for net in overview.net.currencies:
        yield _amount_line(f"net volume {net.currency}", net.net, net.net.amounts)
    if overview.net.HasField("base"):
        yield _base_line("net volume, all", overview.net.base)
    payments = overview.payments
    for name, count in (
        ("payments", payments.payments),
        ("payments paid", payments.paid),
        ("payments recovered", payments.recovered),
    ):
        yield _count_line(name, count)
    yield _count_line("payments failed", payments.failed, less_is_better=True)
    yield _count_line("payments blocked", payments.blocked, less_is_better=True)
    yield (
        "success rate", _share(payments, "success_rate"),
        _share(payments, "previous_success_rate"), None, (), False,
    )  # fmt: skip
    for paid in payments.currencies:
        yield (
            f"average payment {paid.currency}", _money(paid.average),
            _money(paid.previous_average), None, (), False,
        )  # fmt: skip
    for refunds in overview.refunds.currencies:
        name = f"refunds {refunds.currency}"
        yield _amount_line(name, refunds.amount, refunds.amount.amounts, less_is_better=True)
    for disputes in overview.disputes.currencies:
        name = f"disputes {disputes.currency}"
        yield _amount_line(name, disputes.amount, disputes.amount.amounts, less_is_better=True)
    if overview.disputes.HasField("win_rate"):
        yield (
            "disputes won", _share(overview.disputes, "win_rate"),
            _share(overview.disputes, "previous_win_rate"), None, (), False,
        )  # fmt: skip
    yield from _subscriber_lines(overview)
    for payouts in overview.payouts.currencies:
        name = f"payouts arrived {payouts.currency}"
        yield _amount_line(name, payouts.arrived, payouts.arrived.amounts)
    for balance in overview.payouts.balance.currencies:
        held = balance.available.amount + balance.pending.amount
        code = balance.currency
        yield f"balance read last {code}", amount_text(held, code), "-", None, (), False


def _subscriber_lines(overview: pb.Overview) -> Iterator[_Line]:
    """Of levels, before is what they were at the start."""
    for part in overview.mrr.currencies:
        grown = part.growth if part.HasField("growth") else None
        yield f"MRR {part.currency}", _money(part.end), _money(part.start), grown, (), False
    subscribers, trials = overview.subscribers, overview.trials
    if subscribers.start or subscribers.end or subscribers.lost:
        yield "subscribers", f"{subscribers.end:,}", f"{subscribers.start:,}", None, (), False
        yield (
            "churn rate", _share(subscribers, "churn_rate"),
            _share(subscribers, "previous_churn_rate"), None, (), False,
        )  # fmt: skip
    if trials.HasField("conversion_rate") or trials.pending.current:
        yield _count_line("trials converted", trials.converted)
        yield (
            "trial conversion", _share(trials, "conversion_rate"),
            _share(trials, "previous_conversion_rate"), None, (), False,
        )  # fmt: skip
    for name, count in (
        ("new customers", overview.customers.created),
        ("first-time payers", overview.customers.first_payers),
    ):
        if count.current or count.previous:
            yield _count_line(name, count)


def gross_to_net(overview: pb.Overview, *, bars: bool) -> Iterator[Table]:
    """How net comes of gross, a table for each settlement currency."""
    for net in overview.net.currencies:
        code = net.currency
        table = table_of(
            f"gross to net, {code}", ids=(f"gross to net, {code}",), numbers=("amount",)
        )
        if bars:
            table.add_column("", width=_BAR, no_wrap=True)
        most, reached = max(1, *(abs(end) for end in _levels(net))), 0
        for name, field in _PARTS:
            amount = getattr(net, field).current.amount
            if amount or field == "gross":
                step = (_step(reached, reached + amount, most),) if bars else ()
                table.add_row(name, amount_text(amount, code), *step)
            reached += amount
        table.add_section()
        total = net.net.current.amount
        table.add_row("net", amount_text(total, code), *((_step(0, total, most),) if bars else ()))
        for apart in net.apart:
            if apart.amount.current.amount:
                told = amount_text(apart.amount.current.amount, code)
                name = f"apart: {apart.name.replace('_', ' ')}"
                table.add_row(name, told, *(("",) if bars else ()))
        yield table


def by_bucket(overview: pb.Overview, *, bars: bool) -> Iterator[Table]:
    """Gross and net a day, a table for each currency that customers paid in."""
    zone = ZoneInfo(overview.gross.period.time_zone)
    nets = {net.currency: net.net.amounts for net in overview.net.currencies}
    for volume in overview.gross.currencies:
        code = volume.currency
        table = table_of("day", ids=("day",), numbers=(f"gross {code}", f"net {code}"))
        if bars:
            table.add_column("gross", width=_BAR, no_wrap=True)
        most = max((bucket.amount.amount for bucket in volume.buckets), default=0)
        amounts = nets.get(code) or [0] * len(volume.buckets)
        for bucket, net in zip(volume.buckets, amounts, strict=True):
            start = bucket.start_time.ToDatetime(dt.UTC).astimezone(zone)
            day = f"{start:%Y-%m-%d %a}" + (" *" if bucket.partial else "")
            gross = bucket.amount.amount
            bar = (Bar(max(most, 1), 0, gross, width=_BAR, color="cyan"),) if bars else ()
            table.add_row(day, amount_text(gross, code), amount_text(net, code), *bar)
        if any(bucket.partial for bucket in volume.buckets):
            table.caption = "A day marked * is not over yet."
        yield table


def amount_text(minor: int, currency: str) -> str:
    """Minor units in the currency's decimals: `1,234.50`, or `1,234` yen."""
    return Money(minor, currency).formatted().rpartition(f" {currency.upper()}")[0]


def _levels(net: Any) -> Iterator[int]:
    reached = 0
    for _, field in _PARTS:
        reached += getattr(net, field).current.amount
        yield reached


def _step(begin: int, end: int, most: int) -> Bar:
    """A bar from one level to the next; what is below zero has none."""
    low, high = sorted((max(begin, 0), max(end, 0)))
    return Bar(most, low, high, width=_BAR, color="green" if end >= begin else "red")


def _amount_line(
    name: str, figure: Any, values: Sequence[int], *, less_is_better: bool = False
) -> _Line:
    now, before = _money(figure.current), _money(figure.previous)
    return name, now, before, _grown(figure), values, less_is_better


def _base_line(name: str, base: figures_pb2.BaseVolume) -> _Line:
    name = f"{name} in {base.currency}"
    missing = sorted({*base.missing_currencies, *base.previous_missing_currencies})
    if missing:
        name += f" (no rates of {', '.join(missing)})"
    growth = base.growth if base.HasField("growth") else None
    values = [amount.amount for amount in base.amounts]
    now = _money(base.current) if base.HasField("current") else "-"
    before = _money(base.previous) if base.HasField("previous") else "-"
    return name, now, before, growth, values, False


def _count_line(
    name: str, figure: figures_pb2.CountFigure, *, less_is_better: bool = False
) -> _Line:
    now, before = f"{figure.current:,}", f"{figure.previous:,}"
    return name, now, before, _grown(figure), figure.counts, less_is_better


def _grown(figure: Any) -> float | None:
    """From as much of the period before as has passed, while the period runs; else from all."""
    if figure.HasField("previous_so_far"):
        return float(figure.growth_so_far) if figure.HasField("growth_so_far") else None
    return float(figure.growth) if figure.HasField("growth") else None


def _growth(rate: float | None, *, less_is_better: bool) -> Text:
    """Green is what a business likes: more of most things, and less of what goes wrong."""
    if rate is None:
        return Text("-")
    good = rate <= 0 if less_is_better else rate >= 0
    return Text(f"{rate:+.1%}", style="green" if good else "red")


def _share(message: Any, field: str) -> str:
    return f"{getattr(message, field):.1%}" if message.HasField(field) else "-"


def _money(money: money_pb2.Money) -> str:
    return amount_text(money.amount, money.currency) if money.currency else "-"


def _trend(values: Sequence[int]) -> str:
    """A line of ticks, at most so many: of more values each tick is the sum of some."""
    if not values:
        return ""
    width = -(-len(values) // _TREND)
    told = [sum(values[start : start + width]) for start in range(0, len(values), width)]
    low, high = min(0, *told), max(0, *told)
    reach = max(high - low, 1)
    return "".join(_TICKS[(value - low) * (len(_TICKS) - 1) // reach] for value in told)
