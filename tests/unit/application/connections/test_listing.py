"""Lists of connections: operators see all, everybody else his own."""

from dataclasses import replace

import pytest

from application.connections.listing import ConnectionLists
from application.requests.callers import OPERATOR, Caller
from application.requests.paging import PageTokens
from domain.connections import Connection, ConnectionKind, ConnectionState, Mode
from domain.errors import InvalidArgument
from tests.support.fakes.stores import NOON, FakeClock, FakeConnections

LINKS = [
    Connection(f"account-{n}", f"acct_{9 - n}", Mode.TEST, ConnectionKind.OAUTH, NOON)
    for n in range(5)
]
OPS = Caller("ops", OPERATOR, frozenset())


def lists() -> ConnectionLists:
    ended = replace(LINKS[0], account="ended", state=ConnectionState.REVOKED)
    live = replace(LINKS[0], account="live", mode=Mode.LIVE)
    kept = FakeConnections(*LINKS, ended, live)
    return ConnectionLists(kept, PageTokens(b"k" * 32, FakeClock()), Mode.TEST)


async def test_operators_page_through_all() -> None:
    found, token, pages = [], "", 0
    while True:
        page = await lists().list(OPS, 2, token)
        found += page.items
        token, pages = page.next_page_token, pages + 1
        if not token:
            break
    assert (found, pages) == (LINKS[::-1], 3)


async def test_others_see_their_own() -> None:
    page = await lists().list(Caller("a", "account-3", frozenset()), 0, "")
    assert (page.items, page.next_page_token) == ([LINKS[3]], "")
    for account in ("ended", "live", "nobody"):
        assert (await lists().list(Caller("a", account, frozenset()), 0, "")).items == []


async def test_a_foreign_token_and_a_size_out_of_range_are_refused() -> None:
    token = (await lists().list(OPS, 2, "")).next_page_token
    for caller, size, given in (
        (Caller("a", "account-3", frozenset()), 2, token), (OPS, 101, ""), (OPS, -1, ""),
    ):  # fmt: skip
        with pytest.raises(InvalidArgument):
            await lists().list(caller, size, given)
