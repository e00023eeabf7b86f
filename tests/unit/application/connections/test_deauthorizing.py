"""When a deauthorisation at Stripe ends a connection, and when it must not."""

import datetime as dt
from dataclasses import replace

import pytest

from application.connections.deauthorization import CLOCKS_DIFFER, Deauthorizing
from application.connections.use_cases import Connections
from application.requests.callers import Caller
from domain.connections import Connection, ConnectionKind, ConnectionState, Mode
from domain.errors import (
    BillingError,
    Conflict,
    FailedPrecondition,
    NotUnderstood,
    RateLimited,
    Reason,
    Unavailable,
)
from domain.periods import to_milliseconds
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeMirror,
    FakeStripeAccounts,
)

LINK = Connection("acme", "acct_1", Mode.TEST, ConnectionKind.OAUTH, NOON)
REVOKED = FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "no access")
CALLER = Caller("service", "acme", frozenset())
DAY = dt.timedelta(days=1)


class DeauthorizingOnFakes:
    """The use case and what it works with."""

    def __init__(self, *kept: Connection, says: Exception | None = REVOKED) -> None:
        self.repository = FakeConnections(*kept)
        self.stripe = FakeStripeAccounts(says)
        clock = FakeClock()
        self.connections = Connections(self.repository, self.stripe, FakeMirror(), clock, Mode.TEST)
        self.deauthorizing = Deauthorizing(
            self.repository, self.stripe, self.connections, Mode.TEST
        )

    async def handle(self, at: dt.datetime = NOON + DAY) -> str:
        return await self.deauthorizing.handle("acct_1", to_milliseconds(at))

    def state(self, account: str = "acme", mode: Mode = Mode.TEST) -> ConnectionState:
        return self.repository.kept[account, mode].state


async def test_a_connection_that_stripe_refuses_is_revoked() -> None:
    desk = DeauthorizingOnFakes(LINK)
    assert await desk.handle() == "revoked the connection"
    assert desk.repository.kept["acme", Mode.TEST] == replace(LINK, state=ConnectionState.REVOKED)
    assert desk.stripe.asked == ["acct_1"]


async def test_twice_is_as_once() -> None:
    desk = DeauthorizingOnFakes(LINK)
    await desk.handle()
    assert await desk.handle() == "no active connection to revoke"
    assert desk.stripe.asked == ["acct_1"]


async def test_other_accounts_and_the_other_mode_keep_theirs() -> None:
    other = replace(LINK, account="other", stripe_account="acct_2")
    live = replace(LINK, account="live", mode=Mode.LIVE)
    desk = DeauthorizingOnFakes(LINK, other, live)
    await desk.handle()
    assert desk.state("other") is ConnectionState.ACTIVE
    assert desk.state("live", Mode.LIVE) is ConnectionState.ACTIVE


@pytest.mark.parametrize(
    ("early", "cuts"),
    [
        (CLOCKS_DIFFER + dt.timedelta(milliseconds=1), False),
        (30 * DAY, False),
        (CLOCKS_DIFFER, True),
        (dt.timedelta(0), True),
    ],
)
async def test_a_late_one_never_cuts_a_newer_link(early: dt.timedelta, cuts: bool) -> None:
    desk = DeauthorizingOnFakes(LINK)
    decision = await desk.handle(NOON - early)
    assert desk.state() is (ConnectionState.REVOKED if cuts else ConnectionState.ACTIVE)
    if not cuts:
        assert decision == "kept the connection: it was made after that"
        assert desk.stripe.asked == [], "the event alone says it"


async def test_a_link_that_stripe_still_honours_is_kept() -> None:
    desk = DeauthorizingOnFakes(LINK, says=None)
    assert await desk.handle() == "kept the connection: Stripe gives access still, or again"
    assert desk.state() is ConnectionState.ACTIVE


async def test_an_account_that_is_shown_oddly_is_shown_all_the_same() -> None:
    desk = DeauthorizingOnFakes(
        LINK, says=NotUnderstood("account", "acct_1", "created: is missing")
    )
    assert await desk.handle() == "kept the connection: Stripe gives access still, or again"
    assert desk.state() is ConnectionState.ACTIVE


@pytest.mark.parametrize(
    "error",
    [
        Unavailable(Reason.STRIPE_UNAVAILABLE, "down"),
        RateLimited(Reason.STRIPE_RATE_LIMITED, "slow", retry_after_seconds=1),
        FailedPrecondition(Reason.STRIPE_REFUSED, "something else"),
    ],
    ids=str,
)
async def test_without_stripes_word_nothing_is_revoked(error: BillingError) -> None:
    desk = DeauthorizingOnFakes(LINK, says=error)
    with pytest.raises(type(error)):
        await desk.handle()
    assert desk.state() is ConnectionState.ACTIVE


@pytest.mark.parametrize("stripe_account", ["acct_1", "acct_2"])
async def test_who_connects_anew_while_stripe_is_asked_keeps_the_new_link(
    stripe_account: str,
) -> None:
    desk = DeauthorizingOnFakes(LINK)
    anew = replace(LINK, stripe_account=stripe_account, connected_at=NOON + DAY)

    async def overtake(where: str) -> None:
        if where == "connections.revoke":
            desk.repository.kept["acme", Mode.TEST] = anew

    desk.repository.pause = overtake
    with pytest.raises(Conflict):  # the event comes again, and is then judged by the new link
        await desk.handle()
    assert desk.repository.kept["acme", Mode.TEST] == anew


async def test_a_revoked_connection_is_remembered_no_longer() -> None:
    desk = DeauthorizingOnFakes(LINK)
    assert await desk.connections.of(CALLER) == LINK
    await desk.handle()
    with pytest.raises(FailedPrecondition) as refused:
        await desk.connections.of(CALLER)
    assert refused.value.reason is Reason.STRIPE_CONNECTION_REVOKED


async def test_who_connects_again_is_connected() -> None:
    desk = DeauthorizingOnFakes(LINK)
    await desk.handle()
    await desk.repository.put(replace(LINK, connected_at=NOON + 2 * DAY))
    assert await desk.handle(NOON + DAY) == "kept the connection: it was made after that"
    assert (await desk.connections.of(CALLER)).connected_at == NOON + 2 * DAY
