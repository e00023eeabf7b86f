"""The past of the ledger on every store: as it was known, what was restated, what makes it up."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.analytics.explanation import ExplainFigure, Explaining, Explanation, FigureEntry
from application.analytics.ledger import Ledger
from application.analytics.metrics import GROSS_VOLUME, LEDGER
from application.analytics.ports import FigureRow
from application.analytics.restatements import (
    Cause,
    LedgerEntry,
    ListRestatements,
    Restatement,
    Restatements,
)
from application.analytics.trust import Standing
from application.connections.use_cases import Connections
from application.mirror.nouns import BALANCE_TRANSACTIONS
from application.mirror.writer import MirrorWriter
from application.requests.callers import Caller
from application.requests.paging import PageTokens
from domain.balance_transactions import BalanceTransaction
from domain.connections import Connection, ConnectionKind, Mode
from domain.errors import InvalidArgument
from domain.mirror import Snapshot, Version
from domain.money import Money
from domain.periods import to_milliseconds
from tests.contract.samples import NOON, NOON_MS
from tests.support.fakes.standings import some_trust
from tests.support.fakes.stores import (
    FakeClock,
    FakeConnections,
    FakeMirror,
    FakeStripeAccounts,
)
from tests.support.servers.stores import Stores

CALLER: Final = Caller("service", "acme", frozenset())
MANY: Final = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
HOUR: Final = dt.timedelta(hours=1)
EDGES: Final = [NOON + number * HOUR for number in range(5)]
TICK: Final = dt.timedelta(minutes=1)
BY_CATEGORY: Final = replace(LEDGER, by=("reporting_category",))
TODAY: Final = NOON + dt.timedelta(days=3)

Figures = Mapping[tuple[int, str, tuple[object, ...]], tuple[tuple[int, ...], int]]


@dataclass(frozen=True)
class Closings:
    """The same for every account."""

    below: int | None

    async def closing(self, stripe_account: str) -> int | None:  # noqa: ARG002 - the port's
        return self.below


@dataclass(frozen=True)
class Told:
    """What Stripe tells of a transaction at a moment; its `hour` None: it is gone."""

    id: str
    hour: int | None
    amount: int = 100
    fee: int = 3
    currency: str = "usd"
    category: str = "charge"
    balance: str = "payments"

    def snapshot(self, stripe_account: str, at: int) -> Snapshot[BalanceTransaction]:
        """As an observation."""
        version = Version.of_event(NOON_MS + 86_400_000 + at)
        return Snapshot(stripe_account, self.id, version, self.object)

    @property
    def object(self) -> BalanceTransaction | None:
        """The transaction itself."""
        if self.hour is None:
            return None
        created = NOON + self.hour * HOUR + 7 * TICK
        return BalanceTransaction(
            self.id,
            created,
            Money(self.amount, self.currency),
            Money(self.fee, self.currency),
            Money(self.amount - self.fee, self.currency),
            "charge",
            "available",
            created,
            source=f"ch_{self.id}",
            reporting_category=self.category,
            balance_type=self.balance,
        )


TOLD: Final = st.builds(
    Told,
    st.sampled_from(["txn_1", "txn_2", "txn_3", "txn_4"]),
    st.none() | st.integers(-1, 4),
    st.integers(-20, 20),
    st.integers(0, 2),
    st.sampled_from(["usd", "eur"]),
    st.sampled_from(["charge", "refund"]),
    st.sampled_from(["payments", "issuing"]),
)
HISTORY: Final = st.lists(st.tuples(TOLD, st.none() | st.integers(-1, 5)), min_size=1, max_size=14)
"""What is told, and up to which hour is closed by then (None: as much as before)."""


def of(rows: Sequence[FigureRow]) -> Figures:
    """Figures by their place."""
    return {(row.bucket, row.currency, row.group): (row.sums, row.count) for row in rows}


async def write(stores: Stores, account: str, told: Told, at: int, closed: int | None) -> None:
    """Let the mirror observe something at a minute, where so much is closed."""
    stores.clock.instant = TODAY + at * TICK
    writer = MirrorWriter(stores.mirror, Closings(closed))
    await writer.observe(BALANCE_TRANSACTIONS, [told.snapshot(account, at * 1_000)])


async def answer(stores: Stores, account: str, as_of: dt.datetime | None = None) -> Figures:
    """The figures by category, as they are or were known."""
    ledger = Ledger(stores.analytics, stores.changes)
    return of(await ledger.figures(BY_CATEGORY, account, EDGES, as_of=as_of))


@MANY
@given(HISTORY)
async def test_the_past_is_as_it_was_answered(
    stores: Stores, history: list[tuple[Told, int | None]]
) -> None:
    account = f"acct_{uuid4().hex}"
    answers = {0: await answer(stores, account)}
    restated = dict[int, Figures]()
    ledger = Ledger(stores.analytics, stores.changes)
    closed, at_closing = None, Counter[tuple[int, str]]()
    for minute, (told, hour) in enumerate(history, 1):
        if hour is not None:
            below = to_milliseconds(NOON + hour * HOUR)
            if closed is None or below > closed:
                closed = below
                at_closing = totals(answers[minute - 1])
                at_closing.subtract(totals(of(await ledger.restated(BY_CATEGORY, account, EDGES))))
        await write(stores, account, told, minute, closed)
        answers[minute] = await answer(stores, account)
        restated[minute] = of(await ledger.restated(BY_CATEGORY, account, EDGES))
        # Below what is closed figures are what they were when it was, and what was restated.
        now, listed = totals(answers[minute]), totals(restated[minute])
        for bucket, currency in {*now, *listed, *at_closing}:
            end = to_milliseconds(EDGES[bucket + 1])
            if closed is not None and end <= closed:
                place = bucket, currency
                assert now[place] == at_closing[place] + listed[place]
    for minute, figures in answers.items():
        as_of = TODAY + minute * TICK
        assert await answer(stores, account, as_of) == figures
        assert await answer(stores, account, as_of + TICK / 2) == figures
        if minute in restated:
            then = await ledger.restated(BY_CATEGORY, account, EDGES, as_of=as_of)
            assert of(then) == restated[minute]


def totals(figures: Figures) -> Counter[tuple[int, str]]:
    """The amounts by bucket and currency."""
    summed = Counter[tuple[int, str]]()
    for (bucket, currency, _), (sums, _) in figures.items():
        summed[bucket, currency] += sums[0]
    return summed


@MANY
@given(st.lists(TOLD, min_size=1, max_size=8), st.randoms(use_true_random=False))
async def test_the_order_of_delivery_and_repeats_change_no_figure(
    stores: Stores, history: list[Told], random: object
) -> None:
    numbered = [*enumerate(history, 1)]
    shuffled = [*numbered, *numbered[::2]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis' own
    figures = []
    for order in (numbered, shuffled):
        account = f"acct_{uuid4().hex}"
        for minute, (number, told) in enumerate(order, 1):
            stores.clock.instant = TODAY + minute * TICK
            writer = MirrorWriter(stores.mirror, Closings(NOON_MS + 7_200_000))
            seen = told.snapshot(account, number * 1_000)
            await writer.observe(BALANCE_TRANSACTIONS, [seen])
        figures.append(await answer(stores, account))
    gone = [told for told in history if told.hour is None]
    if not gone:  # what is deleted comes back by its creation alone, which these histories bend
        assert figures[0] == figures[1]


def explaining(stores: Stores, account: str, now: dt.datetime) -> Explaining:
    """For a connection to an account whose history has been known since TODAY."""
    clock = FakeClock(now)
    ledger = Ledger(stores.analytics, stores.changes)
    trust = some_trust(Standing(importing=False, imported_at=TODAY))
    return Explaining(ledger, stores.mirror, connected(account, clock), tokens(clock), clock, trust)


def connected(account: str, clock: FakeClock) -> Connections:
    connection = Connection("acme", account, Mode.TEST, ConnectionKind.MANUAL, NOON)
    return Connections(
        FakeConnections(connection), FakeStripeAccounts(), FakeMirror(), clock, Mode.TEST
    )


def tokens(clock: FakeClock) -> PageTokens:
    return PageTokens(b"key", clock)


QUESTION: Final = ExplainFigure(EDGES[0], EDGES[-1], "usd", page_size=2)


async def explain_all(asked: Explaining, query: ExplainFigure) -> list[Explanation]:
    """All pages."""
    pages = [await asked.explain(CALLER, query)]
    while token := pages[-1].next_page_token:
        pages.append(await asked.explain(CALLER, replace(query, page_token=token)))
        assert len(pages) < 20
    return pages


def rows_of(pages: Sequence[Explanation]) -> list[FigureEntry]:
    return [row for page in pages for row in page.rows]


@MANY
@given(HISTORY, st.integers(0, 14), st.sampled_from([(), ("charge",), ("refund", "other")]))
async def test_the_rows_of_a_figure_add_up_to_it_also_in_the_past(
    stores: Stores,
    history: list[tuple[Told, int | None]],
    asked_at: int,
    categories: tuple[str, ...],
) -> None:
    account = f"acct_{uuid4().hex}"
    for minute, (told, _) in enumerate(history, 1):
        await write(stores, account, told, minute, None)
    as_of = TODAY + asked_at * TICK
    query = replace(QUESTION, as_of=as_of, reporting_categories=categories)
    pages = await explain_all(explaining(stores, account, TODAY + 99 * TICK), query)
    rows = rows_of(pages)
    first = pages[0]
    assert {(page.amount, page.fee, page.row_count) for page in pages} == {
        (first.amount, first.fee, first.row_count)
    }
    assert first.amount.amount == sum(row.entry.amount.amount for row in rows)
    assert first.fee.amount == sum(row.entry.fee.amount for row in rows)
    assert first.row_count == len(rows) == len({row.balance_transaction for row in rows})
    assert rows == sorted(rows, key=lambda row: (row.entry.created, row.balance_transaction))[::-1]
    figures = await answer(stores, account, as_of)
    wanted = [sums for (_, code, (category,)), (sums, _) in figures.items() if code == "usd"
              and (not categories or category in categories)]  # fmt: skip
    assert first.amount.amount == sum(sums[0] for sums in wanted)


async def test_pages_of_a_figure_are_as_of_the_first(stores: Stores) -> None:
    account = f"acct_{uuid4().hex}"
    for number in range(1, 5):
        await write(stores, account, Told(f"txn_{number}", number - 1), number, None)
    asked = explaining(stores, account, TODAY + 9 * TICK)
    first = await asked.explain(CALLER, QUESTION)
    assert [row.balance_transaction for row in first.rows] == ["txn_4", "txn_3"]
    await write(stores, account, Told("txn_1", 0, fee=9), 10, None)
    await write(stores, account, Told("txn_2", None), 11, None)
    await write(stores, account, Told("txn_5", 0), 12, None)
    later = explaining(stores, account, TODAY + 20 * TICK)
    query = replace(QUESTION, page_token=first.next_page_token)
    second = await later.explain(CALLER, query)
    assert [(row.balance_transaction, row.entry.fee.amount) for row in second.rows] == [
        ("txn_2", 3),
        ("txn_1", 3),
    ]
    assert [row.source for row in second.rows] == ["", "ch_txn_1"]
    assert (second.amount, second.known_at) == (Money(400, "usd"), TODAY + 9 * TICK)
    now = rows_of(await explain_all(later, QUESTION))
    assert [row.balance_transaction for row in now] == ["txn_4", "txn_3", "txn_5", "txn_1"]


async def test_restatements_say_what_changed_when_and_why(stores: Stores) -> None:
    account, closed = f"acct_{uuid4().hex}", NOON_MS + 3_600_000
    await write(stores, account, Told("txn_1", 0), 1, None)
    await write(stores, account, Told("txn_2", 2), 2, closed)
    await write(stores, account, Told("txn_1", 0, fee=5), 3, closed)
    await write(stores, account, Told("txn/3 x", 0), 4, closed)
    await write(stores, account, Told("txn_2", 2, fee=5), 5, closed)
    await write(stores, account, Told("txn_1", None), 6, closed)
    clock = FakeClock(TODAY + 9 * TICK)
    asked = Restatements(stores.changes, connected(account, clock), tokens(clock), some_trust())
    listed = list[Restatement]()
    token = ""
    for _ in range(3):
        page, _ = await asked.list(CALLER, ListRestatements(1, token))
        listed, token = [*listed, *page.items], page.next_page_token
    assert not token
    entry = LedgerEntry(NOON + 7 * TICK, Money(100, "usd"), Money(3, "usd"), "charge", "payments")
    dearer = replace(entry, fee=Money(5, "usd"))
    at = [TODAY + minute * TICK for minute in range(7)]
    assert listed == [
        Restatement("txn_1", Cause.REMOVED, at[6], at[1], dearer, None),
        Restatement("txn/3 x", Cause.LATE, at[4], at[4], None, entry),
        Restatement("txn_1", Cause.CHANGED, at[3], at[1], entry, dearer),
    ]
    ledger = Ledger(stores.analytics, stores.changes)
    (row,) = await ledger.restated(LEDGER, account, EDGES)
    assert (row.bucket, row.sums, row.count) == (0, (0, 0), 3)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (replace(QUESTION, as_of=TODAY + 10 * TICK), ["as_of"]),
        (replace(QUESTION, as_of=TODAY + 8.5 * TICK), ["as_of"]),
        (replace(QUESTION, as_of=TODAY - TICK), ["as_of"]),
        (
            ExplainFigure(
                None, EDGES[0], "x", ["a"] * 9 + [str(n) for n in range(51)],
                TODAY + 10 * TICK, -1,
            ),
            ["start_time", "currency", "reporting_categories", "as_of", "page_size"],
        ),
        (replace(QUESTION, end=EDGES[0]), ["end_time"]),
    ],
)  # fmt: skip
async def test_a_bad_question_names_all_that_is_wrong(
    stores: Stores, query: ExplainFigure, fields: list[str]
) -> None:
    asked = explaining(stores, "acct_1", TODAY + 9 * TICK)
    with pytest.raises(InvalidArgument) as refused:
        await asked.explain(CALLER, query)
    assert [violation.field for violation in refused.value.violations] == fields


async def test_only_a_figure_whose_rows_are_kept_has_a_past(stores: Stores) -> None:
    ledger = Ledger(stores.analytics, stores.changes)
    with pytest.raises(ValueError, match="gross_volume"):
        await ledger.figures(GROSS_VOLUME, "acct_1", EDGES, as_of=TODAY)
    with pytest.raises(ValueError, match="gross_volume"):
        await stores.analytics.figures(GROSS_VOLUME, "acct_1", EDGES, known_by=TODAY)
    by_status = replace(LEDGER, by=("status",))
    with pytest.raises(ValueError, match="ledger"):
        await ledger.figures(by_status, "acct_1", EDGES, as_of=TODAY)


async def test_what_is_pending_is_told_apart(stores: Stores) -> None:
    account = f"acct_{uuid4().hex}"
    await write(stores, account, Told("txn_1", 0), 1, None)
    told = Told("txn_2", 0, amount=20).snapshot(account, 2_000)
    assert told.object is not None
    pending = replace(told, object=replace(told.object, status="pending"))
    await MirrorWriter(stores.mirror).observe(BALANCE_TRANSACTIONS, [pending])
    ledger = Ledger(stores.analytics, stores.changes)
    (row,) = await ledger.pending(LEDGER, account, EDGES)
    assert (row.sums, row.count) == ((20, 3), 1)


async def test_an_index_covers_what_was_known(stores: Stores) -> None:
    await write(stores, "acct_1", Told("txn_1", 0), 1, None)

    async def read() -> None:
        await stores.analytics.figures(LEDGER, "acct_1", EDGES, "usd", known_by=TODAY)

    (plan,) = await stores.explain(read)
    assert plan.covered, plan.text
