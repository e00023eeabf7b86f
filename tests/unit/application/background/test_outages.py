"""Outages: a line a change, however often something fails."""

import logging
from collections.abc import AsyncIterator

import pytest

from application.background.outages import MAX_CAUSES, AccountOutages, Outage
from application.connections.sources import for_each
from domain.errors import BillingError, Conflict, RateLimited, Reason, Unavailable
from tests.support.fakes.stores import store_down

LOG = logging.getLogger("outages")


class Watch:
    """Seconds that stand still until they are moved."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def outage(watch: Watch, caplog: pytest.LogCaptureFixture) -> Outage:
    caplog.set_level(logging.INFO)
    return Outage(LOG, "it fails", "it answers again", quiet_seconds=5, monotonic=watch)


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    """Level, words and cause of each line."""
    return [
        (record.levelname, record.getMessage(), str(record.__dict__.get("error", "")))
        for record in caplog.records
    ]


def test_the_first_failure_each_new_cause_and_the_end_are_a_line(
    outage: Outage, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    outage.answered()
    for cause in ("full", "full", "locked", "full", "locked"):
        outage.failed(cause)
    watch.seconds += 5
    for _ in range(3):
        outage.answered()
    outage.failed("full")
    assert said(caplog) == [
        ("WARNING", "it fails", "full"),
        ("WARNING", "it fails", "locked"),
        ("INFO", "it answers again", ""),
        ("WARNING", "it fails", "full"),
    ]


def test_what_fails_every_other_time_is_one_outage(
    outage: Outage, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(50):
        outage.failed("full")
        watch.seconds += 4
        outage.answered()
    assert said(caplog) == [("WARNING", "it fails", "full")]


def test_causes_without_end_do_not_fill_the_log(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1_000):
        outage.failed(f"cause {number}")
    assert len(caplog.records) == MAX_CAUSES


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (store_down(), "INFO"),
        (Unavailable(Reason.STRIPE_UNAVAILABLE, "Stripe does not answer"), "INFO"),
        (RateLimited(Reason.OVERLOADED, "too much", retry_after_seconds=1), "WARNING"),
        (Conflict(Reason.REQUEST_IN_FLIGHT, "somebody else"), "WARNING"),
    ],
)
def test_work_that_waits_says_why_and_warns_of_what_nobody_else_tells(
    outage: Outage, caplog: pytest.LogCaptureFixture, error: BillingError, level: str
) -> None:
    outage.waits(error)
    outage.waits(error)
    assert said(caplog) == [(level, "it fails", error.message)]
    assert caplog.records[0].__dict__["reason"] == error.reason


def test_accounts_are_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outages = AccountOutages(LOG, "no list", "a list again")
    for account in ("acct_1", "acct_2", "acct_1"):
        outages.waits(account, store_down())
    assert outages.cause("acct_1") == store_down().message
    outages.answered("acct_1")
    assert outages.cause("acct_1") == ""
    outages.answered("acct_3")
    lines = [(record.getMessage(), record.__dict__["stripe_account"]) for record in caplog.records]
    assert lines == [("no list", "acct_1"), ("no list", "acct_2"), ("a list again", "acct_1")]


async def test_a_round_ends_with_the_error_itself_and_not_with_a_group() -> None:
    async def items() -> AsyncIterator[int]:
        yield 1
        raise store_down()

    async def work(_: int) -> None:
        """Nothing to do."""

    async def fail(_: int) -> None:
        raise LookupError

    with pytest.raises(Unavailable):
        await for_each(items(), work)
    with pytest.raises((LookupError, Unavailable)):
        await for_each(items(), fail)
