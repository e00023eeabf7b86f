"""Net, refunds and disputes as they were known, and what was restated of them, on every store."""

import datetime as dt
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.analytics.asking import Asking
from application.analytics.base_totals import BaseTotals
from application.analytics.ledger import Ledger
from application.analytics.net import NetAnalytics, NetVolume
from application.analytics.questions import Question
from application.analytics.returns import Disputes, Refunds, ReturnAnalytics, TakenBack
from application.analytics.trust import BucketTrust, Standing
from domain.errors import InvalidArgument
from domain.periods import Granularity
from tests.contract.samples import NOON_MS
from tests.contract.test_ledger import (
    CALLER,
    EDGES,
    HOUR,
    MANY,
    TICK,
    TODAY,
    TOLD,
    Told,
    connected,
    write,
)
from tests.support.fakes.standings import some_trust
from tests.support.fakes.stores import FakeClock
from tests.support.servers.stores import Stores

QUESTION: Final = Question(EDGES[0], EDGES[-1], "Asia/Kathmandu", Granularity.HOUR, base_total=True)
CATEGORIES: Final = (
    "charge", "refund", "refund_failure", "dispute", "dispute_reversal", "payout", "fee",
)  # fmt: skip
HISTORY: Final = st.lists(
    st.builds(replace, TOLD, category=st.sampled_from(CATEGORIES)), min_size=1, max_size=10
)


def asking(
    stores: Stores, account: str, now: dt.datetime, closed: dt.datetime | None = None
) -> Asking:
    """Questions at an instant, to an account whose history has been known since TODAY."""
    clock = FakeClock(now)
    standing = Standing(importing=False, imported_at=TODAY, closed_through=closed)
    return Asking(
        stores.analytics,
        connected(account, clock),
        clock,
        BaseTotals(stores.rates, "usd"),
        some_trust(standing),
        Ledger(stores.analytics, stores.changes),
    )


async def answers(
    stores: Stores, asks: Asking, question: Question
) -> tuple[NetVolume, Refunds, Disputes]:
    returns, plain = ReturnAnalytics(asks, stores.fact_figures), replace(question, base_total=False)
    return (
        await NetAnalytics(asks).net_volume(CALLER, question),
        await returns.refunds(CALLER, plain),
        await returns.disputes(CALLER, plain),
    )


def figures(told: tuple[NetVolume, Refunds, Disputes]) -> Any:
    """The figures of answers, without what they say of trust, and what the past does not tell."""
    net, refunds, disputes = told

    def bare(part: TakenBack) -> TakenBack:
        return replace(part, count=None, provisional=None, stands=())

    parts = [replace(part, provisional=None, stands=()) for part in net.currencies]
    backs = [[bare(part) for part in each.currencies] for each in (refunds, disputes)]
    time = net.time
    return parts, net.base, backs, (time.period, time.previous, time.so_far, time.buckets)


@MANY
@given(HISTORY, st.integers(0, 4))
async def test_a_question_of_the_past_is_answered_as_it_was(
    stores: Stores, history: list[Told], shift: int
) -> None:
    """Also of a period that was running then."""
    account = f"acct_{uuid4().hex}"
    start = TODAY - shift * HOUR
    question = replace(QUESTION, start=start, end=start + 5 * HOUR)
    told_of = {}
    for minute, told in enumerate(history, 1):
        hour = 72 + (told.hour or 0) - shift
        moved = replace(told, hour=None if told.hour is None else hour)
        await write(stores, account, moved, minute, NOON_MS + 72 * 3_600_000)
        now = TODAY + minute * TICK
        told_of[now] = await answers(stores, asking(stores, account, now), question)
    later = asking(stores, account, TODAY + 30 * HOUR)
    for now, then in told_of.items():
        again = await answers(stores, later, replace(question, as_of=now))
        assert figures(again) == figures(then)
        assert all(part.provisional is None for part in again[0].currencies)
        assert again[0].time.trust.as_of == now
        for taken in again[1:]:
            assert all(part.count is part.provisional is None for part in taken.currencies)
        assert (again[2].count, again[2].count_rate, again[2].statuses) == (None, None, {})


async def test_what_was_restated_stands_in_its_bucket(stores: Stores) -> None:
    account, closed = f"acct_{uuid4().hex}", NOON_MS + 2 * 3_600_000
    await write(stores, account, Told("txn_1", 0, amount=500), 1, None)
    await write(stores, account, Told("txn_2", 1, amount=-100, fee=0, category="refund"), 2, None)
    await write(stores, account, Told("txn_3", 2, amount=50), 3, closed)
    await write(stores, account, Told("txn_1", 0, amount=500, fee=13), 4, closed)
    await write(stores, account, Told("txn_2", 1, amount=-40, fee=0, category="refund"), 5, closed)
    await write(stores, account, Told("txn_2", 1, amount=-40, fee=0, category="dispute"), 6, closed)
    asks = asking(stores, account, TODAY + 9 * TICK, EDGES[2])
    by_hour = replace(QUESTION, time_zone="UTC", currency="usd")
    net, refunds, disputes = await answers(stores, asks, by_hour)
    (usd,) = net.currencies
    assert usd.stands == [
        BucketTrust(True, -10, 1), BucketTrust(True, 60, 2), BucketTrust(False), BucketTrust(False),
    ]  # fmt: skip
    (of_net,) = net.trusts
    assert (of_net.figure, of_net.provisional, of_net.restated) == (487 - 40 + 47, 0, 50)
    (refund,), (dispute,) = refunds.currencies, disputes.currencies
    assert refund.stands[1] == BucketTrust(True, -100, 2)
    assert dispute.stands[1] == BucketTrust(True, 40, 1)
    assert [each.restated for each in (*refunds.trusts, *disputes.trusts)] == [-100, 40]
    then, _, _ = await answers(stores, asks, replace(by_hour, as_of=TODAY + 4 * TICK))
    assert [each.restated for each in then.currencies[0].stands] == [-10, None, None, None]


@pytest.mark.parametrize(
    ("minutes", "rule"), [(-1, "imported"), (9.5, "a minute old"), (20, "the future")]
)
async def test_an_instant_that_nobody_can_answer_for(
    stores: Stores, minutes: float, rule: str
) -> None:
    asks = asking(stores, "acct_1", TODAY + 10 * TICK)
    question = replace(QUESTION, as_of=TODAY + minutes * TICK, base_total=False)
    returns = ReturnAnalytics(asks, stores.fact_figures)
    for ask in (NetAnalytics(asks).net_volume, returns.refunds, returns.disputes):
        with pytest.raises(InvalidArgument, match=rule) as refused:
            await ask(CALLER, question)
        assert [violation.field for violation in refused.value.violations] == ["as_of"]
