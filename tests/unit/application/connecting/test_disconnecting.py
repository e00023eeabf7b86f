"""Disconnecting: marked, deauthorised at Stripe, revoked; refused while something is open."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import override

from application.connections.deauthorization import Deauthorizing
from application.connections.open_work import OpenItem, OpenWork
from application.mutations.stripe import Unanswered
from domain.connections import Connection, ConnectionKind, ConnectionState, Mode
from domain.errors import (
    AlreadyExists,
    BillingError,
    FailedPrecondition,
    OutcomeUnknown,
    Reason,
    Unavailable,
)
from domain.periods import to_milliseconds
from tests.support.fakes.stores import NOON, Failing, FakeStripeAccounts
from tests.support.rooms.connecting import ACME, GLOBEX, ConnectingPlatform, FakeOpenWork

LINK = Connection("acme", "acct_1", Mode.TEST, ConnectionKind.OAUTH, NOON)
ENDED = replace(LINK, state=ConnectionState.REVOKED)
RELOAD = OpenItem("reload", "reload_1", "charging")


def connected() -> ConnectingPlatform:
    platform = ConnectingPlatform(LINK)
    platform.oauth.access.add("acct_1")
    platform.clock.advance(seconds=5)
    return platform


async def refusal(work: Any) -> BillingError:
    with pytest.raises(BillingError) as caught:
        await work
    return caught.value


async def state_of(platform: ConnectingPlatform) -> tuple[ConnectionState, bool]:
    connection = await platform.connection()
    assert connection is not None
    return connection.state, connection.ending_since is not None


async def test_it_is_marked_then_deauthorised_then_revoked() -> None:
    platform, seen = connected(), []

    async def look(where: str) -> None:
        if where in ("connections.mark", "oauth.deauthorize", "connections.revoke"):
            kept = platform.repository.kept["acme", Mode.TEST]
            seen.append((where, kept.ending_since is not None, bool(platform.oauth.access)))

    platform.pause(look)
    process = platform.process()
    assert await process.disconnect() == ENDED
    assert seen[::2] == [  # before each; the others are after it
        ("connections.mark", False, True),
        ("oauth.deauthorize", True, True),
        ("connections.revoke", True, False),
    ]
    assert await process.disconnect() == ENDED
    assert platform.oauth.deauthorized == ["acct_1"]
    error = await refusal(process.connections.of(ACME))
    assert error.reason is Reason.STRIPE_CONNECTION_REVOKED


async def test_access_that_is_gone_already_is_success() -> None:
    platform = connected()
    platform.oauth.access.clear()
    assert await platform.process().disconnect() == ENDED
    again = await platform.process().disconnect(request_id="another")
    assert again.state is ConnectionState.REVOKED
    assert platform.oauth.deauthorized == ["acct_1"]


async def test_without_a_connection_there_is_nothing_to_end() -> None:
    error = await refusal(connected().process().disconnect(GLOBEX))
    assert error.reason is Reason.STRIPE_NOT_CONNECTED


async def test_what_is_open_is_listed_and_nothing_done_unless_forced() -> None:
    platform = connected()
    platform.open_work.items["acct_1"] = [RELOAD] * 30
    process = platform.process()
    error = await refusal(process.disconnect())
    assert isinstance(error, FailedPrecondition)
    assert (error.reason, error.metadata["count"]) == (Reason.PROCESSES_OPEN, "20")
    assert "reload reload_1 (charging)" in error.metadata["open"]
    assert await platform.connection() == LINK
    assert platform.oauth.deauthorized == []
    assert await process.connections.of(ACME) == LINK
    assert await process.disconnect(request_id="forced", force=True) == ENDED


async def test_what_begins_until_it_is_marked_is_found_too() -> None:
    class Late(FakeOpenWork):
        @override
        async def needing(self, connection: Connection, *, limit: int) -> list[OpenItem]:
            kept = platform.repository.kept["acme", Mode.TEST]
            return [RELOAD] if kept.ending_since is not None else []

    platform = connected()
    platform.open_work = Late()
    for _ in range(2):
        error = await refusal(platform.process().disconnect())
        assert error.reason is Reason.PROCESSES_OPEN
    assert await platform.connection() == LINK
    assert platform.oauth.deauthorized == []


async def test_every_capability_is_asked_and_one_that_fails_ends_nothing() -> None:
    class Broken(OpenWork):
        @override
        async def needing(self, connection: Connection, *, limit: int) -> Sequence[OpenItem]:
            raise Unavailable(Reason.STORE_UNAVAILABLE, "down")

    platform = connected()
    platform.open_work = Broken()  # type: ignore[assignment]  # in its place
    assert isinstance(await refusal(platform.process().disconnect()), Unavailable)
    assert await platform.connection() == LINK


async def test_a_lost_answer_is_settled_later() -> None:
    platform = connected()
    platform.oauth.failures.append(Unanswered("lost"))
    assert isinstance(await refusal(platform.process().disconnect()), OutcomeUnknown)
    assert await state_of(platform) == (ConnectionState.ACTIVE, True)
    await platform.recovered()
    assert await platform.connection() == replace(ENDED, ending_since=platform_mark(platform))
    assert (await platform.process().disconnect()).state is ConnectionState.REVOKED


def platform_mark(platform: ConnectingPlatform) -> Any:
    return platform.repository.kept["acme", Mode.TEST].ending_since


async def test_a_refusal_by_stripe_takes_the_mark_away() -> None:
    platform = connected()
    refused = FailedPrecondition(Reason.STRIPE_REFUSED, "no", subject="stripe")
    platform.oauth.failures.append(refused)
    for _ in range(2):
        error = await refusal(platform.process().disconnect())
        assert error.reason is Reason.STRIPE_REFUSED
    assert await platform.connection() == LINK
    assert (await platform.process().disconnect(request_id="two")).state is ConnectionState.REVOKED


async def test_two_calls_do_not_end_it_both() -> None:
    platform = connected()
    platform.oauth.failures.append(Unanswered("lost"))
    await refusal(platform.process().disconnect())
    error = await refusal(platform.process().disconnect(request_id="two"))
    assert isinstance(error, AlreadyExists)
    await platform.recovered()
    assert platform.oauth.deauthorized == ["acct_1", "acct_1"]  # under one key


async def test_until_stripe_has_answered_the_stripe_account_is_nobody_elses() -> None:
    """Else a repeated deauthorisation would cut the link of whoever has it by then."""
    platform = connected()
    platform.oauth.failures.append(Unanswered("lost"))
    await refusal(platform.process().disconnect())
    revoked = FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "gone", subject="connection")
    process = platform.process()
    deauthorizing = Deauthorizing(
        platform.repository, FakeStripeAccounts(revoked), process.connections, Mode.TEST
    )
    told = await deauthorizing.handle("acct_1", to_milliseconds(platform.clock.now()))
    assert told.startswith("kept the connection")
    state, code = await process.begin(GLOBEX), platform.oauth.consent("acct_1")
    taken = await refusal(process.complete(state, code, GLOBEX))
    assert taken.reason is Reason.STRIPE_ACCOUNT_TAKEN
    process = await platform.recovered()
    state, code = await process.begin(GLOBEX), platform.oauth.consent("acct_1")
    await process.complete(state, code, GLOBEX, request_id="anew")
    await platform.recovered()
    assert platform.oauth.access == {"acct_1"}


async def test_a_late_repeat_never_ends_a_newer_link() -> None:
    platform = connected()
    await platform.process().disconnect()
    process = platform.process()
    platform.clock.advance(seconds=5)
    state, code = await process.begin(), platform.oauth.consent("acct_1")
    newer = await process.complete(state, code)
    assert await platform.process().disconnect() == ENDED
    assert await platform.connection() == newer
    assert platform.oauth.access == {"acct_1"}


async def test_wherever_the_store_fails_it_is_connected_or_ended_and_nothing_between() -> None:
    calls = 0
    while True:
        platform = connected()
        platform.pause(Failing({calls: Unavailable(Reason.STORE_UNAVAILABLE, "down")}))
        first = await asyncio.gather(platform.process().disconnect(), return_exceptions=True)
        platform.pause(Failing())
        if not isinstance(first[0], BaseException):
            break
        await platform.recovered()
        state, marked = await state_of(platform)
        if state is ConnectionState.ACTIVE:
            assert not marked
            assert platform.oauth.access == {"acct_1"}
        else:
            assert platform.oauth.access == set()
        assert (await platform.process().disconnect()).state is ConnectionState.REVOKED
        assert platform.oauth.access == set()
        calls += 1
    assert calls > 8


@pytest.mark.parametrize("state", [*ConnectionState])
async def test_verifying_revokes_a_link_without_access(state: ConnectionState) -> None:
    platform = ConnectingPlatform(replace(LINK, state=state))
    process = platform.process()
    status = await process.connections.verify(ACME)
    assert status.connection == replace(LINK, state=state)
    assert (status.stripe is not None) is (state is ConnectionState.ACTIVE)
    revoked = FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "gone", subject="connection")
    process.connections._stripe = FakeStripeAccounts(revoked)
    status = await process.connections.verify(ACME)
    assert (status.connection, status.stripe) == (ENDED, None)
    assert await platform.connection() == ENDED


async def test_verifying_leaves_what_is_being_disconnected_and_says_where_stripe_is_silent() -> (
    None
):
    marked = replace(LINK, ending_since=NOON)
    platform = ConnectingPlatform(marked)
    process = platform.process()
    revoked = FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "gone", subject="connection")
    process.connections._stripe = FakeStripeAccounts(revoked)
    assert (await process.connections.verify(ACME)).connection == marked
    silent = Unavailable(Reason.STRIPE_UNAVAILABLE, "silent")
    process.connections._stripe = FakeStripeAccounts(silent)
    with pytest.raises(Unavailable):
        await process.connections.verify(ACME)
    assert (await process.connections.verify(GLOBEX)).connection is None
