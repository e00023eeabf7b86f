"""Which Stripe account a caller's account stands for."""

from dataclasses import replace

import pytest

from application.accounts.tenancy import Tenancy
from application.connections.platform import Platform
from application.connections.use_cases import Connections
from application.mirror.nouns import STRIPE_ACCOUNTS
from application.mirror.writer import MirrorWriter
from application.requests.callers import OPERATOR, Caller
from domain.accounts import Account
from domain.connections import Connection, ConnectionKind, ConnectionState, Mode
from domain.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    NotUnderstood,
    RateLimited,
    Reason,
    Unavailable,
)
from domain.mirror import Snapshot, Version
from domain.stripe_accounts import StripeAccount
from tests.support.fakes.stores import (
    NOON,
    FakeAccounts,
    FakeClock,
    FakeConnections,
    FakeDeployment,
    FakeMirror,
    FakeStripeAccounts,
)

CALLER = Caller("service", "acme", frozenset())
CONNECTION = Connection("acme", "acct_1", Mode.TEST, ConnectionKind.MANUAL, NOON)
REVOKED = replace(CONNECTION, state=ConnectionState.REVOKED)


def connections(
    repository: FakeConnections,
    stripe: FakeStripeAccounts | None = None,
    clock: FakeClock | None = None,
    mirror: FakeMirror | None = None,
) -> Connections:
    return Connections(
        repository, stripe or FakeStripeAccounts(), mirror or FakeMirror(), clock or FakeClock(),
        Mode.TEST,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        ([], Reason.STRIPE_NOT_CONNECTED),
        ([replace(CONNECTION, mode=Mode.LIVE)], Reason.STRIPE_NOT_CONNECTED),
        ([replace(CONNECTION, account="other")], Reason.STRIPE_NOT_CONNECTED),
        ([REVOKED], Reason.STRIPE_CONNECTION_REVOKED),
        ([replace(CONNECTION, ending_since=NOON)], Reason.STRIPE_CONNECTION_REVOKED),
    ],
)
async def test_without_a_usable_connection(kept: list[Connection], reason: Reason) -> None:
    with pytest.raises(FailedPrecondition) as refusal:
        await connections(FakeConnections(*kept)).of(CALLER)
    assert (refusal.value.reason, refusal.value.subject) == (reason, "connection")


async def test_an_account_that_is_not_there_is_not_found() -> None:
    found = Connections(
        FakeConnections(), FakeStripeAccounts(), FakeMirror(), FakeClock(), Mode.TEST,
        accounts=FakeAccounts(Account("acme", "Acme", "usd")),
    )  # fmt: skip
    with pytest.raises(FailedPrecondition):
        await found.of(CALLER)
    assert (await found.status(CALLER)).connection is None
    nobody = replace(CALLER, account="nobody")
    for ask in (found.of, found.status):
        with pytest.raises(NotFound) as refused:
            await ask(nobody)
        assert refused.value.metadata == {"resource": "account", "id": "nobody"}


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


async def test_a_connection_that_is_forgotten_is_looked_up_anew() -> None:
    repository = FakeConnections(CONNECTION)
    found = connections(repository)
    await found.of(CALLER)
    found.forget("acme")
    found.forget("nobody")
    await found.of(CALLER)
    assert repository.gets == 2


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
        (NotUnderstood("account", "acct_1", "created: is missing"), ConnectionState.ACTIVE),
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


@pytest.mark.parametrize(
    "error",
    [
        Unavailable(Reason.STRIPE_UNAVAILABLE, "down"),
        RateLimited(Reason.STRIPE_RATE_LIMITED, "slow", retry_after_seconds=1),
    ],
    ids=str,
)
async def test_the_status_holds_what_stripe_said_last_when_it_does_not_answer(
    error: Exception,
) -> None:
    said = StripeAccount("acct_1", NOON, True, False, True, "eur", "DE")
    other = replace(said, id="acct_2", default_currency="usd")
    mirror = FakeMirror()
    await MirrorWriter(mirror).observe(
        STRIPE_ACCOUNTS,
        [Snapshot(one.id, one.id, Version.of_event(1), one) for one in (said, other)],
    )
    found = connections(FakeConnections(CONNECTION), FakeStripeAccounts(error), mirror=mirror)
    status = await found.status(CALLER)
    assert (status.connection, status.stripe) == (CONNECTION, said)


async def test_what_the_mirror_shows_is_not_the_status_of_a_link_that_stripe_cut() -> None:
    mirror = FakeMirror()
    said = StripeAccount("acct_1", NOON, True, True, True)
    seen = Snapshot("acct_1", "acct_1", Version.of_event(1), said)
    await MirrorWriter(mirror).observe(STRIPE_ACCOUNTS, [seen])
    cut = FakeStripeAccounts(FailedPrecondition(Reason.STRIPE_CONNECTION_REVOKED, "cut"))
    status = await connections(FakeConnections(CONNECTION), cut, mirror=mirror).status(CALLER)
    assert status.stripe is None


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
    acting = Tenancy(accounts).act_for("main", requested, sub_accounts=sub_accounts, operators=True)
    if acted_for is not None:
        assert await acting == acted_for
        return
    with pytest.raises(NotFound) as refusal:
        await acting
    assert refusal.value.metadata == {"resource": "account", "id": requested}


@pytest.mark.parametrize("operators", [True, False])
async def test_an_operator_acts_for_every_account_that_it_names(operators: bool) -> None:
    accounts = FakeAccounts(
        Account("main", "Main", "usd"), Account("sub", "Sub", "usd", parent="main")
    )
    for account in ("main", "sub"):
        for sub_accounts in (True, False):
            acting = Tenancy(accounts).act_for(
                OPERATOR, account, sub_accounts=sub_accounts, operators=operators
            )
            assert await acting == account
    with pytest.raises(NotFound):
        await Tenancy(accounts).act_for(OPERATOR, "nobody", sub_accounts=True, operators=operators)


@pytest.mark.parametrize("requested", ["", OPERATOR])
async def test_an_operator_who_names_no_account_acts_for_all_where_the_method_allows_it(
    requested: str,
) -> None:
    tenancy = Tenancy(FakeAccounts())
    acting = tenancy.act_for(OPERATOR, requested, sub_accounts=True, operators=True)
    assert Caller("ops", await acting, frozenset()).is_operator
    with pytest.raises(InvalidArgument) as refusal:
        await tenancy.act_for(OPERATOR, requested, sub_accounts=True, operators=False)
    (violation,) = refusal.value.violations
    assert violation.field == "account"
    assert "name the account" in violation.rule


async def test_nobody_becomes_an_operator_by_asking_for_it() -> None:
    with pytest.raises(NotFound):
        await Tenancy(FakeAccounts()).act_for("main", OPERATOR, sub_accounts=True, operators=True)
    assert not CALLER.is_operator


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"id": OPERATOR}, "id"),
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
