"""Tables, chart and verdict: right decimals, local dates, 80 columns."""

import io
import re
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from billing_client.v1.analytics_service_pb2 import ChargeCounts, CountComparison, GrossVolume
from billing_client.v1.checkout_service_pb2 import (
    CHECKOUT_STATE_CANCELED,
    CHECKOUT_STATE_COMPLETED,
    Checkout,
    CheckoutLine,
    SellersView,
)
from billing_client.v1.figures_pb2 import AmountFigure, CountFigure, NamedAmount, NamedCount
from billing_client.v1.mirror_service_pb2 import MirrorReport, NounCounts
from billing_client.v1.money_pb2 import Money
from billing_client.v1.subscriber_figures_pb2 import (
    CurrencyMrr,
    CurrencyProducts,
    ListCohortsResponse,
    ListProductRevenueResponse,
    Mrr,
    ProductRevenueRow,
    Subscribers,
)
from billing_client.v1.tie_out_pb2 import TieOut, TieOutDay
from billing_client.v1.wallet_service_pb2 import AccountWallet, Reload, WalletEntry, WalletPosting
from rich.console import Console, RenderableType

from sandbox.demo import present
from sandbox.demo.mirror import Club
from sandbox.demo.proof import Check
from sandbox.demo.purse import WalletStory
from sandbox.demo.shop import Sale, StoreStory
from sandbox.demo.world import Branch, Business

NEW_YORK = Business("Hudson Supply", "a1", "acct_1", "US", "usd", "America/New_York", "t1")
TOKYO = Business("Yanaka Paper", "a2", "acct_2", "JP", "jpy", "Asia/Tokyo", "t2")
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def printed(what: RenderableType) -> str:
    out = io.StringIO()
    Console(file=out, width=80).print(what)
    return out.getvalue()


def answers(
    business: Business, *buckets: tuple[str, str, int], partial: bool = False
) -> present.Answers:
    volume = GrossVolume()
    part = volume.currencies.add(currency=business.currency)
    for first, last, minor in buckets:
        bucket = part.buckets.add()
        bucket.start_time.FromJsonString(first)
        bucket.end_time.FromJsonString(last)
        bucket.amount.amount = minor
        bucket.amount.currency = business.currency
        part.current.amount += minor
    part.buckets[-1].partial = partial
    return present.Answers(business, volume, ChargeCounts())


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (123_450, "usd", "1,234.50"),
        (5, "usd", "0.05"),
        (0, "usd", "0.00"),
        (-105, "usd", "-1.05"),
        (1_234_567, "jpy", "1,234,567"),
        (-7, "jpy", "-7"),
        (12_340, "kwd", "12.340"),
        (150_000, "isk", "1,500.00"),
    ],
)
def test_amounts_have_their_currencys_decimals(minor: int, currency: str, text: str) -> None:
    assert present.amount(minor, currency) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(None, "-"), (0.25, "+25.0%"), (-0.015, "-1.5%"), (0.0, "+0.0%")]
)
def test_growth_has_its_sign(rate: float | None, text: str) -> None:
    assert present.growth(rate).plain == text


def test_fewer_declines_are_green() -> None:
    assert present.growth(-0.2).style == present.growth(0.2, less_is_better=True).style == "red"
    assert present.growth(0.2).style == present.growth(-0.2, less_is_better=True).style == "green"
    counts = ChargeCounts(failed=CountComparison(current=8, previous=10, growth=-0.2))
    found = present.Answers(NEW_YORK, GrossVolume(), counts)
    (cell,) = (cell for cell in present.headline([found]).columns[3].cells if "-20" in str(cell))
    assert getattr(cell, "style", "") == "green"


def test_no_header_is_empty() -> None:
    reports = [report(customer=(34, 0)), report(customer=(34, 0))]
    for table in (
        present.headline([present.Answers(NEW_YORK, GrossVolume(), ChargeCounts())]),
        present.comparison([EQUAL], 90),
        present.reconciliation([NEW_YORK, TOKYO], reports),
    ):
        assert not table.show_header or all(column.header for column in table.columns)


