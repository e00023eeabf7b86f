"""Proving a wallet: its whole journal is walked, and what does not hold is named.

The rules are told here a second time, and not by the code that decides: a mistake in
`domain.ledger` shows, and so does what somebody has changed in the store.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from application.wallet.ports import Journal
from domain.ledger_amounts import MILLION, share
from domain.ledger_commands import hold_key
from domain.ledger_entries import (
    FIRST_DIGEST,
    Entry,
    EntryKind,
    LedgerAccount,
    Refunded,
    Targets,
    chained,
    unbalanced,
)

MAX_DIFFERENCES: Final = 100
"""How many differences a proof tells; it counts the others."""

_PAGE: Final = 300
"""Entries a read: with the keys of what each follows from within what `by_keys` takes."""

_SETTLED: Final = "settled/"

_SPENT: Final = (LedgerAccount.USAGE, LedgerAccount.COST, LedgerAccount.SALES)

_A: Final = LedgerAccount
_ACCOUNTS: Final[Mapping[EntryKind, frozenset[LedgerAccount]]] = {
    EntryKind.RELOAD: frozenset({_A.AVAILABLE, _A.STRIPE, _A.FX}),
    EntryKind.REVERSAL: frozenset({_A.AVAILABLE, _A.HELD, _A.DISPUTED, _A.STRIPE, _A.FX}),
    EntryKind.HOLD: frozenset({_A.AVAILABLE, _A.HELD}),
    EntryKind.RELEASE: frozenset({_A.AVAILABLE, _A.HELD}),
    EntryKind.CAPTURE: frozenset({_A.AVAILABLE, _A.HELD, _A.SALES}),
    EntryKind.RENEWAL: frozenset({_A.AVAILABLE, _A.SALES}),
    EntryKind.USAGE: frozenset({_A.AVAILABLE, _A.USAGE}),
    EntryKind.COST: frozenset({_A.AVAILABLE, _A.COST}),
    EntryKind.USAGE_REFUND: frozenset({_A.AVAILABLE, _A.USAGE}),
    EntryKind.COST_REFUND: frozenset({_A.AVAILABLE, _A.COST}),
    EntryKind.SALE_REFUND: frozenset({_A.AVAILABLE, _A.SALES}),
    EntryKind.GRANT: frozenset({_A.AVAILABLE, _A.GRANTS}),
    EntryKind.WRITE_OFF: frozenset({_A.AVAILABLE, _A.WRITTEN_OFF}),
    EntryKind.OVERDRAFT: frozenset(),
    EntryKind.NOTE: frozenset(),
    EntryKind.OPENING: frozenset({_A.AVAILABLE, _A.GRANTS}),
}
_REFUNDED: Final[Mapping[EntryKind, EntryKind]] = {
    EntryKind.USAGE_REFUND: EntryKind.USAGE,
    EntryKind.COST_REFUND: EntryKind.COST,
    EntryKind.SALE_REFUND: EntryKind.CAPTURE,
}
_PRICED: Final = frozenset(
    {EntryKind.USAGE, EntryKind.COST, EntryKind.CAPTURE, EntryKind.RENEWAL, *_REFUNDED}
)
_SPENDING: Final = frozenset({EntryKind.USAGE, EntryKind.HOLD})


@dataclass(frozen=True, slots=True)
class Difference:
    """What does not hold, of the entry with this sequence."""

    sequence: int
    rule: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What a walk found: `digest` is the last entry's, to be kept elsewhere and compared.

    `sums`: by account and currency, zeros left out. `differences` are the first MAX_DIFFERENCES of
    `count`.
    """

    wallet: str
    entries: int
    digest: str
    available: int
    held: int
    sums: Mapping[tuple[LedgerAccount, str], int]
    differences: Sequence[Difference]
    count: int

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.count


@dataclass(frozen=True, slots=True)
class Seen:
    """What an entry is held against: those before it, and that with its own key."""

    of_key: Entry | None
    reference: Entry | None
    hold: Entry | None
    follower: Entry | None
    """The one before it that follows from the same entry."""


async def prove(journal: Journal, wallet: str) -> Proof:
    """Walk a wallet's entries from the first to the last; in bounded memory, however many.

    What is appended meanwhile is walked too. Raises Unavailable (STORE_UNAVAILABLE).
    """
    sums: Counter[tuple[LedgerAccount, str]] = Counter()
    told: list[Difference] = []
    before: Entry | None = None
    entries = count = 0
    while page := await journal.list(wallet, after=before.sequence if before else 0, limit=_PAGE):
        keys = dict.fromkeys(chain.from_iterable(map(_keys, page)))
        by_key = await journal.by_keys(wallet, [*keys])
        for entry in page:
            seen = Seen(
                by_key.get(entry.key),
                by_key.get(entry.reference),
                by_key.get(_hold_of(entry) or ""),
                await _follower(journal, entry),
            )
            for rule in differences(wallet, before, entry, seen):
                count += 1
                if count <= MAX_DIFFERENCES:
                    told.append(Difference(entry.sequence, rule))
            for posting in entry.postings:
                sums[posting.account, posting.currency] += posting.amount
            before, entries = entry, entries + 1
    return Proof(
        wallet,
        entries,
        before.digest if before else FIRST_DIGEST,
        before.available_after if before else 0,
        before.held_after if before else 0,
        {place: amount for place, amount in sums.items() if amount},
        told,
        count,
    )


def differences(wallet: str, before: Entry | None, entry: Entry, seen: Seen) -> Iterator[str]:
    """The rules that an entry breaks, behind the one that was listed before it."""
    yield from _place(wallet, before, entry, seen)
    yield from _balances(before, entry)
    yield from _hold(entry, seen.hold)
    if entry.kind in _REFUNDED:
        yield from _refund(entry, seen)
    elif entry.refunded is not None:
        yield "only a refund tells what was refunded"
    if entry.kind is EntryKind.REVERSAL:
        yield from _reversal(entry, seen)
    elif entry.targets is not None:
        yield "only a reversal has targets"


