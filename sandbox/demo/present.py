"""Tables and the chart: what the service answers, shown in 80 columns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from billing_client.v1.analytics_service_pb2 import (
    ChargeCounts,
    CurrencyVolume,
    GrossVolume,
    Overview,
)
from billing_client.v1.figures_pb2 import AmountFigure
from billing_client.v1.mirror_service_pb2 import MirrorReport
from billing_client.v1.money_figures_pb2 import CurrencyNet, PaymentFigures
from billing_client.v1.money_pb2 import Money
from billing_client.v1.subscriber_figures_pb2 import CohortCell, CurrencyMrr
from billing_client.v1.tie_out_pb2 import TieOut, TieOutDay
from rich.bar import Bar
from rich.table import Table
from rich.text import Text

from sandbox.demo.desk import DayAtTheDesk
from sandbox.demo.mirror import Club
from sandbox.demo.proof import Check
from sandbox.demo.purse import WalletStory
from sandbox.demo.shop import MULTIPLIER, StoreStory
from sandbox.demo.world import Business
from sandbox.emulator.core.currencies import exponent

SHOWN_DAYS: Final = 30
_BAR_WIDTH: Final = 17
_COLORS: Final = ("cyan", "magenta", "yellow", "blue")


@dataclass(frozen=True, slots=True)
class Answers:
    """What the service says of a business over the days that are shown."""

    business: Business
    volume: GrossVolume
    counts: ChargeCounts

    @property
    def own(self) -> CurrencyVolume:
        """The part in the business's own currency, empty where nothing was taken in it."""
        for part in self.volume.currencies:
            if part.currency == self.business.currency:
                return part
        return CurrencyVolume(currency=self.business.currency)


