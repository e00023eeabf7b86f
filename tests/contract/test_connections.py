"""The promises of `application.connections.ports`."""

import asyncio
import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from domain.connections import Connection, ConnectionKind, ConnectionState, Mode
from domain.errors import AlreadyExists, Reason
from tests.contract.samples import NOON, OURS, THEIRS
from tests.support.servers.stores import Opener, Stores

LINK = Connection(
    "acme",
    OURS,
    Mode.TEST,
    ConnectionKind.OAUTH,
    NOON + dt.timedelta(milliseconds=5),
    scope="read_only",
)


async def test_a_connection_is_kept_as_it_is(stores: Stores) -> None:
    assert await stores.connections.get("acme", Mode.TEST) is None
    assert await stores.connections.find_by_stripe_account(OURS, Mode.TEST) is None
    await stores.connections.put(LINK)
    assert await stores.connections.get("acme", Mode.TEST) == LINK
    assert await stores.connections.find_by_stripe_account(OURS, Mode.TEST) == LINK


async def test_modes_are_apart(stores: Stores) -> None:
    live = replace(LINK, mode=Mode.LIVE, account="other")
    await stores.connections.put(LINK)
    await stores.connections.put(live)
    assert await stores.connections.get("acme", Mode.LIVE) is None
    assert await stores.connections.find_by_stripe_account(OURS, Mode.LIVE) == live
    assert await stores.connections.find_by_stripe_account(OURS, Mode.TEST) == LINK


async def test_a_put_replaces_the_accounts_earlier_connection(stores: Stores) -> None:
    await stores.connections.put(LINK)
    moved = replace(LINK, stripe_account=THEIRS, kind=ConnectionKind.MANUAL)
    await stores.connections.put(moved)
    await stores.connections.put(moved)
    assert await stores.connections.get("acme", Mode.TEST) == moved
    assert await stores.connections.find_by_stripe_account(OURS, Mode.TEST) is None
    assert await stores.connections.find_by_stripe_account(THEIRS, Mode.TEST) == moved


async def test_a_revoked_connection_is_the_accounts_still_but_holds_nothing(
    stores: Stores,
) -> None:
    revoked = replace(LINK, state=ConnectionState.REVOKED)
    await stores.connections.put(LINK)
    await stores.connections.put(revoked)
    assert await stores.connections.get("acme", Mode.TEST) == revoked
    assert await stores.connections.find_by_stripe_account(OURS, Mode.TEST) is None
    taken = replace(LINK, account="other")
    await stores.connections.put(taken)
    assert await stores.connections.find_by_stripe_account(OURS, Mode.TEST) == taken
    # Many may have been connected to it once.
    await stores.connections.put(replace(revoked, account="third"))
    assert await stores.connections.get("acme", Mode.TEST) == revoked


async def test_an_active_stripe_account_is_refused_to_another(stores: Stores) -> None:
    await stores.connections.put(LINK)
    earlier = replace(LINK, account="other", stripe_account=THEIRS)
    await stores.connections.put(earlier)
    with pytest.raises(AlreadyExists) as refused:
        await stores.connections.put(replace(LINK, account="other"))
    assert refused.value.reason is Reason.STRIPE_ACCOUNT_TAKEN
    assert await stores.connections.get("other", Mode.TEST) == earlier
    assert await stores.connections.find_by_stripe_account(OURS, Mode.TEST) == LINK


async def test_a_revoked_connection_is_not_revived_over_another(stores: Stores) -> None:
    await stores.connections.put(replace(LINK, state=ConnectionState.REVOKED))
    await stores.connections.put(replace(LINK, account="other"))
    with pytest.raises(AlreadyExists):
        await stores.connections.put(LINK)
    assert await stores.connections.get("acme", Mode.TEST) == replace(
        LINK, state=ConnectionState.REVOKED
    )


async def test_of_many_accounts_at_once_one_gets_the_stripe_account(stores: Stores) -> None:
    links = [replace(LINK, account=f"account-{number}") for number in range(30)]
    answers = await asyncio.gather(
        *(stores.connections.put(link) for link in links), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, AlreadyExists)]
    assert len(refused) == 29
    assert {error.reason for error in refused} == {Reason.STRIPE_ACCOUNT_TAKEN}
    winner = links[answers.index(None)]
    assert await stores.connections.find_by_stripe_account(OURS, Mode.TEST) == winner
    kept = [await stores.connections.get(link.account, Mode.TEST) for link in links]
    assert [link for link in kept if link is not None] == [winner]


async def test_a_refused_put_fails_alone_among_its_neighbours(stores: Stores) -> None:
    await stores.connections.put(LINK)
    others = [
        replace(LINK, account=f"account-{number}", stripe_account=f"acct_{number}")
        for number in range(20)
    ]
    answers = await asyncio.gather(
        *(stores.connections.put(link) for link in others[:10]),
        stores.connections.put(replace(LINK, account="thief")),
        *(stores.connections.put(link) for link in others[10:]),
        return_exceptions=True,
    )
    assert [answer is None for answer in answers] == [True] * 10 + [False] + [True] * 10
    kept = [await stores.connections.get(link.account, Mode.TEST) for link in others]
    assert kept == others


