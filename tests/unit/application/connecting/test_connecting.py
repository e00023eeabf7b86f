"""Connecting: a state is used once where it was begun, a code exchanged once, tenants apart."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from application.connecting.commands import BeginConnection, CompleteConnection
from application.connecting.use_cases import MAX_OPEN
from application.mutations.stripe import Unanswered
from application.requests.callers import Caller
from domain.connections import Connection, ConnectionKind, ConnectionState, Mode
from domain.errors import (
    AlreadyExists,
    BillingError,
    Conflict,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Reason,
    Unavailable,
)
from domain.oauth import STATE_LIFETIME, digest_of
from tests.support.fakes.stores import NOON, Failing
from tests.support.rooms.connecting import (
    ACME,
    BACK,
    GLOBEX,
    OTHER_BACK,
    SESSION,
    ConnectingPlatform,
)

LINK = Connection("acme", "acct_9", Mode.TEST, ConnectionKind.MANUAL, NOON)


async def refusal(work: Any) -> BillingError:
    with pytest.raises(BillingError) as caught:
        await work
    return caught.value


async def test_a_round_connects_and_asks_for_the_backfill() -> None:
    platform = ConnectingPlatform()
    process = platform.process()
    state = await process.begin()
    code = platform.oauth.consent("acct_1")
    connection = await process.complete(state, code)
    assert connection == Connection("acme", "acct_1", Mode.TEST, ConnectionKind.OAUTH, NOON)
    assert await platform.connection() == connection
    assert platform.backfill.requested == {"acct_1"}
    assert await process.complete(state, code) == connection
    assert platform.oauth.exchanged == [code]
    assert platform.oauth.access == {"acct_1"}


async def test_states_are_256_random_bits_and_kept_as_digests_alone() -> None:
    platform = ConnectingPlatform()
    states = [await platform.process().begin() for _ in range(20)]
    assert len({*states}) == 20
    assert {len(state) for state in states} == {43}
    assert platform.states.kept.keys() == {digest_of(state) for state in states}
    kept = platform.states.kept[digest_of(states[0])]
    assert (kept.subject, kept.expires_at) == ("grace", NOON + STATE_LIFETIME)
    assert not any(state in repr(platform.states.kept) for state in states)


async def test_no_record_and_no_text_holds_a_code_or_a_state() -> None:
    platform = ConnectingPlatform()
    process = platform.process()
    state, code = await process.begin(), platform.oauth.consent("acct_1")
    await process.complete(state, code)
    kept = repr(platform.log.records)
    assert state not in kept
    assert f'"{code}"' not in kept
    assert f"'{code}'" not in kept
    command = CompleteConnection(state, "ac_secret", "", BACK, SESSION)
    assert state not in repr(command)
    assert "ac_secret" not in repr(command)


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "x" * 43}, {"state": "?"}, {"session_digest": digest_of("other")},
        {"redirect_uri": OTHER_BACK}, {"redirect_uri": f"{BACK}/"}, {"caller": GLOBEX},
    ],
)  # fmt: skip
async def test_a_state_is_unknown_elsewhere_and_the_code_stays_unused(
    changes: dict[str, Any],
) -> None:
    platform = ConnectingPlatform()
    process = platform.process()
    state, code = await process.begin(), platform.oauth.consent("acct_1")
    error = await refusal(process.complete(**{"state": state, "code": code, **changes}))
    assert isinstance(error, FailedPrecondition)
    unknown = await refusal(process.complete("never", "ac_1", request_id="never"))
    assert (error.reason, error.message, error.metadata) == (
        Reason.STATE_UNKNOWN, unknown.message, unknown.metadata,
    )  # fmt: skip
    assert platform.oauth.exchanged == []
    assert (await process.complete(state, code, request_id="two")).stripe_account == "acct_1"


async def test_a_state_ends_and_is_used_once() -> None:
    platform = ConnectingPlatform()
    process = platform.process()
    late, state = await process.begin(), await process.begin()
    code = platform.oauth.consent("acct_1")
    await process.complete(state, code)
    again = await refusal(process.complete(state, code, request_id="two"))
    assert again.reason is Reason.STATE_UNKNOWN
    platform.clock.instant += STATE_LIFETIME
    ended = await refusal(process.complete(late, code, request_id="three"))
    assert ended.reason is Reason.STATE_UNKNOWN
    assert platform.oauth.exchanged == [code]


async def test_of_many_completions_at_once_one_exchanges_the_code() -> None:
    platform = ConnectingPlatform()
    processes = [platform.process() for _ in range(5)]
    state, code = await processes[0].begin(), platform.oauth.consent("acct_1")
    outcomes = await asyncio.gather(
        *(
            process.complete(state, code, request_id=f"{number}")
            for number, process in enumerate(processes)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, Connection) for outcome in outcomes) == 1
    others = [outcome for outcome in outcomes if isinstance(outcome, BillingError)]
    assert {error.reason for error in others} == {Reason.STATE_UNKNOWN}
    assert platform.oauth.exchanged == [code]


@pytest.mark.parametrize("state", ["", "begun"])
async def test_a_decline_connects_nothing_and_ends_only_its_own_round(state: str) -> None:
    platform = ConnectingPlatform()
    process = platform.process()
    other = await process.begin()
    if state:
        state = await process.begin()
    declined = {"error": "access_denied", "request_id": "no"}
    error = await refusal(process.complete(state, "", **declined))
    assert (error.reason, error.metadata) == (
        Reason.CODE_REFUSED, {"oauth_error": "access_denied"},
    )  # fmt: skip
    code = platform.oauth.consent("acct_1")
    if state:
        used = await refusal(process.complete(state, code, request_id="used"))
        assert used.reason is Reason.STATE_UNKNOWN
    assert (await process.complete(other, code)).stripe_account == "acct_1"


async def test_a_code_that_stripe_refuses_is_refused_each_time() -> None:
    platform = ConnectingPlatform()
    process = platform.process()
    state = await process.begin()
    for _ in range(2):
        error = await refusal(process.complete(state, "ac_none"))
        assert error.reason is Reason.CODE_REFUSED
    assert platform.oauth.exchanged == ["ac_none"]
    assert await platform.connection() is None


async def test_a_lost_answer_is_lost_and_the_round_begun_anew() -> None:
    platform = ConnectingPlatform()
    process = platform.process()
    state, code = await process.begin(), platform.oauth.consent("acct_1")
    platform.oauth.failures.append(Unanswered("lost"))
    for _ in range(2):
        error = await refusal(process.complete(state, code))
        assert isinstance(error, Conflict)
        assert error.reason is Reason.CONNECTION_OUTCOME_UNKNOWN
    assert platform.oauth.exchanged == [code]
    assert platform.oauth.access == {"acct_1"}
    anew = await process.begin()
    code = platform.oauth.consent("acct_1")
    assert await process.complete(anew, code, request_id="two") == await platform.connection()


async def test_what_was_not_sent_is_sent_by_the_next_try() -> None:
    platform = ConnectingPlatform()
    process = platform.process()
    state, code = await process.begin(), platform.oauth.consent("acct_1")
    platform.oauth.failures.append(Unavailable(Reason.STRIPE_UNAVAILABLE, "not sent"))
    assert isinstance(await refusal(process.complete(state, code)), OutcomeUnknown)
    assert (await process.complete(state, code)).stripe_account == "acct_1"
    assert platform.oauth.exchanged == [code]


async def test_access_in_the_other_mode_is_not_kept() -> None:
    platform = ConnectingPlatform()
    process = platform.process()
    state, code = await process.begin(), platform.oauth.consent("acct_1", livemode=True)
    error = await refusal(process.complete(state, code))
    assert error.reason is Reason.MODE_MISMATCH
    assert await platform.connection() is None


async def test_a_stripe_account_of_another_tenant_is_taken_and_stays_his() -> None:
    theirs = replace(LINK, account="globex", stripe_account="acct_1")
    platform = ConnectingPlatform(theirs)
    platform.oauth.access.add("acct_1")
    process = platform.process()
    state, code = await process.begin(), platform.oauth.consent("acct_1")
    error = await refusal(process.complete(state, code))
    assert isinstance(error, AlreadyExists)
    assert error.reason is Reason.STRIPE_ACCOUNT_TAKEN
    assert platform.oauth.deauthorized == []
    assert platform.oauth.access == {"acct_1"}
    assert await platform.connection() is None
    assert await platform.connection("globex") == theirs


@pytest.mark.parametrize("ending_since", [None, NOON])
async def test_a_connected_account_is_not_connected_again(ending_since: Any) -> None:
    platform = ConnectingPlatform()
    process = platform.process()
    state, code = await process.begin(), platform.oauth.consent("acct_1")
    await platform.repository.put(replace(LINK, ending_since=ending_since))
    platform.clock.advance(seconds=5)
    for work in (process.begin(), process.complete(state, code)):
        error = await refusal(work)
        assert isinstance(error, AlreadyExists)
        assert error.metadata == {"stripe_account": "acct_9"}
    assert platform.oauth.exchanged == []


async def test_a_revoked_account_is_connected_again() -> None:
    platform = ConnectingPlatform(replace(LINK, state=ConnectionState.REVOKED))
    process = platform.process()
    state, code = await process.begin(), platform.oauth.consent("acct_9")
    platform.clock.advance(seconds=5)
    connection = await process.complete(state, code)
    assert await process.connections.of(ACME) == connection


async def test_rounds_are_bounded_an_account_and_free_again_once_they_end() -> None:
    platform = ConnectingPlatform()
    process = platform.process()
    for _ in range(MAX_OPEN):
        await process.begin()
    with pytest.raises(RateLimited):
        await process.begin()
    await process.begin(GLOBEX)
    platform.clock.instant += STATE_LIFETIME
    await process.begin()


async def test_nobody_connects_an_account_that_is_not_there() -> None:
    process = ConnectingPlatform().process()
    with pytest.raises(NotFound):
        await process.begin(Caller("eve", "nobody", frozenset()))


async def test_without_a_client_id_nothing_begins() -> None:
    platform = ConnectingPlatform()
    process = platform.process()
    state = await process.begin()
    platform.oauth.set_up = False
    with pytest.raises(InvalidArgument, match="BILLING_CONNECT_CLIENT_ID"):
        await process.begin()
    with pytest.raises(Unavailable, match="BILLING_CONNECT_CLIENT_ID"):
        await process.complete(state, "ac_1")


@pytest.mark.parametrize(
    ("command", "fields"),
    [
        (BeginConnection("https://evil.example", "x"), {"redirect_uri", "session_digest"}),
        (BeginConnection("", SESSION.upper()), {"redirect_uri", "session_digest"}),
        (BeginConnection(f"{BACK}?x=1", SESSION), {"redirect_uri"}),
    ],
)
async def test_a_begin_names_all_that_is_wrong_and_no_value(
    command: BeginConnection, fields: set[str]
) -> None:
    platform = ConnectingPlatform()
    with pytest.raises(InvalidArgument) as caught:
        await platform.process().connecting.begin(ACME, command)
    assert {one.field for one in caught.value.violations} == fields
    assert "evil" not in caught.value.message
    assert platform.states.kept == {}


@pytest.mark.parametrize(
    ("command", "fields"),
    [
        (CompleteConnection("", "", "", "", ""), {"code", "request_id"}),
        (CompleteConnection("", "ac_1", "no", "", ""), {"code", "state", "request_id"}),
        (CompleteConnection("", "ac_1", "", "", ""), {"state", "request_id"}),
        (CompleteConnection("s", "ac 1", "", "", ""),
         {"code", "session_digest", "redirect_uri", "request_id"}),
        (CompleteConnection("", "", "No!", "", ""), {"error", "request_id"}),
        (CompleteConnection("s\0", "ac_1", "", BACK, SESSION), {"state", "request_id"}),
    ],
)  # fmt: skip
async def test_a_completion_names_all_that_is_wrong(
    command: CompleteConnection, fields: set[str]
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await ConnectingPlatform().process().connecting.complete(ACME, "?", command)
    assert {one.field for one in caught.value.violations} == fields


async def test_wherever_the_store_or_stripe_fails_the_code_is_exchanged_once() -> None:
    """At every call of a port in turn, and after it a call of the same request, then recovery."""
    calls, ends = 0, set()
    while True:
        platform = ConnectingPlatform()
        process = platform.process()
        state, code = await process.begin(), platform.oauth.consent("acct_1")
        failing = Failing({calls: Unavailable(Reason.STORE_UNAVAILABLE, "down")})
        platform.pause(failing)
        first = await asyncio.gather(process.complete(state, code), return_exceptions=True)
        platform.pause(Failing())
        if not isinstance(first[0], BaseException):
            break
        await platform.recovered()
        outcome = await asyncio.gather(
            platform.process().complete(state, code), return_exceptions=True
        )
        connection = await platform.connection()
        if isinstance(outcome[0], BaseException):
            assert isinstance(outcome[0], Conflict), calls
            assert outcome[0].reason is Reason.CONNECTION_OUTCOME_UNKNOWN
            assert connection is None
        else:
            assert outcome[0] == connection
            assert platform.backfill.requested == {"acct_1"}
        assert platform.oauth.exchanged.count(code) <= 1
        ends.add(type(outcome[0]))
        calls += 1
    assert calls > 8
    assert ends == {Connection, Conflict}
