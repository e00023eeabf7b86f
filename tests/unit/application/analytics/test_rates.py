"""Importing and listing exchange rates."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from application.analytics.rates import ExchangeRates, ImportRates, ListRates, RateRow
from application.requests.callers import Caller
from application.requests.paging import PageTokens
from domain.errors import InvalidArgument, Reason
from domain.rates import Rate, read_date
from tests.support.fakes.rates import FakeRates
from tests.support.fakes.stores import FakeClock

ACME = Caller("service", "acme", frozenset())
RIVAL = Caller("service", "rival", frozenset())
ROW = RateRow("2026-01-31", "eur", "1.10")


def desk(rates: FakeRates, base: str = "usd") -> ExchangeRates:
    return ExchangeRates(rates, PageTokens(b"key", FakeClock()), base)


async def refused(rates: FakeRates, command: ImportRates, base: str = "usd") -> list[str]:
    """The fields that an import is refused for."""
    before = dict(rates.kept)
    with pytest.raises(InvalidArgument) as refusal:
        await desk(rates, base).import_rates(ACME, command)
    assert rates.kept == before
    return [violation.field for violation in refusal.value.violations]


def command(*rows: RateRow) -> ImportRates:
    return ImportRates(rows)


async def test_a_rate_is_written_once_and_may_be_imported_again() -> None:
    rates = FakeRates()
    first = await desk(rates).import_rates(ACME, command(ROW, replace(ROW, currency="jpy")))
    assert (first.base_currency, first.written, first.known) == ("usd", 2, 0)
    again = command(replace(ROW, rate="1.1"), replace(ROW, date="2026-02-01"), ROW)
    second = await desk(rates).import_rates(ACME, again)
    assert (second.written, second.known) == (1, 1)
    assert [rate.rate for rate in rates.kept.values()] == ["1.10"] * 3
    await desk(rates).import_rates(RIVAL, command(replace(ROW, rate="9")))


async def test_every_row_that_is_wrong_is_named_and_nothing_is_written() -> None:
    rates = FakeRates()
    rows = [
        ROW,
        RateRow("2026-02-30", "EUR", "0"),
        RateRow("2026-02-01", "usd", "1.0"),
        replace(ROW, rate="1.2"),
        replace(ROW, rate="-1"),
    ]
    assert await refused(rates, replace(command(*rows), base_currency="gbp")) == [
        "base_currency", "rows[1].date", "rows[1].currency", "rows[1].rate", "rows[2].currency",
        "rows[3].rate", "rows[4].rate",
    ]  # fmt: skip
    assert await refused(rates, command()) == ["rows"]
    assert await refused(rates, command(*[ROW] * 1_001)) == ["rows"]
    assert await refused(rates, command(), base="") == ["base_currency", "rows"]


async def test_another_value_for_what_stands_is_refused() -> None:
    rates = FakeRates()
    await desk(rates).import_rates(ACME, command(ROW))
    new = RateRow("2026-02-01", "eur", "1.2")
    assert await refused(rates, command(new, replace(ROW, rate="1.11"))) == ["rows[1].rate"]


async def test_somebody_who_is_faster_is_heard_of() -> None:
    rates = FakeRates()
    rates.between = [("acme", "usd", Rate(read_date(ROW.date), "eur", "7"))]
    with pytest.raises(InvalidArgument, match=r"rows\[0\].rate: 7 was imported"):
        await desk(rates).import_rates(ACME, command(ROW))


async def test_what_is_only_checked_is_not_written() -> None:
    rates = FakeRates()
    checked = await desk(rates).import_rates(ACME, replace(command(ROW), validate_only=True))
    assert (checked.written, checked.known, rates.kept) == (1, 0, {})


async def test_pages() -> None:
    rates = FakeRates()
    rows = [
        RateRow(f"2026-01-{day:02}", code, "2") for day in range(1, 8) for code in ("eur", "jpy")
    ]
    await desk(rates).import_rates(ACME, command(*rows))
    assert (await desk(rates).list(RIVAL, ListRates())).items == []

    async def listed(query: ListRates) -> Sequence[Rate]:
        found: list[Rate] = []
        while True:
            page = await desk(rates).list(ACME, query)
            found += page.items
            if not page.next_page_token:
                return found
            query = replace(query, page_token=page.next_page_token)

    everything = await listed(ListRates(page_size=3))
    assert [(rate.currency, rate.date.day) for rate in everything] == [
        (code, day) for code in ("eur", "jpy") for day in range(1, 8)
    ]
    assert await listed(ListRates(page_size=2, currency="jpy")) == everything[7:]
    token = (await desk(rates).list(ACME, ListRates(page_size=3))).next_page_token
    for query in (ListRates(page_token=token, currency="jpy"), ListRates(page_token="x")):
        with pytest.raises(InvalidArgument) as refusal:
            await desk(rates).list(ACME, query)
        assert refusal.value.reason is Reason.INVALID_PAGE_TOKEN


async def test_what_is_wrong_with_a_list() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        await desk(FakeRates(), "").list(ACME, ListRates(page_size=101, currency="EUR"))
    fields = [violation.field for violation in refusal.value.violations]
    assert fields == ["base_currency", "page_size", "currency"]