async def test_the_very_link_is_marked_and_holds_its_stripe_account(stores: Stores) -> None:
    await stores.connections.put(LINK)
    assert await stores.connections.mark(LINK, ending_since=NOON)
    marked = replace(LINK, ending_since=NOON)
    assert await stores.connections.get("acme", Mode.TEST) == marked
    assert await stores.connections.find_by_stripe_account(OURS, Mode.TEST) == marked
    assert await stores.connections.list_active(Mode.TEST, after="", limit=9) == [marked]
    with pytest.raises(AlreadyExists):
        await stores.connections.put(replace(LINK, account="other"))
    later = NOON + dt.timedelta(milliseconds=1)
    assert await stores.connections.mark(LINK, ending_since=NOON)
    assert not await stores.connections.mark(LINK, ending_since=later)
    assert not await stores.connections.unmark(LINK, ending_since=later)
    assert await stores.connections.get("acme", Mode.TEST) == marked
    assert await stores.connections.unmark(marked, ending_since=NOON)
    assert not await stores.connections.unmark(marked, ending_since=NOON)
    assert await stores.connections.get("acme", Mode.TEST) == LINK
    assert await stores.connections.mark(LINK, ending_since=NOON)
    assert await stores.connections.revoke(LINK)
    ended = replace(marked, state=ConnectionState.REVOKED)
    assert await stores.connections.get("acme", Mode.TEST) == ended
    assert not await stores.connections.unmark(LINK, ending_since=NOON)
    anew = replace(LINK, connected_at=NOON + dt.timedelta(seconds=9))
    await stores.connections.put(anew)
    assert not await stores.connections.mark(LINK, ending_since=NOON)
    assert await stores.connections.get("acme", Mode.TEST) == anew


async def test_the_very_link_is_revoked_once_and_nothing_else_of_it_changes(
    stores: Stores,
) -> None:
    await stores.connections.put(LINK)
    other = replace(LINK, account="other", stripe_account=THEIRS)
    await stores.connections.put(other)
    assert await stores.connections.revoke(LINK)
    revoked = replace(LINK, state=ConnectionState.REVOKED)
    assert await stores.connections.get("acme", Mode.TEST) == revoked
    assert await stores.connections.find_by_stripe_account(OURS, Mode.TEST) is None
    assert await stores.connections.get("other", Mode.TEST) == other
    assert not await stores.connections.revoke(LINK)
    await stores.connections.put(LINK)
    assert await stores.connections.find_by_stripe_account(OURS, Mode.TEST) == LINK


@pytest.mark.parametrize(
    "change",
    [
        {"account": "other"},
        {"stripe_account": THEIRS},
        {"mode": Mode.LIVE},
        {"connected_at": LINK.connected_at + dt.timedelta(milliseconds=1)},
        {"connected_at": LINK.connected_at.replace(microsecond=0)},
    ],
    ids=lambda change: "-".join(change),
)
async def test_another_link_than_the_one_that_was_read_is_not_revoked(
    stores: Stores, change: dict[str, Any]
) -> None:
    await stores.connections.put(LINK)
    assert not await stores.connections.revoke(replace(LINK, **change))
    assert await stores.connections.get("acme", Mode.TEST) == LINK


async def test_a_link_that_grew_meanwhile_keeps_what_it_has(stores: Stores) -> None:
    await stores.connections.put(LINK)
    wider = replace(LINK, scope="read_write")
    await stores.connections.put(wider)
    assert await stores.connections.revoke(LINK)
    assert await stores.connections.get("acme", Mode.TEST) == replace(
        wider, state=ConnectionState.REVOKED
    )


async def test_of_a_reconnection_and_a_revocation_at_once_the_newer_link_stands(
    stores: Stores,
) -> None:
    for turn in range(20):
        link = replace(LINK, connected_at=NOON + dt.timedelta(seconds=turn))
        newer = replace(link, connected_at=link.connected_at + dt.timedelta(milliseconds=1))
        await stores.connections.put(link)
        pair = [stores.connections.revoke(link), stores.connections.put(newer)]
        await asyncio.gather(*(pair if turn % 2 else reversed(pair)))
        assert await stores.connections.get("acme", Mode.TEST) == newer


async def test_of_many_revocations_at_once_one_is_told_to_have_done_it(stores: Stores) -> None:
    await stores.connections.put(LINK)
    done = await asyncio.gather(*(stores.connections.revoke(LINK) for _ in range(10)))
    assert sorted(done) == [False] * 9 + [True]


async def test_connections_survive_reopening(opener: Opener) -> None:
    async with opener() as first:
        await first.connections.put(LINK)
    async with opener() as second:
        assert await second.connections.get("acme", Mode.TEST) == LINK
        with pytest.raises(AlreadyExists):
            await second.connections.put(replace(LINK, account="other"))


async def test_active_ones_are_listed_by_stripe_account(stores: Stores) -> None:
    links = [
        replace(LINK, account=f"account-{number}", stripe_account=f"acct_{9 - number}")
        for number in range(5)
    ]
    for link in links:
        await stores.connections.put(link)
    await stores.connections.put(replace(links[1], state=ConnectionState.REVOKED))
    await stores.connections.put(replace(LINK, account="live", mode=Mode.LIVE))
    active = [links[4], links[3], links[2], links[0]]
    listed = await stores.connections.list_active(Mode.TEST, after="", limit=10)
    assert listed == active
    first = await stores.connections.list_active(Mode.TEST, after="", limit=3)
    rest = await stores.connections.list_active(Mode.TEST, after=first[-1].stripe_account, limit=3)
    assert [*first, *rest] == active
    plans = await stores.explain(
        lambda: stores.connections.list_active(Mode.TEST, after="acct_1", limit=3)
    )
    assert plans
    assert not any(plan.scans or plan.sorts for plan in plans), plans
