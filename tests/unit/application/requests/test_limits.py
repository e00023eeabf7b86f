"""Limits: how often a caller calls, how many of its calls run, and how many streams it holds."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.requests.allowances import Allowance
from application.requests.limits import (
    BURST_SECONDS,
    HEAVIEST,
    FairShare,
    OpenStreams,
    TokenBuckets,
)
from domain.errors import RateLimited, Reason

ACME = ("crm", "acme")


def refused(reason: Reason, act: object) -> RateLimited:
    with pytest.raises(RateLimited) as raised:
        act()  # type: ignore[operator]
    assert raised.value.reason is reason
    return raised.value


def test_a_bucket_gives_a_burst_and_then_what_flows_in() -> None:
    buckets = TokenBuckets()
    for _ in range(10 * BURST_SECONDS):
        buckets.take(ACME, 10, 1, 0.0)
    limited = refused(Reason.CALLER_LIMITED, lambda: buckets.take(ACME, 10, 1, 0.0))
    assert limited.retry_after_seconds == 1
    buckets.take(ACME, 10, 1, 0.1)
    refused(Reason.CALLER_LIMITED, lambda: buckets.take(ACME, 10, 1, 0.1))


def test_what_is_heavy_waits_longer_and_is_never_refused_for_good() -> None:
    buckets = TokenBuckets()
    buckets.take(ACME, 1, HEAVIEST, 0.0)
    limited = refused(Reason.CALLER_LIMITED, lambda: buckets.take(ACME, 1, HEAVIEST, 0.0))
    assert limited.retry_after_seconds == HEAVIEST
    buckets.take(ACME, 1, HEAVIEST, float(HEAVIEST))


def test_each_caller_and_account_has_a_bucket_of_its_own() -> None:
    buckets = TokenBuckets()
    for key in (ACME, ("crm", "rival"), ("shop", "acme")):
        for _ in range(BURST_SECONDS):
            buckets.take(key, 1, 1, 0.0)
        refused(Reason.CALLER_LIMITED, lambda key=key: buckets.take(key, 1, 1, 0.0))


def test_buckets_are_bounded() -> None:
    buckets = TokenBuckets(3)
    for number in range(10):
        buckets.take(("crm", str(number)), 10, 1, 0.0)
    assert len(buckets) == 3


@settings(deadline=None, database=None)
@given(
    st.integers(1, 50),
    st.lists(st.tuples(st.sampled_from((1, 2, HEAVIEST)), st.floats(0, 3)), max_size=80),
)
def test_nobody_gets_more_than_the_burst_and_what_flowed_in(
    per_second: int, calls: list[tuple[int, float]]
) -> None:
    buckets, now, taken = TokenBuckets(), 0.0, 0
    for weight, pause in calls:
        now += pause
        try:
            buckets.take(ACME, per_second, weight, now)
        except RateLimited as error:
            later = now + error.retry_after_seconds
            other = TokenBuckets()
            other._buckets.update(buckets._buckets)
            other.take(ACME, per_second, weight, later)  # what it was told is true
        else:
            taken += weight
    assert taken <= max(per_second * BURST_SECONDS, HEAVIEST) + now * per_second + 1e-6


async def test_a_caller_alone_may_take_all_of_it() -> None:
    share = FairShare(4)
    for _ in range(4):
        assert share.enter("crm") is None
    refused(Reason.OVERLOADED, lambda: share.enter("crm"))


async def test_what_becomes_free_goes_to_who_waits() -> None:
    share = FairShare(4)
    for _ in range(4):
        share.enter("crm")
    place = share.enter("shop")
    assert place is not None
    refused(Reason.CALLER_LIMITED, lambda: share.enter("crm"))
    share.leave("crm")
    await share.wait("shop", place)
    refused(Reason.CALLER_LIMITED, lambda: share.enter("crm"))
    share.leave("shop")
    assert share.enter("crm") is None


async def test_who_waits_in_vain_is_told_so_and_leaves_nothing() -> None:
    share = FairShare(2, patience_seconds=0.01)
    share.enter("crm"), share.enter("crm")
    place = share.enter("shop")
    assert place is not None
    with pytest.raises(RateLimited) as raised:
        await share.wait("shop", place)
    assert raised.value.reason is Reason.OVERLOADED
    share.leave("crm")
    assert share.enter("crm") is None
    assert share._running == {"crm": 2}
    assert not share._waiting


async def test_who_gives_up_while_it_waits_leaves_nothing() -> None:
    share = FairShare(1)
    share.enter("crm")
    place = share.enter("shop")
    assert place is not None
    waiting = asyncio.create_task(share.wait("shop", place))
    await asyncio.sleep(0)
    share.leave("crm")  # the place is given, and its heir gives up in the same moment
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (share._total, share._running) == (0, {})


async def test_those_who_wait_are_bounded() -> None:
    share = FairShare(10)
    for _ in range(10):
        share.enter("crm")
    assert share.enter("shop") is not None
    refused(Reason.OVERLOADED, lambda: share.enter("ledger"))


@pytest.mark.parametrize("seed", range(20))
async def test_places_are_never_lost_and_nobody_takes_over_half_beside_one_who_waits(
    seed: int,
) -> None:
    chance = random.Random(seed)  # noqa: S311 - to be repeated, no secret
    share, most = FairShare(8), 8
    held: list[str] = []

    for _ in range(400):
        if held and chance.random() < 0.5:
            caller = held.pop(chance.randrange(len(held)))
            given = [name for name, place in share._waiting if not place.done()]
            before = dict(share._running)
            share.leave(caller)
            for name in {"a", "b", "c"} - {caller}:
                if share._running.get(name, 0) > max(before.get(name, 0), most // 2):
                    assert set(given) == {name}
            held += _gained(before, share._running, caller)
        else:
            caller = chance.choice("aab")
            try:
                if share.enter(caller) is None:
                    held.append(caller)
            except RateLimited:
                pass
        assert share._total == sum(share._running.values()) == len(held) <= most


def _gained(before: dict[str, int], after: dict[str, int], left: str) -> list[str]:
    """Who was given a place as one was left."""
    gained = []
    for name in {*before, *after}:
        change = after.get(name, 0) - before.get(name, 0) + (name == left)
        gained += [name] * change
    return gained


def test_streams_are_counted_a_caller() -> None:
    streams, two = OpenStreams(), Allowance(streams=2)
    streams.open("crm", two), streams.open("crm", two)
    refused(Reason.CALLER_LIMITED, lambda: streams.open("crm", two))
    streams.open("shop", two)
    streams.close("crm")
    streams.open("crm", two)
    for caller in ("crm", "crm", "shop"):
        streams.close(caller)
    assert streams._open == {}


@pytest.mark.parametrize("bounds", [(0, 1), (1, 0), (100_001, 1), (1, 10_001)])
def test_an_allowance_is_bounded(bounds: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="from 1 to"):
        Allowance(*bounds)