def _place(wallet: str, before: Entry | None, entry: Entry, seen: Seen) -> Iterator[str]:
    if entry.wallet != wallet:
        yield "it is another wallet's"
    if entry.sequence != (before.sequence + 1 if before else 1):
        yield "its sequence does not follow"
    if seen.of_key is None or seen.of_key.sequence != entry.sequence:
        yield "its key is not its own"
    if entry.digest != chained(before.digest if before else FIRST_DIGEST, entry):
        yield "its digest does not follow from it and the one before"
    if before is not None and entry.created_at < before.created_at:
        yield "its time goes back"
    if before is not None and entry.currency != before.currency:
        yield "it is in another currency"


def _balances(before: Entry | None, entry: Entry) -> Iterator[str]:
    if unbalanced(entry):
        yield "its postings do not sum to zero"
    if not {posting.account for posting in entry.postings} <= _ACCOUNTS[entry.kind]:
        yield "it posts to an account that is not one of its kind"
    available = entry.posted(LedgerAccount.AVAILABLE) + (before.available_after if before else 0)
    if entry.available_after != available:
        yield "what is available does not follow from its postings"
    held = entry.posted(LedgerAccount.HELD) + (before.held_after if before else 0)
    if entry.held_after != held or held < 0:
        yield "what is held does not follow from its postings"
    spent = sum(map(entry.posted, _SPENT))
    carry = before.carry_after if before else 0
    if spent * MILLION + entry.carry_after != carry + entry.exact:
        yield "what it posts and carries is not its exact price"
    if not 0 <= entry.carry_after < MILLION:
        yield "its carry is out of range"
    if entry.exact and entry.kind not in _PRICED:
        yield "an entry of its kind has no price"
    overdraft = before.overdraft_after if before else 0
    if entry.overdraft_after != overdraft and entry.kind is not EntryKind.OVERDRAFT:
        yield "it changes the overdraft"
    if entry.kind in _SPENDING and entry.available_after < -overdraft:
        yield "it spends more than there is"


def _hold(entry: Entry, hold: Entry | None) -> Iterator[str]:
    held = entry.posted(LedgerAccount.HELD)
    if _hold_of(entry) is None:
        if held and entry.kind is not EntryKind.HOLD:
            yield "it ends no hold, and moves what is held"
    elif hold is None or hold.kind is not EntryKind.HOLD or hold.sequence >= entry.sequence:
        yield "it ends a hold that is not there"
    elif held != -hold.posted(LedgerAccount.HELD):
        yield "it does not end all of its hold"


def _refund(entry: Entry, seen: Seen) -> Iterator[str]:
    whole = seen.reference
    if whole is None or whole.kind is not _REFUNDED[entry.kind] or whole.sequence >= entry.sequence:
        yield "it refunds what is not there"
        return
    last = seen.follower.refunded if seen.follower is not None else None
    last = last or Refunded(0, 0)
    after = Refunded(last.quantity + entry.quantity, last.exact - entry.exact)
    if entry.refunded != after or entry.quantity < 1 or entry.exact > 0:
        yield "what was refunded in all does not follow from the refund before"
    if after.quantity > whole.quantity or after.exact > whole.exact:
        yield "more is refunded than there was"


def _reversal(entry: Entry, seen: Seen) -> Iterator[str]:
    reload, after = seen.reference, entry.targets
    if (
        reload is None
        or after is None
        or reload.kind is not EntryKind.RELOAD
        or reload.sequence >= entry.sequence
    ):
        yield "it reverses what is not there"
        return
    last = seen.follower.targets if seen.follower is not None else None
    last = last or Targets(0, 0, 0)
    if after.number != last.number + 1:
        yield "its targets do not follow those before"
    credited = reload.posted(LedgerAccount.AVAILABLE)
    paid = -sum(one.amount for one in reload.postings if one.account is LedgerAccount.STRIPE)
    if paid < 1:
        yield "it reverses what was not paid"
        return
    if min(after.gone, after.withheld) < 0 or after.gone + after.withheld > paid:
        yield "more is lost than was paid"

    def lost(targets: Targets) -> tuple[int, int]:
        gone = share(credited, targets.gone, paid)
        return gone, share(credited, targets.gone + targets.withheld, paid) - gone

    gone, withheld = (now - then for now, then in zip(lost(after), lost(last), strict=True))
    taken = entry.posted(LedgerAccount.AVAILABLE) + entry.posted(LedgerAccount.HELD)
    paid_back = sum(one.amount for one in entry.postings if one.account is LedgerAccount.STRIPE)
    if (taken, entry.posted(LedgerAccount.DISPUTED), paid_back) != (
        -gone - withheld, withheld, after.gone - last.gone,
    ):  # fmt: skip
        yield "what it posts is not what its targets ask for"


def _hold_of(entry: Entry) -> str | None:
    """The key of the hold that an entry ends, if it ends one."""
    if not entry.key.startswith(_SETTLED):
        return None
    return hold_key(entry.key.removeprefix(_SETTLED))


def _keys(entry: Entry) -> Iterator[str]:
    yield entry.key
    if entry.reference:
        yield entry.reference
    if (hold := _hold_of(entry)) is not None:
        yield hold


async def _follower(journal: Journal, entry: Entry) -> Entry | None:
    if entry.refunded is None and entry.targets is None:
        return None
    return await journal.last_follower(entry.wallet, entry.reference, before=entry.sequence)