@pytest.mark.parametrize(
    ("business", "first", "end"),
    [
        (NEW_YORK, date(2026, 10, 9), date(2026, 11, 8)),
        (TOKYO, date(2026, 10, 10), date(2026, 11, 9)),
    ],
)
def test_the_days_shown_are_whole_local_days_across_a_clock_change(
    business: Business, first: date, end: date
) -> None:
    """18:00 UTC on 7 November is the 7th in New York and the 8th in Tokyo."""
    zone = ZoneInfo(business.time_zone)
    shown = present.shown_days(business, datetime(2026, 11, 7, 18, tzinfo=UTC))
    midnight = time(tzinfo=zone)
    assert shown == (datetime.combine(first, midnight), datetime.combine(end, midnight))


def test_the_chart_puts_each_bucket_on_its_local_date() -> None:
    """New York's day is 25 hours long; Tokyo's bucket starts on the evening before in UTC."""
    text = printed(
        present.chart(
            [
                answers(
                    NEW_YORK,
                    ("2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z", 10_000),
                    ("2026-11-02T05:00:00Z", "2026-11-03T05:00:00Z", 5_000),
                ),
                answers(
                    TOKYO,
                    ("2026-11-01T15:00:00Z", "2026-11-02T15:00:00Z", 44_000),
                    ("2026-11-02T15:00:00Z", "2026-11-03T15:00:00Z", 22_000),
                    partial=True,
                ),
            ]
        )
    )
    rows = {line[:10]: line for line in text.splitlines()}
    assert "100.00" in rows["Sun  1 Nov"]
    assert "44,000" not in rows["Sun  1 Nov"]
    assert "50.00" in rows["Mon  2 Nov"]
    assert "44,000" in rows["Mon  2 Nov"]
    assert "*22,000" in rows["Tue  3 Nov"]
    assert rows["Sun  1 Nov"].count("█") == 2 * rows["Mon  2 Nov"][:31].count("█") + 1
    assert max(map(len, text.splitlines())) <= 80


def test_a_day_without_sales_has_no_bar_and_a_zero() -> None:
    text = printed(
        present.chart([answers(TOKYO, ("2026-11-01T15:00:00Z", "2026-11-02T15:00:00Z", 0))])
    )
    (row,) = [line for line in text.splitlines() if line.startswith("Mon  2 Nov")]
    assert row.split() == ["Mon", "2", "Nov", "0"]


def test_the_headline_shows_growth_only_where_the_service_gives_it() -> None:
    found = answers(NEW_YORK, ("2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z", 12_500))
    part = found.volume.currencies[0]
    part.previous.amount, part.growth = 10_000, 0.25
    found.counts.succeeded.current = 1_234
    text = printed(present.headline([found]))
    volume, succeeded = (
        next(line.split() for line in text.splitlines() if name in line)
        for name in ("gross volume", "succeeded")
    )
    assert [word for word in volume if word[0] in "1+"] == ["125.00", "100.00", "+25.0%"]
    assert "1,234" in succeeded
    assert succeeded[-2] == "-"


def test_a_business_that_sold_nothing_is_shown_as_zero() -> None:
    nothing = present.Answers(TOKYO, GrossVolume(), ChargeCounts())
    assert nothing.own.current.amount == 0
    assert "gross volume, JPY" in printed(present.headline([nothing]))
    assert "Asia/Tokyo" in printed(present.chart([nothing]))


def report(**compared_and_wrong: tuple[int, int]) -> MirrorReport:
    """A report by noun: how many were compared, and how many of them differ."""
    counts = [
        NounCounts(noun=noun, compared_count=compared, different_count=wrong)
        for noun, (compared, wrong) in compared_and_wrong.items()
    ]
    wrong = sum(one.different_count for one in counts)
    return MirrorReport(counts=counts, drifted_count=wrong)


EQUAL = Check("Hudson Supply", "gross volume", 12_345, 12_345, "usd")
WRONG = Check("Yanaka Paper", "gross volume", 7_000, 6_500, "jpy")


def test_the_verdict_on_equal_figures() -> None:
    verdict = present.verdict([EQUAL], [report(customer=(1_200, 0)), report(customer=(34, 0))])
    assert verdict.plain == "mirror = Stripe: all 1 figures and 1,234 rows are equal."
    assert "green" in str(verdict.style)


def test_the_verdict_names_what_differs_and_only_that() -> None:
    verdict = present.verdict([EQUAL, WRONG], [report(customer=(1, 0))])
    assert verdict.plain == (
        "mirror ≠ Stripe: Yanaka Paper: gross volume 7,000 at Stripe, 6,500 in the mirror"
    )
    assert "red" in str(verdict.style)


