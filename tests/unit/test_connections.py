"""Which Stripe account a caller's account stands for."""

from dataclasses import replace

import pytest

from application.callers import Caller, Tenancy
from application.connections import Connections
from application.platform import Platform
from domain.accounts import Account
from domain.connections import Connection, ConnectionKind, ConnectionState, Mode
from domain.errors import (
    FailedPrecondition,
    NotFound,
    RateLimited,
    Reason,
    Unavailable,
)
from tests.support.fakes import (
    NOON,
    FakeAccounts,
    FakeClock,
    FakeConnections,
    FakeDeployment,
    FakeStripeAccounts,
)

CALLER = Caller("service", "acme", frozenset())
CONNECTION = Connection("acme", "acct_1", Mode.TEST, ConnectionKind.MANUAL, NOON)
REVOKED = replace(CONNECTION, state=ConnectionState.REVOKED)


def connections(
    repository: FakeConnections,
    stripe: FakeStripeAccounts | None = None,
    clock: FakeClock | None = None,
) -> Connections:
    return Connections(repository, stripe or FakeStripeAccounts(), clock or FakeClock(), Mode.TEST)


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        ([], Reason.STRIPE_NOT_CONNECTED),
        ([replace(CONNECTION, mode=Mode.LIVE)], Reason.STRIPE_NOT_CONNECTED),
        ([replace(CONNECTION, account="other")], Reason.STRIPE_NOT_CONNECTED),
        ([REVOKED], Reason.STRIPE_CONNECTION_REVOKED),
    ],
)
async def test_without_a_usable_connection(kept: list[Connection], reason: Reason) -> None:
    with pytest.raises(FailedPrecondition) as refusal:
        await connections(FakeConnections(*kept)).of(CALLER)
    assert (refusal.value.reason, refusal.value.subject) == (reason, "connection")


async def test_a_connection_is_remembered_for_two_seconds() -> None:
    repository, clock = FakeConnections(CONNECTION), FakeClock()
    found = connections(repository, clock=clock)
    assert await found.of(CALLER) == CONNECTION
    await repository.put(REVOKED)
    clock.advance(seconds=1.999)
    assert await found.of(CALLER) == CONNECTION
    assert repository.gets == 1
    clock.advance(seconds=0.001)
    with pytest.raises(FailedPrecondition):
        await found.of(CALLER)


async def test_a_missing_connection_is_not_remembered() -> None:
    repository = FakeConnections()
    found = connections(repository)
    with pytest.raises(FailedPrecondition):
        await found.of(CALLER)
    await repository.put(CONNECTION)
    assert await found.of(CALLER) == CONNECTION


async def test_accounts_do_not_share_what_is_remembered() -> None:
    other = replace(CONNECTION, account="other", stripe_account="acct_2")
    found = connections(FakeConnections(CONNECTION, other))
    assert await found.of(CALLER) == CONNECTION
    assert await found.of(replace(CALLER, account="other")) == other


async def test_the_status_of_a_connection_holds_what_stripe_says() -> None:
    status = await connections(FakeConnections(CONNECTION)).status(CALLER)
    assert status.connection == CONNECTION
    assert status.stripe is not None
    assert status.stripe.id == "acct_1"


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (
            FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "cut"),
            ConnectionState.REVOKED,
        ),
        (Unavailable(Reason.STRIPE_UNAVAILABLE, "down"), ConnectionState.ACTIVE),
        (
            RateLimited(Reason.STRIPE_RATE_LIMITED, "slow", retry_after_seconds=1),
            ConnectionState.ACTIVE,
        ),
    ],
)
async def test_the_status_when_stripe_does_not_say(
    error: Exception, state: ConnectionState
) -> None:
    stripe = FakeStripeAccounts(error)
    status = await connections(FakeConnections(CONNECTION), stripe).status(CALLER)
    assert status.stripe is None
    assert status.connection is not None
    assert status.connection.state is state


@pytest.mark.parametrize("kept", [[], [REVOKED]])
async def test_stripe_is_not_asked_without_an_active_connection(kept: list[Connection]) -> None:
    stripe = FakeStripeAccounts()
    status = await connections(FakeConnections(*kept), stripe).status(CALLER)
    assert status.connection == (kept[0] if kept else None)
    assert stripe.asked == []


@pytest.mark.parametrize(
    "stripe_account", ["", "acct_", "cus_1", "acct_1/..", "acct_é", "acct_1\n"]
)
def test_a_connection_names_a_stripe_account(stripe_account: str) -> None:
    with pytest.raises(ValueError, match="stripe_account"):
        replace(CONNECTION, stripe_account=stripe_account)


@pytest.mark.parametrize(
    ("requested", "sub_accounts", "acted_for"),
    [
        ("", False, "main"),
        ("main", False, "main"),
        ("sub", True, "sub"),
        ("sub", False, None),
        ("stranger", True, None),
        ("nobody", True, None),
    ],
)
async def test_for_whom_a_caller_may_act(
    requested: str, sub_accounts: bool, acted_for: str | None
) -> None:
    accounts = FakeAccounts(
        Account("main", "Main", "usd"),
        Account("sub", "Sub", "usd", parent="main"),
        Account("stranger", "Stranger", "usd", parent="other"),
    )
    acting = Tenancy(accounts).act_for("main", requested, sub_accounts=sub_accounts)
    if acted_for is not None:
        assert await acting == acted_for
        return
    with pytest.raises(NotFound) as refusal:
        await acting
    assert refusal.value.metadata == {"resource": "account", "id": requested}


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"id": "-a"}, "id"),
        ({"id": ""}, "id"),
        ({"id": "a" * 65}, "id"),
        ({"currency": "USD"}, "currency"),
        ({"parent": "acme"}, "parent"),
    ],
)
def test_accounts_that_are_none(fields: dict[str, str], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        replace(Account("acme", "Acme", "usd"), **fields)


async def test_a_store_belongs_to_the_first_mode() -> None:
    deployment, stripe = FakeDeployment(), FakeStripeAccounts()
    await Platform(deployment, stripe, Mode.TEST).claim_store()
    await Platform(deployment, stripe, Mode.TEST).claim_store()
    with pytest.raises(FailedPrecondition, match="the store holds test objects"):
        await Platform(deployment, stripe, Mode.LIVE).claim_store()


async def test_the_platforms_own_account_is_asked_for_once() -> None:
    deployment, stripe = FakeDeployment(), FakeStripeAccounts()
    for _ in range(2):  # two processes
        platform = Platform(deployment, stripe, Mode.TEST)
        assert await platform.stripe_account() == "acct_platform"
        assert await platform.stripe_account() == "acct_platform"
    assert stripe.asked == ["acct_platform"]