def shown_days(business: Business, now: datetime) -> tuple[datetime, datetime]:
    """From local midnight to local midnight: the last days that are shown, today the last."""
    zone = ZoneInfo(business.time_zone)
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    first = tomorrow - timedelta(days=SHOWN_DAYS)
    return _midnight(first, zone), _midnight(tomorrow, zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def amount(minor: int, currency: str) -> str:
    """Minor units as text in the currency's decimals: `1,234.50`, or `1,234` yen."""
    digits = exponent(currency)
    whole, rest = divmod(abs(minor), 10**digits)
    sign = "-" if minor < 0 else ""
    return f"{sign}{whole:,}.{rest:0{digits}}" if digits else f"{sign}{whole:,}"


def growth(rate: float | None, *, less_is_better: bool = False) -> Text:
    """Growth in per cent with its sign; a dash where there is nothing to compare with.

    Green is what a business likes: more of most things, and less of declines.
    """
    if rate is None:
        return Text("-", style="dim")
    good = rate <= 0 if less_is_better else rate >= 0
    return Text(f"{rate:+.1%}", style="green" if good else "red")


def headline(answers: Sequence[Answers]) -> Table:
    """The last days against as many days before."""
    table = Table(title=f"The last {SHOWN_DAYS} days, today included", title_justify="left")
    table.add_column("Business", no_wrap=True)
    for title in ("Now", f"{SHOWN_DAYS} days before", "Growth"):
        table.add_column(title, justify="right", no_wrap=True)
    for answer in answers:
        own, currency = answer.own, answer.business.currency
        table.add_row(Text(answer.business.name, style="bold"))
        table.add_row(
            f"gross volume, {currency.upper()}",
            amount(own.current.amount, currency),
            amount(own.previous.amount, currency),
            growth(own.growth if own.HasField("growth") else None),
        )
        for title, count, less_is_better in (
            ("succeeded charges", answer.counts.succeeded, False),
            ("declined or blocked", answer.counts.failed, True),
        ):
            rate = count.growth if count.HasField("growth") else None
            grown = growth(rate, less_is_better=less_is_better)
            table.add_row(title, f"{count.current:,}", f"{count.previous:,}", grown)
        table.add_section()
    return table


def chart(answers: Sequence[Answers]) -> Table:
    """Gross volume a day, a row a date: each business's bar is on its own local date."""
    table = Table(
        title="Gross volume a day, by each business's own calendar",
        title_justify="left",
        caption="Weekends are dim. A day marked * is not over yet.",
        caption_justify="left",
        box=None,
        pad_edge=False,
        header_style="",
    )
    table.add_column("Date", no_wrap=True)
    for answer, color in zip(answers, _COLORS, strict=False):
        business = answer.business
        table.add_column(Text(business.time_zone, style=f"bold {color}"), width=_BAR_WIDTH)
        table.add_column(Text(business.currency.upper(), style=color), justify="right")
    series = [_by_date(answer) for answer in answers]
    highest = [max((value for value, _ in days.values()), default=0) for days in series]
    for day in sorted({day for days in series for day in days}):
        weekend = day.weekday() >= 5
        cells: list[Text | Bar | str] = [f"{day:%a} {day.day:2} {day:%b}"]
        for answer, days, most, color in zip(answers, series, highest, _COLORS, strict=False):
            cells += _cells(days.get(day), most, answer.business.currency, color)
        table.add_row(*cells, style="dim" if weekend else "")
    return table


def _by_date(answer: Answers) -> Mapping[date, tuple[int, bool]]:
    """Amount and whether it may grow still, by local date."""
    zone = ZoneInfo(answer.business.time_zone)
    return {
        bucket.start_time.ToDatetime(tzinfo=UTC).astimezone(zone).date(): (
            bucket.amount.amount,
            bucket.partial,
        )
        for bucket in answer.own.buckets
    }


def _cells(
    value: tuple[int, bool] | None, most: int, currency: str, color: str
) -> tuple[Bar | str, str]:
    if value is None:
        return "", ""
    minor, partial = value
    bar = Bar(max(most, 1), 0, minor, width=_BAR_WIDTH, color=color)
    return bar, f"{'*' if partial else ''}{amount(minor, currency)}"


def gross_to_net(businesses: Sequence[Business], overviews: Sequence[Overview]) -> Table:
    """What is left of what came in, and what became of payments, a column a business."""
    table = Table(
        title=f"\nAn overview of the last {SHOWN_DAYS} days: from gross to net",
        title_justify="left",
    )
    table.add_column("Figure", no_wrap=True)
    for business in businesses:
        table.add_column(business.name, justify="right", no_wrap=True)
    parts = [_net_of(business, each) for business, each in zip(businesses, overviews, strict=True)]
    codes = [business.currency for business in businesses]

    def amounts(title: str, figures: Iterable[AmountFigure]) -> None:
        told = [figure.current.amount for figure in figures]
        if any(told) or title in ("gross volume", "net volume"):
            cells = (amount(minor, code) for minor, code in zip(told, codes, strict=True))
            table.add_row(title, *cells)

    amounts("gross volume", (part.gross for part in parts))
    amounts("payments that failed", (part.charge_failure for part in parts))
    amounts("refunds", (part.refund for part in parts))
    amounts("refunds that failed", (part.refund_failure for part in parts))
    amounts("disputes", (part.dispute for part in parts))
    amounts("disputes won back", (part.dispute_reversal for part in parts))
    amounts("fees", (part.fees for part in parts))
    amounts("other", (part.other for part in parts))
    table.add_section()
    amounts("net volume", (part.net for part in parts))
    table.add_section()
    payments = [overview.payments for overview in overviews]
    table.add_row("payments paid", *(f"{each.paid.current:,}" for each in payments))
    table.add_row("recovered", *(f"{each.recovered.current:,}" for each in payments))
    table.add_row("success rate", *(_share(each) for each in payments))
    return table


def mrr(clubs: Sequence[Club]) -> Table:
    """MRR at the end of the days that were played, and what moved it, a column a business."""
    table = Table(title="\nSubscriptions: what moved MRR", title_justify="left")
    table.add_column("Movement", no_wrap=True)
    for club in clubs:
        table.add_column(club.business.name, justify="right", no_wrap=True)
    parts = [_mrr_of(club) for club in clubs]
    codes = [club.business.currency for club in clubs]

    def amounts(title: str, told: Sequence[int]) -> None:
        cells = (amount(minor, code) for minor, code in zip(told, codes, strict=True))
        table.add_row(title, *cells)

    amounts("start", [part.start.amount for part in parts])
    moved = [{each.name: each.amount.current.amount for each in part.movements} for part in parts]
    for name in dict.fromkeys(name for each in moved for name in each):
        told = [each.get(name, 0) for each in moved]
        if any(told):
            amounts(name, told)
    table.add_section()
    amounts("end", [part.end.amount for part in parts])
    amounts("before discounts", [part.before_discounts.amount for part in parts])
    table.add_section()
    members = [club.subscribers for club in clubs]
    table.add_row("subscribers", *(f"{each.end:,}" for each in members))
    gone = [-sum(m.count.current for m in each.movements if m.name == "churn") for each in members]
    table.add_row("churned", *(f"{number:,}" for number in gone))
    return table


def cohorts(club: Club) -> Table:
    """Which part of those who began in a month subscribes after so many months, as a heat map."""
    found, zone = club.cohorts, ZoneInfo(club.business.time_zone)
    table = Table(title=f"\nCohorts of {club.business.name}", title_justify="left")
    table.add_column("Began in", no_wrap=True)
    table.add_column("Size", justify="right")
    width = max((len(each.cells) for each in found.cohorts), default=0)
    for month in range(width):
        table.add_column(f"+{month}", justify="right", no_wrap=True)
    for each in found.cohorts:
        begun = each.start_time.ToDatetime(tzinfo=UTC).astimezone(zone)
        table.add_row(f"{begun:%b %Y}", f"{each.size:,}", *map(_heat, each.cells))
    return table


def _heat(cell: CohortCell) -> Text:
    if not cell.HasField("retention"):
        return Text("-", style="dim")
    styles = ((0.9, "black on green3"), (0.6, "black on yellow3"), (0.0, "white on red3"))
    style = next(style for least, style in styles if cell.retention >= least)
    return Text(f"{cell.retention:.0%}{'*' if cell.partial else ''}", style=style)


def products(clubs: Sequence[Club]) -> Table:
    """What each product brought; all rows add up to gross volume."""
    table = Table(title="\nRevenue by product", title_justify="left")
    table.add_column("Business", no_wrap=True)
    table.add_column("Product", no_wrap=True)
    table.add_column("Captured", justify="right", no_wrap=True)
    for club in clubs:
        code = club.business.currency
        for part in club.products.currencies:
            for row in part.rows:
                name = row.name or row.kind.replace("_", " ")
                table.add_row(club.business.name, name, amount(row.captured.amount, code))
            table.add_row("", "gross volume", amount(part.gross.amount, code))
        table.add_section()
    return table


def subscribed(check: Check) -> Text:
    """The line that subscribers are those that Stripe has, or that they are not."""
    if check.equal:
        words = f"{check.business}: {check.mirror:,} subscribers, as at Stripe."
        return Text(words, style="bold green")
    words = f"{check.business}: {check.mirror:,} subscribers, {check.stripe:,} at Stripe."
    return Text(words, style="bold red")


def _mrr_of(club: Club) -> CurrencyMrr:
    """The part in the business's own currency, empty where there is none."""
    parts = {part.currency: part for part in club.mrr.currencies}
    return parts.get(club.business.currency, CurrencyMrr(currency=club.business.currency))


@dataclass(frozen=True, slots=True)
class Tied:
    """The days of a business that are over, as they were held against its balance."""

    business: Business
    days: Sequence[TieOutDay]

    @property
    def tying(self) -> int:
        """How many days tie."""
        return sum(day.verdict == TieOutDay.VERDICT_TIES for day in self.days)

    @property
    def differing(self) -> Sequence[TieOutDay]:
        """Those that do not."""
        return [day for day in self.days if day.verdict == TieOutDay.VERDICT_DIFFERS]

    @property
    def told(self) -> bool:
        """Whether every day is said to tie, or not to."""
        return bool(self.days) and self.tying + len(self.differing) == len(self.days)


def tied(business: Business, tie_out: TieOut, now: datetime) -> Tied:
    """The days that are over."""
    return Tied(
        business,
        [
            day
            for part in tie_out.currencies
            if part.currency == business.currency
            for day in part.days
            if day.end_time.ToDatetime(tzinfo=UTC) <= now
        ],
    )


def ties(tied: Tied) -> Text:
    """The line that the books tie to the bank, or that they do not."""
    name, count = tied.business.name, len(tied.days)
    if tied.differing:
        by = _money(tied.differing[0].remainder)
        words = f"{name} does not tie on {len(tied.differing)} of {count} days, first by {by}."
        return Text(words, style="bold red")
    if not tied.told:
        return Text(f"{name} ties on {tied.tying} of {count} days, as far as is known.")
    closing = _money(tied.days[-1].closing)
    words = f"{name} ties to the bank on all {count} days, up to {closing}."
    return Text(words, style="bold green")


def _share(payments: PaymentFigures) -> str:
    return f"{payments.success_rate:.1%}" if payments.HasField("success_rate") else "-"


def _net_of(business: Business, overview: Overview) -> CurrencyNet:
    """The part that settles in the business's own currency, empty where nothing did."""
    parts = {part.currency: part for part in overview.net.currencies}
    return parts.get(business.currency, CurrencyNet(currency=business.currency))


def comparison(checks: Sequence[Check], days: int) -> Table:
    """Both sides of every figure of the proof."""
    table = Table(title=f"All {days} days, from both sides", title_justify="left")
    table.add_column("Figure", no_wrap=True)
    table.add_column("Stripe", justify="right", no_wrap=True)
    table.add_column("Mirror", justify="right", no_wrap=True)
    table.add_column("Result")
    named = ""
    for check in checks:
        if check.business != named:
            table.add_section()
            table.add_row(Text(check.business, style="bold"))
        table.add_row(
            f"{check.what}, {check.currency.upper()}" if check.currency else check.what,
            figure(check.stripe, check.currency),
            figure(check.mirror, check.currency),
            Text("equal", style="green") if check.equal else Text("differs", style="bold red"),
        )
        named = check.business
    return table


def desk(day: DayAtTheDesk) -> Table:
    """A day at the desk, a line a step."""
    business, link, totals = day.business, day.open_link, day.totals
    table = Table(
        title=f"\nA day at the desk of {business.name}, over gRPC",
        title_justify="left",
        show_header=False,
    )
    table.add_column("", no_wrap=True)
    table.add_column("")
    linking = day.linking
    table.add_row(
        "link all contacts",
        f"{linking.read_count:,} customers, {linking.created_count:,} became contacts",
    )
    found = f"{len(day.found):,} found, the newest {day.found[0].name}"
    table.add_row(f'search "{day.query}"', found)
    paid = f"{totals.paid.count} paid, {_money(totals.paid.amount)}"
    open_ = f"{totals.open.count} open, {_money(totals.open.amount)}"
    table.add_row("two payment links", f"{_money(day.paid.total)} each for {day.customer.name}")
    table.add_row("one is paid", f"by {day.method.brand} ..{day.method.last4}: {day.paid.status}")
    table.add_row("the other waits", link.short_url)
    table.add_row("invoices", f"{paid}; {open_}")
    return table


def wallet(story: WalletStory) -> Table:
    """What a wallet did, a line a step, and whether it agrees with Stripe."""
    table = Table(
        title=f"\nThe wallet of {story.business.name}, over gRPC",
        title_justify="left",
        show_header=False,
    )
    table.add_column("", no_wrap=True)
    table.add_column("")
    reload, usage, told = story.reload, story.usage, story.differences
    table.add_row("reload", f"{_money(reload.amount)} paid on the platform's own Stripe account")
    spent = Money(amount=-usage.amount.amount, currency=usage.amount.currency)
    table.add_row("spend", f"{_money(spent)} for {usage.quantity:,} text messages")
    table.add_row("give back", f"{_money(reload.gone)}, held while Stripe refunds it")
    table.add_row("balance", f"{_money(story.wallet.available)} after {len(story.entries)} entries")
    table.add_row(
        "proof",
        Text("; ".join(told), style="bold red")
        if told
        else Text("wallet = Stripe: every entry sums to zero, all to the balance", style="green"),
    )
    return table


def store(story: StoreStory) -> Table:
    """What a sub-account bought of its parent: both legs of each sale."""
    table = Table(
        title=f"\n{story.buyer.name} buys of {story.seller.name}, at {MULTIPLIER} times",
        title_justify="left",
    )
    table.add_column("bought", no_wrap=True)
    table.add_column("pays now", justify="right", no_wrap=True)
    table.add_column("each month", justify="right", no_wrap=True)
    table.add_column("the seller pays the platform")
    for sale in story.sales:
        made = sale.checkout
        item, cost = made.lines[0], made.sellers_view
        table.add_row(
            f"{item.quantity} x {item.description}",
            _money(made.total),
            _money(made.renewal),
            f"{_money(cost.cost)} by {cost.paid_by}",
        )
    return table


def sold(story: StoreStory) -> Text:
    """Whether both legs of each sale are whole, in a line."""
    if story.differences:
        return Text("; ".join(story.differences), style="bold red")
    return Text("both legs of each sale are whole, as Stripe and the wallet show", style="green")


def _money(money: Money) -> str:
    return f"{amount(money.amount, money.currency)} {money.currency.upper()}"


def figure(value: int, currency: str) -> str:
    """A count, or an amount where there is a currency."""
    return amount(value, currency) if currency else f"{value:,}"


def reconciliation(businesses: Sequence[Business], reports: Sequence[MirrorReport]) -> Table:
    """How many objects of each noun were compared row by row, and how many rows were wrong."""
    table = Table(title="\nEvery object at Stripe against its row", title_justify="left")
    table.add_column("Object type", no_wrap=True)
    for business in businesses:
        table.add_column(business.name, justify="right", no_wrap=True)
    table.add_column("wrong", justify="right", no_wrap=True)
    for counts in zip(*(report.counts for report in reports), strict=True):
        if any(one.compared_count for one in counts):
            wrong = sum(one.missing_count + one.extra_count + one.different_count for one in counts)
            table.add_row(
                counts[0].noun.replace("_", " "),
                *(f"{one.compared_count:,}" for one in counts),
                Text(f"{wrong:,}", style="bold red" if wrong else "green"),
            )
    return table


def verdict(checks: Sequence[Check], reports: Sequence[MirrorReport]) -> Text:
    """The one line that the demo is about."""
    wrong = [
        f"{check.business}: {check.what} {figure(check.stripe, check.currency)} at Stripe, "
        f"{figure(check.mirror, check.currency)} in the mirror"
        for check in checks
        if not check.equal
    ]
    drifted = sum(report.drifted_count for report in reports)
    if drifted:
        wrong.append(f"{drifted:,} rows differ")
    if checks and not wrong:
        compared = sum(one.compared_count for report in reports for one in report.counts)
        words = f"all {len(checks)} figures and {compared:,} rows are equal."
        return Text(f"mirror = Stripe: {words}", style="bold green")
    told = "; ".join(wrong)
    return Text(f"mirror ≠ Stripe: {told or 'nothing was compared'}", style="bold red")
