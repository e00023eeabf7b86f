"""A proof finds whatever does not hold in a journal, and nothing where all does."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from application.wallet import proof
from application.wallet.proof import MAX_DIFFERENCES, prove
from domain.ledger_entries import (
    FIRST_DIGEST,
    Entry,
    EntryKind,
    LedgerAccount,
    Posting,
    Refunded,
    Targets,
    chained,
)
from domain.money import Money
from tests.support.fakes.journal import JournalInMemory
from tests.support.rooms.ledger import (
    WALLET,
    capture,
    cost,
    grant,
    hold,
    overdraft,
    refund,
    release,
    reload,
    reversal,
    usage,
)

A = LedgerAccount


@pytest.fixture
async def journal() -> JournalInMemory:
    made = JournalInMemory()
    await made.append(
        WALLET,
        [
            reload("r", 543, Money(500, "eur"), "1.0858"),
            hold("h", 200),
            capture("h", 150),
            refund("s", "settled/h", 50, EntryKind.CAPTURE),
            usage("u", 3, exact=500_001, quantity=3),
            refund("b", "u", 1),
            refund("c", "u", 1),
            hold("i", 100),
            reversal("r", 1, 100, 50, hold="i"),
            reversal("r", 2, 300),
            cost("lily/1", 10),
            overdraft("o", 40),
            hold("j", 5),
            release("j"),
            grant("g", 7),
        ],
    )
    return made


async def wrong(journal: JournalInMemory) -> list[tuple[int, str]]:
    found = await prove(journal, "acme")
    assert found.holds == (not found.differences)
    return [(one.sequence, one.rule) for one in found.differences]


async def test_a_whole_journal_holds(journal: JournalInMemory) -> None:
    found = await prove(journal, "acme")
    assert found.holds, found.differences
    last = journal.books["acme"].entries[-1]
    assert (found.entries, found.digest) == (15, last.digest)
    assert (found.available, found.held) == (last.available_after, last.held_after)
    assert found.sums[A.AVAILABLE, "usd"] == last.available_after
    assert sum(amount for (_, currency), amount in found.sums.items() if currency == "usd") == 0
    assert sum(amount for (_, currency), amount in found.sums.items() if currency == "eur") == 0


async def test_a_wallet_without_entries_holds() -> None:
    found = await prove(JournalInMemory(), "acme")
    assert (found.holds, found.entries, found.digest, found.sums) == (True, 0, FIRST_DIGEST, {})


async def test_many_pages_are_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "_PAGE", 3)
    journal = JournalInMemory()
    for number in range(10):
        await journal.append(WALLET, [grant(f"g{number}", 1), usage(f"u{number}", 1)])
    assert (await prove(journal, "acme")).entries == 20
    assert await wrong(journal) == []


async def test_a_change_of_any_field_shows(journal: JournalInMemory) -> None:
    entries = journal.books["acme"].entries
    whole = list(entries)
    other: dict[str, Any] = {
        "payload_hash": "z", "available_after": 9, "held_after": 9, "overdraft_after": 9,
        "exact": 9, "carry_after": 9, "quantity": 9, "rate": "9", "actor": "z", "digest": "z",
        "details": {"z": "z"}, "postings": (Posting(A.AVAILABLE, 1, "usd"),),
    }  # fmt: skip
    for place in range(len(whole)):
        for name, value in other.items():
            entries[place] = replace(whole[place], **{name: value})
            assert await wrong(journal), (place, name)
        entries[place] = whole[place]
    assert await wrong(journal) == []


async def test_a_removed_entry_shows(journal: JournalInMemory) -> None:
    entries = journal.books["acme"].entries
    for place in range(len(entries) - 1):
        removed = entries.pop(place)
        assert (place + 2, "its sequence does not follow") in await wrong(journal)
        entries.insert(place, removed)


def forged(journal: JournalInMemory, sequence: int, **values: Any) -> None:
    """Change an entry, and the chain of digests from it on, as a mistake in the rules would."""
    entries = journal.books["acme"].entries
    entries[sequence - 1] = replace(entries[sequence - 1], **values)
    before = entries[sequence - 2].digest if sequence > 1 else FIRST_DIGEST
    for place in range(sequence - 1, len(entries)):
        before = chained(before, entries[place])
        entries[place] = replace(entries[place], digest=before)


@pytest.mark.parametrize(
    ("sequence", "values", "rule"),
    [
        (15, {"key": "h"}, None),
        (7, {"key": "g"}, "its key is not its own"),
        (15, {"wallet": "rival"}, "it is another wallet's"),
        (15, {"currency": "eur"}, "it is in another currency"),
        (15, {"created_at": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}, "its time goes back"),
        (15, {"postings": (Posting(A.AVAILABLE, 7, "usd"),)}, "its postings do not sum to zero"),
        (15, {"postings": (Posting(A.AVAILABLE, 7, "usd"), Posting(A.SALES, -7, "usd"))},
         "it posts to an account that is not one of its kind"),
        (15, {"available_after": 8}, "what is available does not follow from its postings"),
        (15, {"held_after": 8}, "what is held does not follow from its postings"),
        (15, {"exact": 1}, "an entry of its kind has no price"),
        (15, {"carry_after": -1}, "its carry is out of range"),
        (15, {"overdraft_after": 1}, "it changes the overdraft"),
        (11, {"exact": 9_000_000}, "what it posts and carries is not its exact price"),
        (14, {"key": "settled/none"}, "it ends a hold that is not there"),
        (14, {"key": "settled/i"}, "it does not end all of its hold"),
        (14, {"key": "none"}, "it ends no hold, and moves what is held"),
        (7, {"reference": "none"}, "it refunds what is not there"),
        (7, {"reference": "r"}, "it refunds what is not there"),
        (7, {"refunded": Refunded(3, 1)},
         "what was refunded in all does not follow from the refund before"),
        (7, {"quantity": 3, "refunded": Refunded(4, 2_333_334)},
         "more is refunded than there was"),
        (15, {"refunded": Refunded(1, 1)}, "only a refund tells what was refunded"),
        (15, {"targets": Targets(1, 1, 1)}, "only a reversal has targets"),
        (10, {"reference": "u"}, "it reverses what is not there"),
        (10, {"targets": Targets(3, 300, 0)}, "its targets do not follow those before"),
        (10, {"targets": Targets(2, 300, 201)}, "more is lost than was paid"),
        (10, {"targets": Targets(2, 299, 0)}, "what it posts is not what its targets ask for"),
    ],
)  # fmt: skip
async def test_a_broken_rule_is_named(
    journal: JournalInMemory, sequence: int, values: dict[str, Any], rule: str | None
) -> None:
    forged(journal, sequence, **values)
    found = await wrong(journal)
    assert (sequence, rule) in found if rule else found == []


async def test_more_spent_than_there_is_shows() -> None:
    journal = JournalInMemory()
    await journal.append(WALLET, [grant("g", 10), cost("l/1", 20)])
    entry: Entry = journal.books["acme"].entries[1]
    forged(journal, 2, kind=EntryKind.HOLD, exact=0, postings=(
        Posting(A.AVAILABLE, -20, "usd"), Posting(A.HELD, 20, "usd"),
    ), held_after=20)  # fmt: skip
    assert entry.available_after == -10
    assert await wrong(journal) == [(2, "it spends more than there is")]


async def test_a_proof_tells_so_many_differences_and_counts_the_rest() -> None:
    journal = JournalInMemory()
    await journal.append(WALLET, [grant(f"g{number}", 1) for number in range(150)])
    entries = journal.books["acme"].entries
    entries[:] = [replace(entry, digest="z") for entry in entries]
    found = await prove(journal, "acme")
    assert (len(found.differences), found.count) == (MAX_DIFFERENCES, 150)
