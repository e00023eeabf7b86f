"""The promises of `application.wallet.ports.Journal`."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from functools import partial

import pytest

from application.wallet.ports import MAX_COMMANDS, MAX_ENTRIES, MAX_WAITING, Journal
from domain.errors import RateLimited
from domain.ledger_commands import Command
from domain.ledger_entries import FIRST_DIGEST, Entry, EntryKind, chained
from domain.ledger_outcomes import Appended, Refusal, Refused, Standing
from domain.money import Money
from domain.wallets import Wallet
from tests.contract.test_plans import assert_ordered, plans_of
from tests.support.rooms.ledger import (
    NOON,
    WALLET,
    Books,
    capture,
    cost,
    grant,
    hold,
    refund,
    release,
    reload,
    reversal,
    usage,
)
from tests.support.servers.stores import Opener, Stores

LILY = Wallet("lily", "acme", "usd")

EVERY_KIND: Sequence[Command] = (
    reload("r", 543, Money(500, "eur"), "1.0858", details={"reason": "Grüße, \u2028 \0 $x"}),
    hold("h", 200),
    capture("h", 150),
    refund("s", "settled/h", 50, EntryKind.CAPTURE),
    usage("u", 3, exact=500_001, quantity=3, at=NOON + dt.timedelta(microseconds=1_999)),
    refund("b", "u", 1),
    cost("lily/1", exact=999_999),
    hold("i", 100),
    reversal("r", 1, 100, 50, hold="i"),
    reversal("r", 2, 500),
)


async def whole(journal: Journal, wallet: Wallet = WALLET) -> Sequence[Entry]:
    """All entries of a wallet, after what must hold of them was asked."""
    entries = await journal.list(wallet.name, limit=MAX_ENTRIES)
    before, available, held = FIRST_DIGEST, 0, 0
    for place, entry in enumerate(entries, 1):
        assert entry.sequence == place
        assert entry.digest == chained(before, entry)
        for posting in entry.postings:
            available += posting.amount if posting.account == "available" else 0
            held += posting.amount if posting.account == "held" else 0
        assert (entry.available_after, entry.held_after) == (available, held)
        before = entry.digest
    assert len({entry.key for entry in entries}) == len(entries)
    return entries


@pytest.mark.parametrize("at_once", [1, 3, len(EVERY_KIND)])
async def test_the_entries_are_those_that_the_ledger_decides(stores: Stores, at_once: int) -> None:
    journal, books = stores.journal, Books()
    for start in range(0, len(EVERY_KIND), at_once):
        batch = EVERY_KIND[start : start + at_once]
        assert list(await journal.append(WALLET, batch)) == list(books.post(*batch))
    entries = await whole(journal)
    assert list(entries) == books.entries, "so the digests are equal on both stores"
    assert await journal.head("acme") == books.entries[-1]


async def test_a_new_wallet_has_no_entries(stores: Stores) -> None:
    journal = stores.journal
    assert await journal.head("acme") is None
    assert await journal.list("acme", limit=9) == []
    assert await journal.by_keys("acme", ["a"]) == {}
    assert await journal.last_follower("acme", "a") is None
    (refused,) = await journal.append(WALLET, [usage("a", 1)])
    assert refused == Refused(Refusal.BALANCE_TOO_LOW, 0)
    assert await journal.head("acme") is None


async def test_wallets_are_apart(stores: Stores) -> None:
    journal = stores.journal
    for number, wallet in enumerate((WALLET, LILY, Wallet("lily", None, "usd")), 1):
        (outcome,) = await journal.append(wallet, [grant("g", number)])
        assert isinstance(outcome, Appended)
        assert (outcome.entry.wallet, outcome.entry.sequence) == (wallet.name, 1)
    for number, wallet in enumerate((WALLET, LILY, Wallet("lily", None, "usd")), 1):
        (entry,) = await whole(journal, wallet)
        assert entry.available_after == number
        assert await journal.by_keys(wallet.name, ["g"]) == {"g": entry}


async def test_a_key_stands_once(stores: Stores) -> None:
    journal = stores.journal
    (first,) = await journal.append(WALLET, [grant("g", 5)])
    assert isinstance(first, Appended)
    await journal.append(WALLET, [grant("h", 6)])
    (again,) = await journal.append(WALLET, [grant("g", 5)])
    assert again == Standing(first.entry)
    (other,) = await journal.append(WALLET, [grant("g", 6, payload_hash="other")])
    assert other == Refused(Refusal.KEY_REUSED, 11)
    assert len(await whole(journal)) == 2


async def test_a_repeated_key_amid_others_leaves_them_alone(stores: Stores) -> None:
    journal = stores.journal
    await journal.append(WALLET, [grant("g", 5), usage("a", 1)])
    outcomes = await journal.append(
        WALLET,
        [usage("b", 1), usage("a", 1), usage("c", 99), usage("b", 1), usage("d", 1),
         usage("a", 2, payload_hash="other"), usage("e", 3)],
    )  # fmt: skip
    assert [type(outcome) for outcome in outcomes] == [
        Appended, Standing, Refused, Standing, Appended, Refused, Refused,
    ]  # fmt: skip
    assert [entry.key for entry in await whole(journal)] == ["g", "a", "b", "d"]


async def test_our_own_keys_answer_with_what_stands(stores: Stores) -> None:
    journal = stores.journal
    await journal.append(WALLET, [grant("g", 5), hold("h", 5)])
    (released,) = await journal.append(WALLET, [release("h")])
    assert isinstance(released, Appended)
    (captured,) = await journal.append(WALLET, [capture("h", 5, payload_hash="other")])
    assert captured == Standing(released.entry)


async def test_what_another_has_appended_counts(opener: Opener) -> None:
    """Each of the two remembers a head that the other makes stale."""
    async with opener() as one, opener() as other:
        await one.journal.append(WALLET, [grant("g", 10)])
        await other.journal.append(WALLET, [usage("a", 4)])
        await one.journal.append(WALLET, [usage("b", 4)])
        (refused,) = await other.journal.append(WALLET, [usage("c", 4)])
        assert refused == Refused(Refusal.BALANCE_TOO_LOW, 2)
        await one.journal.append(WALLET, [grant("h", 2)])
        (paid,) = await other.journal.append(WALLET, [usage("c", 4)])
        assert isinstance(paid, Appended), "a refusal counts only on a head read after the call"
        (again,) = await one.journal.append(WALLET, [usage("c", 4)])
        assert again == Standing(paid.entry)
        assert [entry.key for entry in await whole(one.journal)] == ["g", "a", "b", "h", "c"]


async def test_a_key_that_another_has_used_stops_a_batch_halfway_only(opener: Opener) -> None:
    async with opener() as one, opener() as other:
        await one.journal.append(WALLET, [grant("g", 10)])
        await other.journal.append(WALLET, [usage("a", 1)])
        await one.journal.append(WALLET, [usage("b", 1)])
        batch = [usage("c", 1), usage("a", 1), usage("d", 1), usage("e", 8)]
        outcomes = await one.journal.append(WALLET, batch)
        assert [type(outcome) for outcome in outcomes] == [Appended, Standing, Appended, Refused]
        assert [entry.key for entry in await whole(one.journal)] == ["g", "a", "b", "c", "d"]


async def test_of_many_that_end_a_hold_one_does(opener: Opener) -> None:
    async with opener() as one, opener() as other:
        await one.journal.append(WALLET, [grant("g", 100), hold("h", 60)])
        ends = [release("h", payload_hash="r"), capture("h", 20, payload_hash="c")] * 8
        outcomes = await asyncio.gather(
            *(
                (one, other)[number % 2].journal.append(WALLET, [end])
                for number, end in enumerate(ends)
            )
        )
        appended = [outcome for (outcome,) in outcomes if isinstance(outcome, Appended)]
        standing = [outcome for (outcome,) in outcomes if isinstance(outcome, Standing)]
        assert len(appended) == 1
        assert {outcome.entry.digest for outcome in standing} == {appended[0].entry.digest}
        assert (await whole(one.journal))[-1].held_after == 0


async def test_of_many_that_refund_no_more_than_there_was_is_refunded(opener: Opener) -> None:
    async with opener() as one, opener() as other:
        await one.journal.append(WALLET, [grant("g", 100), usage("u", 50, quantity=10)])
        outcomes = await asyncio.gather(
            *(
                (one, other)[number % 2].journal.append(WALLET, [refund(f"b{number}", "u", 1)])
                for number in range(20)
            )
        )
        refused = [outcome for (outcome,) in outcomes if isinstance(outcome, Refused)]
        assert [one.refusal for one in refused] == [Refusal.REFUND_TOO_LARGE] * 10
        assert (await whole(one.journal))[-1].available_after == 100


@pytest.mark.parametrize("processes", [1, 2])
async def test_64_that_spend_at_once_never_spend_more_than_there_is(
    opener: Opener, processes: int
) -> None:
    async with opener() as one, opener() as other:
        await one.journal.append(WALLET, [grant("g", 100)])
        journals = (one.journal, other.journal)[:processes]

        async def spend(spender: int) -> int:
            spent = 0
            for number in range(4):
                journal = journals[(spender + number) % processes]
                (outcome,) = await journal.append(WALLET, [usage(f"{spender}-{number}", 1)])
                spent += isinstance(outcome, Appended)
            return spent

        assert sum(await asyncio.gather(*map(spend, range(64)))) == 100
        entries = await whole(one.journal)
        assert (len(entries), entries[-1].available_after) == (101, 0)


async def test_many_wallets_at_once(stores: Stores) -> None:
    wallets = [Wallet(f"account{number}", "acme", "usd") for number in range(50)]

    async def spend(wallet: Wallet) -> None:
        await stores.journal.append(wallet, [grant("g", 5)])
        await asyncio.gather(
            *(stores.journal.append(wallet, [usage(f"u{number}", 1)]) for number in range(6))
        )

    await asyncio.gather(*map(spend, wallets))
    for wallet in wallets:
        entries = await whole(stores.journal, wallet)
        assert (len(entries), entries[-1].available_after) == (6, 0)


async def test_who_gives_up_waiting_holds_up_nobody(stores: Stores) -> None:
    await stores.journal.append(WALLET, [grant("g", 1_000)])
    tasks = [
        asyncio.create_task(stores.journal.append(WALLET, [usage(f"u{number}", 1)]))
        for number in range(30)
    ]
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    kept = {f"u{number}" for number in range(30) if number % 3}
    assert kept <= {entry.key for entry in await whole(stores.journal)}


async def test_too_much_that_waits_is_refused_at_once(stores: Stores) -> None:
    journal = stores.journal
    batch = [grant(f"w{number}", 1) for number in range(MAX_COMMANDS)]
    calls = [
        asyncio.create_task(journal.append(WALLET, batch))
        for _ in range(MAX_WAITING // MAX_COMMANDS + 1)
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers].count(RateLimited) == 1
    assert isinstance(answers[-1], RateLimited)
    assert len(await whole(journal)) == MAX_COMMANDS


async def test_lists_go_both_ways_from_a_place(stores: Stores) -> None:
    journal = stores.journal
    await journal.append(WALLET, [grant(f"g{number}", 1) for number in range(1, 8)])

    async def listed(*, after: int | None, newest_first: bool, limit: int) -> list[int]:
        found = await journal.list("acme", after=after, newest_first=newest_first, limit=limit)
        return [entry.sequence for entry in found]

    assert await listed(after=None, newest_first=False, limit=3) == [1, 2, 3]
    assert await listed(after=3, newest_first=False, limit=9) == [4, 5, 6, 7]
    assert await listed(after=None, newest_first=True, limit=3) == [7, 6, 5]
    assert await listed(after=5, newest_first=True, limit=9) == [4, 3, 2, 1]
    assert await listed(after=7, newest_first=False, limit=9) == []
    assert await listed(after=1, newest_first=True, limit=9) == []


async def test_followers_and_keys(stores: Stores) -> None:
    journal = stores.journal
    await journal.append(WALLET, [grant("g", 9), usage("u", 3, quantity=3)])
    await journal.append(WALLET, [refund("b1", "u", 1), usage("v", 1), refund("b2", "u", 2)])
    last = await journal.last_follower("acme", "u")
    assert last is not None
    assert last.key == "b2"
    first = await journal.last_follower("acme", "u", before=last.sequence)
    assert first is not None
    assert first.key == "b1"
    assert await journal.last_follower("acme", "u", before=first.sequence) is None
    assert await journal.last_follower("acme", "") is None
    found = await journal.by_keys("acme", ["b2", "none", "g", "g"])
    assert {key: entry.sequence for key, entry in found.items()} == {"b2": 5, "g": 1}


async def test_what_a_call_may_ask_for(stores: Stores) -> None:
    journal = stores.journal
    for count in (0, MAX_COMMANDS + 1):
        with pytest.raises(ValueError, match="commands"):
            await journal.append(WALLET, [grant(f"g{number}", 1) for number in range(count)])
    for limit in (0, MAX_ENTRIES + 1):
        with pytest.raises(ValueError, match="limit"):
            await journal.list("acme", limit=limit)
        with pytest.raises(ValueError, match="limit"):
            await journal.by_keys("acme", ["g"] * limit)
    outcomes = await journal.append(WALLET, [grant(f"g{n}", 1) for n in range(MAX_COMMANDS)])
    assert len(outcomes) == MAX_COMMANDS


async def test_plans(stores: Stores) -> None:
    ask = stores.journal
    await ask.append(WALLET, EVERY_KIND)
    await assert_ordered(stores, partial(ask.head, "acme"))
    await plans_of(stores, partial(ask.by_keys, "acme", ["u", "b"]))
    for before in (None, 9):
        await assert_ordered(stores, partial(ask.last_follower, "acme", "u", before=before))
    for after in (None, 3):
        for newest_first in (True, False):
            listing = partial(ask.list, "acme", after=after, newest_first=newest_first, limit=5)
            await assert_ordered(stores, listing)
    batch = [refund("b2", "u", 1), reversal("r", 3, 10), release("i"), usage("u2", 1)]
    await assert_ordered(stores, partial(ask.append, WALLET, batch))
