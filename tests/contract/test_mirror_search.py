"""The promises of `application.mirror.ports` on searches, the same on every store."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.mirror.nouns import CHARGES, CUSTOMERS, PRODUCTS
from application.mirror.ports import Mirror, Noun
from application.requests.paging import Position
from domain.customers import Customer
from domain.mirror import MirroredObject
from domain.periods import from_milliseconds
from domain.products import Product
from domain.search import MAX_QUERY_WORDS, MAX_READINGS, object_words, readings_of
from tests.contract.samples import NOON, OURS, SECOND, THEIRS, facet, snapshot, store_new, tombstone
from tests.support.fakes.stores import FakeMirror
from tests.support.servers.stores import Stores

T = TypeVar("T", bound=MirroredObject)

ADA = Customer("cus_ada", NOON, "ada@example.com", "Ada Lovelace", "+43 660 1234567")
ALAN = Customer("cus_alan", NOON + SECOND, "alan.turing@example.com", "Alan Mathison Turing")
STRASSE = Customer("cus_str", NOON + 2 * SECOND, None, "Café Straße É", "(0660) 99")

_MOST_PAGES = 50


@pytest.fixture
def mirror(stores: Stores) -> Mirror:
    return stores.mirror


async def search(
    mirror: Mirror,
    query: str,
    *,
    limit: int = 1_000,
    stripe_account: str = OURS,
    noun: Noun[Any] = CUSTOMERS,
    flags: Mapping[str, bool] | None = None,
) -> list[str]:
    """The ids of all pages of what a query finds, in the order found."""
    ids: list[str] = []
    after: Position | None = None
    for _ in range(_MOST_PAGES):
        page = await mirror.search(
            noun, stripe_account, readings_of(query), after=after, limit=limit, flags=flags
        )
        assert len(page.rows) <= limit
        ids += [row.id for row in page.rows]
        after = page.next
        if after is None:
            return ids
        assert len(page.rows) == limit, "only the last page is short"
    raise AssertionError("the search does not end")


async def replace_one(mirror: Mirror, found: Customer, revision: int) -> None:
    """Store a later snapshot of a customer."""
    assert await mirror.replace(CUSTOMERS, [(snapshot(found), revision)]) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("ada", ["cus_ada"]),
        ("AdA", ["cus_ada"]),
        ("a", ["cus_alan", "cus_ada"]),
        ("al", ["cus_alan"]),
        ("da", []),
        ("adam", []),
        ("example", ["cus_alan", "cus_ada"]),
        ("example.com", ["cus_alan", "cus_ada"]),
        ("alan.turing@example.com", ["cus_alan"]),
        ("lovelace ada", ["cus_ada"]),
        ("love ad exam", ["cus_ada"]),
        ("ada turing", []),
        ("ada ada ad", ["cus_ada"]),
        ("436601234567", ["cus_ada"]),
        ("+43 660 12", ["cus_ada"]),
        ("(0660)", ["cus_str"]),
        ("660", []),
        ("1234567", []),
        ("strasse", ["cus_str"]),
        ("STRASSE cafe\u0301", ["cus_str"]),
        ("straß é", ["cus_str"]),
        ("cafe", []),
        ("É CAFÉ", ["cus_str"]),
    ],
)
async def test_every_word_of_the_query_begins_a_word_of_the_customer(
    mirror: Mirror, query: str, found: list[str]
) -> None:
    await store_new(mirror, CUSTOMERS, ADA, ALAN, STRASSE)
    assert await search(mirror, query) == found


ROSES = Customer("cus_roses", NOON, None, "1-800-Roses", "+966 \u0665\u0665\u0665 0100")
IZMIR = Customer("cus_izmir", NOON + SECOND, None, "\u0130zmir Kahve 54", "1 800 54 \u0967")
HARBOUR = Customer(
    "cus_harbour", NOON, None,
    "The North Harbour Society for the Care of Old Boats and Their Crews",
)  # fmt: skip


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("1-800", ["cus_izmir", "cus_roses"]),
        ("1-800-roses", ["cus_roses"]),
        ("800", ["cus_roses"]),
        ("1800", ["cus_izmir"]),
        ("1800 541 kahve", ["cus_izmir"]),
        ("1/800/54 kahve", ["cus_izmir"]),
        ("1 800 54 izmir 5-4", ["cus_izmir"]),
        ("1 800 54 roses", []),
        ("9665550100", ["cus_roses"]),
        ("9660100", []),
        ("+966 \u0665\u0665\u0665", ["cus_roses"]),
        ("\u0661-\u0668\u0660\u0660 roses", ["cus_roses"]),
        ("izmir", ["cus_izmir"]),
        ("\u0130ZM\u0130R", ["cus_izmir"]),
        ("i\u0307zm", ["cus_izmir"]),
        ("\u0131zmir", []),
        (HARBOUR.name, ["cus_harbour"]),
        (f"{HARBOUR.name} Ltd", ["cus_harbour"]),
        ("1 2 3 4 5 6 7 8 9 10 11", []),
    ],
)
async def test_a_query_is_read_in_every_way_that_fits(
    mirror: Mirror, query: str, found: list[str]
) -> None:
    await store_new(mirror, CUSTOMERS, ADA, ROSES, IZMIR, HARBOUR)
    for limit in (1, 5):
        assert await search(mirror, query, limit=limit) == found


async def test_what_is_found_is_whole(mirror: Mirror) -> None:
    await store_new(mirror, CUSTOMERS, ADA)
    await mirror.derive(CUSTOMERS, [facet("cus_ada", "origin", source="shop")])
    page = await mirror.search(CUSTOMERS, OURS, [["ada", "lovelace"]], after=None, limit=5)
    fetched = await mirror.fetch(CUSTOMERS, OURS, ["cus_ada"])
    assert list(page.rows) == [fetched["cus_ada"]]
    assert fetched["cus_ada"].snapshot == snapshot(ADA)


async def test_another_stripe_account_is_never_seen(mirror: Mirror) -> None:
    await store_new(mirror, CUSTOMERS, ADA)
    await store_new(mirror, CUSTOMERS, ADA, ALAN, stripe_account=THEIRS)
    for query, ours, theirs in (
        ("a", ["cus_ada"], ["cus_alan", "cus_ada"]),
        ("alan example", [], ["cus_alan"]),
        ("ada example", ["cus_ada"], ["cus_ada"]),
    ):
        assert await search(mirror, query) == ours
        assert await search(mirror, query, stripe_account=THEIRS) == theirs
        assert await search(mirror, query, stripe_account="acct_1Nobody") == []
    assert await mirror.replace(CUSTOMERS, [(tombstone("cus_ada"), 1)]) == []
    assert await search(mirror, "ada", stripe_account=THEIRS) == ["cus_ada"]


async def test_a_changed_customer_is_found_by_what_it_says_now_only(mirror: Mirror) -> None:
    await store_new(mirror, CUSTOMERS, ADA)
    married = replace(ADA, name="Ada King", phone=None)
    await replace_one(mirror, married, 1)
    for query in ("love", "43660", "ada lovelace"):
        assert await search(mirror, query) == []
    for query in ("king", "ada", "ada king example"):
        assert await search(mirror, query) == ["cus_ada"]
    await replace_one(mirror, replace(married, delinquent=True), 2)
    assert await search(mirror, "king") == ["cus_ada"]
    await replace_one(mirror, Customer("cus_ada", NOON), 3)
    assert await search(mirror, "a") == []
    await replace_one(mirror, ADA, 4)
    assert await search(mirror, "love 43660") == ["cus_ada"]
    assert await search(mirror, "king") == []


async def test_a_deleted_customer_is_not_found_and_one_created_anew_is(mirror: Mirror) -> None:
    await store_new(mirror, CUSTOMERS, ADA, ALAN)
    assert await mirror.replace(CUSTOMERS, [(tombstone("cus_ada"), 1)]) == []
    assert await search(mirror, "ada") == []
    assert await search(mirror, "example") == ["cus_alan"]
    await replace_one(mirror, replace(ADA, created=NOON + 5 * SECOND), 2)
    assert await search(mirror, "example") == ["cus_ada", "cus_alan"]


async def test_a_snapshot_that_came_too_late_leaves_the_terms_alone(mirror: Mirror) -> None:
    await store_new(mirror, CUSTOMERS, ADA)
    late = snapshot(replace(ADA, name="Nobody"))
    for revision in (0, 7):
        assert await mirror.replace(CUSTOMERS, [(late, revision)]) == [(OURS, "cus_ada")]
    assert await search(mirror, "nobody") == []
    assert await search(mirror, "lovelace") == ["cus_ada"]


async def test_a_row_of_facets_alone_is_not_found_until_its_customer_is_there(
    mirror: Mirror,
) -> None:
    await mirror.derive(CUSTOMERS, [facet("cus_ada", "origin", source="ada")])
    assert await search(mirror, "ada") == []
    await store_new(mirror, CUSTOMERS, ADA)
    await mirror.derive(CUSTOMERS, [facet("cus_ada", "origin", at=2, source="shop")])
    assert await search(mirror, "ada") == ["cus_ada"]


@pytest.mark.parametrize("query", ["ada", "ada example"])
@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
async def test_pages_are_newest_first_then_by_id_downwards(
    mirror: Mirror, query: str, limit: int
) -> None:
    found = [
        replace(ADA, id=f"cus_{number}", created=NOON + SECOND * (number // 4))
        for number in range(6)
    ]
    await store_new(mirror, CUSTOMERS, *found, ALAN)
    assert await search(mirror, query, limit=limit) == [f"cus_{n}" for n in (5, 4, 3, 2, 1, 0)]


@pytest.mark.parametrize(
    "readings", [[["ada"]], [["ada", "example"]], [["ada", "43660"], ["example", "ada"]]]
)
async def test_a_row_found_all_the_while_is_told_once_whatever_is_written(
    mirror: Mirror, readings: Sequence[Sequence[str]]
) -> None:
    stays = [replace(ADA, id=f"cus_{n:02}", created=NOON + SECOND * (n // 2)) for n in range(10)]
    leaves = [replace(ADA, id=f"cus_x{n}") for n in range(5)]
    await store_new(mirror, CUSTOMERS, *stays, *leaves)
    told: list[str] = []
    after: Position | None = None
    for turn in range(_MOST_PAGES):
        page = await mirror.search(CUSTOMERS, OURS, readings, after=after, limit=2)
        told += [row.id for row in page.rows]
        after = page.next
        if after is None:
            break
        # Before, at and after the position: new rows; one no longer found, one deleted.
        at = from_milliseconds(int(after.value))
        await store_new(
            mirror,
            CUSTOMERS,
            replace(ADA, id=f"cus_0{turn}new", created=at),
            replace(ADA, id=f"cus_early{turn}", created=NOON - SECOND * turn),
            replace(ADA, id=f"cus_late{turn}", created=NOON + SECOND * (20 + turn)),
        )
        if turn < 2:
            await replace_one(mirror, replace(leaves[turn], email=None, name="Zoe"), 1)
        elif turn < 5:
            assert not await mirror.replace(CUSTOMERS, [(tombstone(f"cus_x{turn}"), 1)])
    assert len(told) == len(set(told))
    assert {one.id for one in stays} <= set(told)


@pytest.mark.parametrize("limit", [1, 2, 9])
async def test_a_search_is_narrowed_by_flags_of_the_objects(mirror: Mirror, limit: int) -> None:
    seats = [
        Product(f"prod_{n}", NOON + n * SECOND, f"Seat {n % 2}", active=n % 3 > 0) for n in range(7)
    ]
    await store_new(mirror, PRODUCTS, *seats, Product("prod_x", NOON, "active 1", active=True))

    async def found(query: str, *, active: bool | None) -> list[str]:
        flags = None if active is None else {"active": active}
        return await search(mirror, query, limit=limit, noun=PRODUCTS, flags=flags)

    def expected(wanted: Iterable[int]) -> list[str]:
        return [f"prod_{n}" for n in wanted]

    assert await found("seat", active=None) == expected(range(6, -1, -1))
    assert await found("seat", active=True) == expected([5, 4, 2, 1])
    assert await found("sea 1", active=False) == expected([3])
    assert await found("active=1", active=None) == ["prod_x"]
    assert await found("active", active=False) == await found("nobody", active=True) == []
    # It follows the object.
    sold = replace(seats[3], active=True)
    assert await mirror.replace(PRODUCTS, [(snapshot(sold), 1)]) == []
    assert await found("seat", active=False) == expected([6, 0])
    assert await found("seat", active=True) == expected([5, 4, 3, 2, 1])
    with pytest.raises(ValueError, match="flag"):
        await search(mirror, "ada", flags={"active": True})


async def test_a_search_that_is_none_is_refused(mirror: Mirror) -> None:
    async def refused(
        noun: Noun[Any], readings: Sequence[Sequence[str]], limit: int, match: str
    ) -> None:
        with pytest.raises(ValueError, match=match):
            await mirror.search(noun, OURS, readings, after=None, limit=limit)

    await refused(CHARGES, [["ada"]], 1, "not searched")
    await refused(CUSTOMERS, [], 1, "readings")
    await refused(CUSTOMERS, [["ada"]] * (MAX_READINGS + 1), 1, "readings")
    await refused(CUSTOMERS, [["ada"], []], 1, "words")
    await refused(CUSTOMERS, [[str(n) for n in range(MAX_QUERY_WORDS + 1)]], 1, "words")
    await refused(CUSTOMERS, [["ada"]], 0, "limit")
    await refused(CUSTOMERS, [["ada"]], 1_001, "limit")


_NAMES = st.lists(
    st.sampled_from(
        ["Ada", "ada-lou", "Adele", "Élan", "elan", "Straße", "STRASSER", "Σ", "7up", "43 1"]
    ),
    max_size=3,
).map(" ".join)
_PHONES = st.sampled_from([None, "", "+43 1 23", "431 29", "0660/12"])
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["cus_a", "cus_b", "cus_c", "cus_d"]),
        st.one_of(
            st.none(),
            st.builds(
                lambda name, email, phone, seconds: (name, email, phone, seconds),
                _NAMES,
                st.sampled_from([None, "ada@x.at", "el.an@ada.com", "straße@x.at"]),
                _PHONES,
                st.integers(0, 1),
            ),
        ),
    ),
    max_size=12,
)
_QUERIES = st.lists(
    st.sampled_from(
        ["a", "AD", "ada", "el", "él", "stras", "\u03c3", "7", "43 1", "(0660)", "x", "zz", "1"]
    ),
    min_size=1,
    max_size=3,
).map(" ".join)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=_STEPS, queries=st.lists(_QUERIES, min_size=1, max_size=4), limit=st.integers(1, 3))
async def test_searches_agree_with_plain_python_and_with_the_fake(
    stores: Stores,
    steps: list[tuple[str, tuple[str, str | None, str | None, int] | None]],
    queries: list[str],
    limit: int,
) -> None:
    # The store outlives an example: each has a Stripe account of its own.
    account = f"acct_{uuid4().hex}"
    fake = FakeMirror()
    live: dict[str, Customer] = {}
    revisions: dict[str, int] = {}
    for id_, told in steps:
        if told is None:
            live.pop(id_, None)
            made = tombstone(id_, stripe_account=account)
        else:
            name, email, phone, seconds = told
            live[id_] = Customer(id_, NOON + SECOND * seconds, email, name, phone)
            made = snapshot(live[id_], stripe_account=account)
        for one in (stores.mirror, fake):
            assert await one.replace(CUSTOMERS, [(made, revisions.get(id_, 0))]) == []
        revisions[id_] = revisions.get(id_, 0) + 1
    for query in queries:
        wanted = [one for one in live.values() if _matches(one, query)]
        wanted.sort(key=lambda one: (one.created, one.id), reverse=True)
        for one in (stores.mirror, fake):
            found = await search(one, query, limit=limit, stripe_account=account)
            assert found == [one.id for one in wanted], query


def _matches(customer: Customer, query: str) -> bool:
    """The rule, word for word."""
    words = object_words([customer.name or "", customer.email or ""], [customer.phone or ""])
    return any(
        all(any(word.startswith(asked) for word in words) for asked in reading)
        for reading in readings_of(query)
    )