def test_a_row_that_is_wrong_is_no_equality() -> None:
    verdict = present.verdict([EQUAL], [report(customer=(5, 0)), report(customer=(5, 2))])
    assert verdict.plain == "mirror ≠ Stripe: 2 rows differ"


def test_nothing_compared_proves_nothing() -> None:
    assert present.verdict([], []).plain.startswith("mirror ≠ Stripe")


def test_the_reconciliation_leaves_out_what_there_is_none_of() -> None:
    reports = [report(charge=(1_500, 0), dispute=(0, 0)), report(charge=(7, 3), dispute=(0, 0))]
    text = printed(present.reconciliation([NEW_YORK, TOKYO], reports))
    row = next(line for line in text.splitlines() if "charge" in line)
    assert re.findall(r"[\d,]+", row) == ["1,500", "7", "3"]
    assert "dispute" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_comparison_shows_both_sides() -> None:
    text = printed(present.comparison([EQUAL, WRONG], 90))
    row = next(line for line in text.splitlines() if "JPY" in line)
    assert ("7,000" in row, "6,500" in row, "differs" in row) == (True, True, True)
    assert max(map(len, text.splitlines())) <= 80


def of_days(*verdicts: TieOutDay.Verdict.ValueType) -> TieOut:
    """Days, one a verdict, the last of which ends now."""
    tie_out = TieOut()
    part = tie_out.currencies.add(currency="usd")
    for number, verdict in enumerate(verdicts, 1):
        day = part.days.add(verdict=verdict, closing=Money(amount=number * 100, currency="usd"))
        day.end_time.FromDatetime(NOW - (len(verdicts) - number) * timedelta(days=1))
        if verdict == TieOutDay.VERDICT_DIFFERS:
            day.remainder.CopyFrom(Money(amount=-5, currency="usd"))
    return tie_out


TIES, DIFFERS = TieOutDay.VERDICT_TIES, TieOutDay.VERDICT_DIFFERS
UNKNOWN = TieOutDay.VERDICT_UNKNOWN


@pytest.mark.parametrize(
    ("verdicts", "line", "told"),
    [
        ((TIES, TIES), "ties to the bank on all 2 days, up to 2.00 USD.", True),
        ((TIES, DIFFERS, UNKNOWN), "does not tie on 1 of 3 days, first by -0.05 USD.", False),
        ((UNKNOWN, TIES), "ties on 1 of 2 days, as far as is known.", False),
        ((), "ties on 0 of 0 days, as far as is known.", False),
    ],
)
def test_the_line_that_it_ties(
    verdicts: tuple[TieOutDay.Verdict.ValueType, ...], line: str, told: bool
) -> None:
    tied = present.tied(NEW_YORK, of_days(*verdicts), NOW)
    assert present.ties(tied).plain == f"{NEW_YORK.name} {line}"
    assert tied.told is told


def test_a_day_that_is_not_over_is_not_told() -> None:
    tied = present.tied(NEW_YORK, of_days(TIES, UNKNOWN), NOW - timedelta(seconds=1))
    assert [day.verdict for day in tied.days] == [TIES]


def usd(amount: int) -> Money:
    return Money(amount=amount, currency="usd")


def story(*, kept: int = 5_000, available: int = 5_000, stripe: int = -5_000) -> WalletStory:
    entry = WalletEntry(
        amount=usd(5_000),
        postings=[
            WalletPosting(ledger_account="available", amount=usd(5_000)),
            WalletPosting(ledger_account="stripe", amount=usd(stripe)),
        ],
    )
    reload = Reload(amount=usd(5_000), gone=usd(0))
    wallet = AccountWallet(available=usd(available))
    return WalletStory(NEW_YORK, reload, WalletEntry(amount=usd(-9)), wallet, [entry], kept)


def test_a_wallet_that_agrees_with_stripe() -> None:
    assert story().differences == []
    text = printed(present.wallet(story()))
    assert "50.00 USD paid" in text
    assert "wallet = Stripe" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (story(kept=4_000), "Stripe has kept 4000"), (story(available=4_999), "not the sum"),
        (story(stripe=-4_999, kept=4_999), "does not sum to zero"),
    ],
)  # fmt: skip
def test_a_wallet_that_does_not_agree_says_why(odd: WalletStory, words: str) -> None:
    assert len(odd.differences) == 1
    assert words in " ".join(printed(present.wallet(odd)).split())


