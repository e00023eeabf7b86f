"""Page tokens: they come back as they went, or not at all."""

import base64
import datetime as dt

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.mirror.nouns import CHARGES, CUSTOMERS
from application.mirror.ports import NEWEST_FIRST, Filter, Order
from application.mirror.reader import scope_of
from application.requests.paging import (
    MAX_PAGE_SIZE,
    TOKEN_LIFETIME,
    PageTokens,
    Position,
    page_size_violations,
)
from domain.errors import InvalidArgument, Reason
from tests.support.contract.odd_ids import ODD_IDS
from tests.support.fakes.stores import FakeClock

SCOPE = scope_of(CUSTOMERS, "acct_1", Filter(), NEWEST_FIRST)
POSITION = Position(1_700_000_000_000, "cus_1")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tokens(clock: FakeClock) -> PageTokens:
    return PageTokens(b"k" * 32, clock)


def assert_refused(tokens: PageTokens, token: str, scope: str = SCOPE) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        tokens.read(token, scope)
    assert refusal.value.reason is Reason.INVALID_PAGE_TOKEN
    assert [violation.field for violation in refusal.value.violations] == ["page_token"]


@settings(database=None)
@given(
    st.one_of(st.integers(-(2**53), 2**53), st.text(max_size=100), st.booleans()),
    st.text(min_size=1, max_size=100),
)
def test_a_token_comes_back_as_it_went(value: str | int | bool, id_: str) -> None:
    tokens = PageTokens(b"k", FakeClock())
    found = tokens.read(tokens.write(SCOPE, Position(value, id_)), SCOPE)
    assert found == Position(value, id_)
    assert found is not None
    assert type(found.value) is type(value)


@pytest.mark.parametrize("id_", [*ODD_IDS, '"' * 255])
def test_a_token_holds_any_id(tokens: PageTokens, id_: str) -> None:
    place = Position(253_402_300_799_999, id_)
    assert tokens.read(tokens.write(SCOPE, place), SCOPE) == place


def test_the_first_and_the_last_page_need_no_token(tokens: PageTokens) -> None:
    assert tokens.read("", SCOPE) is None
    assert tokens.write(SCOPE, None) == ""


def test_every_changed_bit_is_refused(tokens: PageTokens) -> None:
    token = tokens.write(SCOPE, POSITION)
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        assert_refused(tokens, base64.urlsafe_b64encode(changed).decode().rstrip("="))
    assert_refused(tokens, base64.urlsafe_b64encode(raw[:-1]).decode())


@pytest.mark.parametrize(
    "token", ["x", "é", "=", "AAAA", "\n", "a" * 2_049, "a" * 100_000, "!!!!", "AAAA AAAA", "\0"]
)
def test_nonsense_is_refused(tokens: PageTokens, token: str) -> None:
    assert_refused(tokens, token)


def test_another_key_is_refused(clock: FakeClock, tokens: PageTokens) -> None:
    assert_refused(PageTokens(b"other", clock), tokens.write(SCOPE, POSITION))


@pytest.mark.parametrize(
    "scope",
    [
        scope_of(CHARGES, "acct_1", Filter(), NEWEST_FIRST),
        scope_of(CUSTOMERS, "acct_2", Filter(), NEWEST_FIRST),
        scope_of(CUSTOMERS, "acct_1", Filter(equals={"email": "a@b.c"}), NEWEST_FIRST),
        scope_of(CUSTOMERS, "acct_1", Filter(ranges={"created": (1, None)}), NEWEST_FIRST),
        scope_of(CUSTOMERS, "acct_1", Filter(), Order("created", descending=False)),
    ],
)
def test_a_token_of_another_list_is_refused(tokens: PageTokens, scope: str) -> None:
    assert_refused(tokens, tokens.write(SCOPE, POSITION), scope)


def test_a_scope_does_not_hang_on_the_order_of_conditions() -> None:
    one = Filter(equals={"a": 1, "b": 2})
    other = Filter(equals={"b": 2, "a": 1})
    assert scope_of(CUSTOMERS, "acct_1", one, NEWEST_FIRST) == scope_of(
        CUSTOMERS, "acct_1", other, NEWEST_FIRST
    )


def test_a_token_grows_stale(clock: FakeClock, tokens: PageTokens) -> None:
    token = tokens.write(SCOPE, POSITION)
    clock.instant += TOKEN_LIFETIME
    assert tokens.read(token, SCOPE) == POSITION
    clock.instant += dt.timedelta(milliseconds=1)
    assert_refused(tokens, token)


def test_our_own_token_of_another_release_is_refused(tokens: PageTokens) -> None:
    for content in ({"scope": SCOPE}, [SCOPE, 1, 2, "id", "more"], [SCOPE, "now", 2, "id"]):
        raw = msgspec.json.encode(content)
        token = base64.urlsafe_b64encode(tokens._mac(raw) + raw).decode().rstrip("=")
        assert_refused(tokens, token)


@pytest.mark.parametrize(
    ("size", "fits"), [(-1, False), (0, True), (1, True), (MAX_PAGE_SIZE, True), (101, False)]
)
def test_page_sizes(size: int, fits: bool) -> None:
    assert [violation.field for violation in page_size_violations(size)] == (
        [] if fits else ["page_size"]
    )