def club(business: Business, *, minor: int, size: int) -> Club:
    code = business.currency
    money = partial(Money, currency=code)
    part = CurrencyMrr(
        currency=code, start=money(amount=0), end=money(amount=minor),
        before_discounts=money(amount=minor + 5),
        movements=[
            NamedAmount(name=name, amount=AmountFigure(current=money(amount=moved)))
            for name, moved in (("new", 2 * minor), ("churn", -minor), ("paused", 0))
        ],
    )  # fmt: skip
    gone = NamedCount(name="churn", count=CountFigure(current=-2))
    cohorts = ListCohortsResponse()
    cohort = cohorts.cohorts.add(size=size)
    cohort.start_time.FromDatetime(datetime(2026, 2, 28, 15, tzinfo=UTC))
    cohort.cells.add(subscribers=size, retention=1)
    cohort.cells.add(subscribers=1, retention=0.5, partial=True)
    cohort.cells.add()
    rows = [
        ProductRevenueRow(kind="product", name="Club", captured=money(amount=minor)),
        ProductRevenueRow(kind="unattributed", captured=money(amount=1)),
    ]
    products = ListProductRevenueResponse(
        currencies=[CurrencyProducts(currency=code, rows=rows, gross=money(amount=minor + 1))]
    )
    members = Subscribers(end=size, movements=[gone])
    return Club(business, Mrr(currencies=[part]), members, cohorts, products)


def test_what_moved_mrr_cohorts_and_products() -> None:
    clubs = [club(NEW_YORK, minor=12_345, size=12), club(TOKYO, minor=1_500, size=9)]
    text = printed(present.mrr(clubs))
    for line in (
        ["new", "246.90", "3,000"], ["churn", "-123.45", "-1,500"], ["end", "123.45", "1,500"],
        ["subscribers", "12", "9"], ["churned", "2", "2"],
    ):  # fmt: skip
        assert re.search(r"\s*│\s*".join(map(re.escape, line)), text), line
    assert "paused" not in text
    text = printed(present.cohorts(clubs[1]))
    assert "Mar 2026" in text, "the first of March in Tokyo"
    assert "100%" in text
    assert "50%*" in text
    text = printed(present.products(clubs))
    assert "unattributed" in text
    assert "123.46" in text
    assert max(map(len, text.splitlines())) <= 80


def test_subscribers_are_those_at_stripe() -> None:
    assert present.subscribed(Check("Books", "subscribers", 3, 3)).plain.endswith("as at Stripe.")
    wrong = present.subscribed(Check("Books", "subscribers", 3, 4))
    assert wrong.plain == "Books: 4 subscribers, 3 at Stripe."
    assert wrong.style == "bold red"


def sale(received: int = 288, paid: int = 230, state: int = CHECKOUT_STATE_COMPLETED) -> Sale:
    made = Checkout(
        state=state,  # type: ignore[arg-type]  # one of the enum's
        lines=[CheckoutLine(description="Phone number", quantity=2, amount=usd(288))],
        total=usd(288),
        renewal=usd(288),
        sellers_view=SellersView(cost=usd(230), paid_by="wallet"),
    )
    return Sale(made, received, paid)


def store_story(*sales: Sale) -> StoreStory:
    return StoreStory(NEW_YORK, Branch("Print Shop", "print-shop", ""), sales)


def test_a_sale_whose_legs_are_whole() -> None:
    told = store_story(sale(), sale())
    text = printed(present.store(told))
    assert re.search(r"2 x Phone number .* 2\.88 USD .* 2\.88 USD .* 2\.30 USD by wallet", text)
    assert max(map(len, text.splitlines())) <= 80
    assert "whole" in present.sold(told).plain


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (sale(received=1), "the seller has received 1"), (sale(paid=2), "the seller has paid 2"),
        (sale(state=CHECKOUT_STATE_CANCELED), "it is not completed"),
    ],
)  # fmt: skip
def test_a_sale_with_a_leg_that_is_not_whole_says_which(odd: Sale, words: str) -> None:
    assert present.sold(store_story(sale(), odd)).plain == words
