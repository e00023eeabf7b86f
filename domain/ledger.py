"""The rules of a wallet's ledger: which entry follows from a command, or why none does.

Pure: stores append what is decided here and hold no rule of their own. What is posted for each kind
of entry, and what never changes, is in application/wallet/README.md.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from domain.ledger_amounts import MILLION, posted, share
from domain.ledger_commands import (
    Command,
    PostCapture,
    PostCost,
    PostGrant,
    PostHold,
    PostNote,
    PostOpening,
    PostOverdraft,
    PostRefund,
    PostRelease,
    PostReload,
    PostRenewal,
    PostReversal,
    PostUsage,
    PostWriteOff,
    hold_key,
    is_own_key,
    reload_key,
)
from domain.ledger_entries import (
    FIRST_DIGEST,
    Entry,
    EntryKind,
    LedgerAccount,
    Posting,
    Refunded,
    Targets,
    sealed,
    unbalanced,
)
from domain.ledger_outcomes import Appended, Outcome, References, Refusal, Refused, Standing
from domain.wallets import MAX_AMOUNT, Wallet

MAX_BALANCE: Final = 1_000 * MAX_AMOUNT
"""What is available or held stays below this many minor units, whatever its sign."""


def decide(
    wallet: Wallet, head: Entry | None, references: References, commands: Sequence[Command]
) -> tuple[Outcome, ...]:
    """The outcome of each command, one after another, behind the wallet's last entry `head`.

    Each sees what those before it have done. A refused one leaves the others alone. `references`
    were read after the head.
    """
    book = _Book(wallet, head, references)
    return tuple(book.post(command) for command in commands)


@dataclass(slots=True)
class _Draft:
    """What a command comes to, before it has its place. Amounts by account and currency."""

    kind: EntryKind
    moves: Sequence[tuple[LedgerAccount, int, str]] = ()
    exact: int = 0
    quantity: int = 0
    carry: int | None = None
    overdraft: int | None = None
    spends: bool = False
    reference: str = ""
    rate: str = ""
    refunded: Refunded | None = None
    targets: Targets | None = None


class _Book:
    """A wallet's journal as far as commands look at it, while they are decided."""

    def __init__(self, wallet: Wallet, head: Entry | None, references: References) -> None:
        self.wallet = wallet
        self.currency = wallet.currency
        self.head = head
        self.entries = dict(references.entries)
        self.last = dict(references.last)
        self.available = head.available_after if head else 0
        self.held = head.held_after if head else 0
        self.overdraft = head.overdraft_after if head else 0
        self.carry = head.carry_after if head else 0

    def post(self, command: Command) -> Outcome:
        """Decide one command, and take its entry into the book."""
        standing = self.entries.get(command.key)
        if standing is not None:
            if standing.payload_hash != command.payload_hash and not is_own_key(command.key):
                return Refused(Refusal.KEY_REUSED, self.available)
            return Standing(standing)
        if self.head is not None and self.head.currency != self.currency:
            return Refused(Refusal.WRONG_CURRENCY, self.available)
        draft = _DRAFTS[type(command)](self, command)
        if isinstance(draft, Refusal):
            return Refused(draft, self.available)
        entry = self._entry(command, draft)
        if draft.spends and entry.available_after < -self.overdraft:
            return Refused(Refusal.BALANCE_TOO_LOW, self.available)
        if max(abs(entry.available_after), abs(entry.held_after)) > MAX_BALANCE:
            return Refused(Refusal.BALANCE_TOO_LARGE, self.available)
        self._take(entry)
        return Appended(entry)

    def _entry(self, command: Command, draft: _Draft) -> Entry:
        head = self.head
        postings = tuple(Posting(*move) for move in draft.moves if move[1])
        available, held = self.available, self.held
        for posting in postings:
            if posting.account is LedgerAccount.AVAILABLE:
                available += posting.amount
            elif posting.account is LedgerAccount.HELD:
                held += posting.amount
        at = command.at.astimezone(dt.UTC)
        at = at.replace(microsecond=at.microsecond // 1_000 * 1_000)
        entry = Entry(
            wallet=self.wallet.name,
            sequence=head.sequence + 1 if head else 1,
            key=command.key,
            payload_hash=command.payload_hash,
            kind=draft.kind,
            postings=postings,
            currency=self.currency,
            available_after=available,
            held_after=held,
            overdraft_after=self.overdraft if draft.overdraft is None else draft.overdraft,
            exact=draft.exact,
            carry_after=self.carry if draft.carry is None else draft.carry,
            quantity=draft.quantity,
            reference=draft.reference,
            rate=draft.rate,
            actor=command.actor,
            created_at=max(at, head.created_at) if head else at,
            details=command.details,
            refunded=draft.refunded,
            targets=draft.targets,
        )
        if unbalanced(entry):
            raise AssertionError(f"{draft.kind}: its postings do not sum to zero")
        return sealed(head.digest if head else FIRST_DIGEST, entry)

    def _take(self, entry: Entry) -> None:
        self.head = entry
        self.available, self.held = entry.available_after, entry.held_after
        self.overdraft, self.carry = entry.overdraft_after, entry.carry_after
        self.entries[entry.key] = entry
        if entry.reference:
            self.last[entry.reference] = entry

    def held_by(self, hold: str) -> int | None:
        """What a hold that has not ended holds; None where there is no such hold."""
        entry = self.entries.get(hold_key(hold))
        if entry is None or entry.kind is not EntryKind.HOLD:
            return None
        return entry.posted(LedgerAccount.HELD)


def _reload(book: _Book, command: PostReload) -> _Draft | Refusal:
    charged, credited = command.charged, command.credited
    moves = [
        (LedgerAccount.AVAILABLE, credited, book.currency),
        (LedgerAccount.STRIPE, -charged.amount, charged.currency),
    ]
    if charged.currency != book.currency:
        moves += [
            (LedgerAccount.FX, charged.amount, charged.currency),
            (LedgerAccount.FX, -credited, book.currency),
        ]
    elif charged.amount != credited:
        return Refusal.WRONG_CURRENCY
    return _Draft(EntryKind.RELOAD, moves, rate=command.rate)


def _reversal(book: _Book, command: PostReversal) -> _Draft | Refusal:
    key = reload_key(command.reload)
    reload, held = book.entries.get(key), 0
    if reload is None or reload.kind is not EntryKind.RELOAD:
        return Refusal.NOT_FOUND
    if command.hold:
        amount = book.held_by(command.hold)
        if amount is None:
            return Refusal.NOT_FOUND
        held = amount
    last = book.last.get(key)
    before = last.targets if last is not None and last.targets is not None else Targets(0, 0, 0)
    after = Targets(command.number, command.gone, command.withheld)
    if after.number != before.number + 1:
        return Refusal.OUT_OF_ORDER
    paid = next(one for one in reload.postings if one.account is LedgerAccount.STRIPE)
    if after.gone + after.withheld > -paid.amount:
        return Refusal.REVERSAL_TOO_LARGE
    credited = reload.posted(LedgerAccount.AVAILABLE)

    def lost(amount: int) -> int:
        return share(credited, amount, -paid.amount)

    gone = lost(after.gone) - lost(before.gone)
    out = lost(after.gone + after.withheld) - lost(before.gone + before.withheld)
    paid_back = after.gone - before.gone
    moves = [
        (LedgerAccount.HELD, -held, book.currency),
        (LedgerAccount.AVAILABLE, held - out, book.currency),
        (LedgerAccount.DISPUTED, out - gone, book.currency),
        (LedgerAccount.STRIPE, paid_back, paid.currency),
    ]
    if paid.currency != book.currency:
        moves += [
            (LedgerAccount.FX, -paid_back, paid.currency),
            (LedgerAccount.FX, gone, book.currency),
        ]
    return _Draft(EntryKind.REVERSAL, moves, reference=key, rate=reload.rate, targets=after)


def _hold(book: _Book, command: PostHold) -> _Draft:
    moves = [
        (LedgerAccount.AVAILABLE, -command.amount, book.currency),
        (LedgerAccount.HELD, command.amount, book.currency),
    ]
    return _Draft(EntryKind.HOLD, moves, spends=True)


def _release(book: _Book, command: PostRelease) -> _Draft | Refusal:
    held = book.held_by(command.hold)
    if held is None:
        return Refusal.NOT_FOUND
    moves = [
        (LedgerAccount.HELD, -held, book.currency),
        (LedgerAccount.AVAILABLE, held, book.currency),
    ]
    return _Draft(EntryKind.RELEASE, moves, reference=hold_key(command.hold))


def _capture(book: _Book, command: PostCapture) -> _Draft | Refusal:
    held = book.held_by(command.hold)
    if held is None:
        return Refusal.NOT_FOUND
    if command.amount > held:
        return Refusal.CAPTURE_TOO_LARGE
    moves = [
        (LedgerAccount.HELD, -held, book.currency),
        (LedgerAccount.SALES, command.amount, book.currency),
        (LedgerAccount.AVAILABLE, held - command.amount, book.currency),
    ]
    return _Draft(
        EntryKind.CAPTURE,
        moves,
        exact=command.amount * MILLION,
        quantity=command.amount,
        reference=hold_key(command.hold),
    )


def _renewal(book: _Book, command: PostRenewal) -> _Draft:
    moves = [
        (LedgerAccount.AVAILABLE, -command.amount, book.currency),
        (LedgerAccount.SALES, command.amount, book.currency),
    ]
    return _Draft(
        EntryKind.RENEWAL,
        moves,
        exact=command.amount * MILLION,
        quantity=command.amount,
        reference=command.key.rpartition("/")[0],  # that of `renewals_of`: so the last is found
    )


def _usage(book: _Book, command: PostUsage) -> _Draft:
    return _spent(book, EntryKind.USAGE, LedgerAccount.USAGE, command, spends=True)


def _cost(book: _Book, command: PostCost) -> _Draft:
    draft = _spent(book, EntryKind.COST, LedgerAccount.COST, command, spends=False)
    draft.reference = command.key.rpartition("/")[0]  # that of `costs_of`: so the last one is found
    return draft


def _spent(
    book: _Book,
    kind: EntryKind,
    account: LedgerAccount,
    command: PostUsage | PostCost,
    *,
    spends: bool,
) -> _Draft:
    amount, carry = posted(book.carry, command.exact)
    moves = [
        (LedgerAccount.AVAILABLE, -amount, book.currency),
        (account, amount, book.currency),
    ]
    return _Draft(
        kind, moves, exact=command.exact, quantity=command.quantity, carry=carry, spends=spends
    )


_REFUNDS: Final[Mapping[EntryKind, tuple[EntryKind, LedgerAccount]]] = {
    EntryKind.USAGE: (EntryKind.USAGE_REFUND, LedgerAccount.USAGE),
    EntryKind.COST: (EntryKind.COST_REFUND, LedgerAccount.COST),
    EntryKind.CAPTURE: (EntryKind.SALE_REFUND, LedgerAccount.SALES),
}


def _refund(book: _Book, command: PostRefund) -> _Draft | Refusal:
    whole = book.entries.get(command.refunded)
    if whole is None or whole.kind is not command.of:
        return Refusal.NOT_FOUND
    kind, account = _REFUNDS[command.of]
    last = book.last.get(command.refunded)
    before = last.refunded if last is not None and last.refunded is not None else Refunded(0, 0)
    quantity = before.quantity + command.quantity
    if quantity > whole.quantity:
        return Refusal.REFUND_TOO_LARGE
    after = Refunded(quantity, share(whole.exact, quantity, whole.quantity))
    exact = before.exact - after.exact
    amount, carry = posted(book.carry, exact)
    moves = [
        (LedgerAccount.AVAILABLE, -amount, book.currency),
        (account, amount, book.currency),
    ]
    return _Draft(
        kind,
        moves,
        exact=exact,
        quantity=command.quantity,
        carry=carry,
        reference=command.refunded,
        refunded=after,
    )


def _grant(book: _Book, command: PostGrant) -> _Draft:
    return _given(book, EntryKind.GRANT, LedgerAccount.GRANTS, command.amount)


def _write_off(book: _Book, command: PostWriteOff) -> _Draft | Refusal:
    if command.amount > -book.available:
        return Refusal.NO_SUCH_DEBT
    return _given(book, EntryKind.WRITE_OFF, LedgerAccount.WRITTEN_OFF, command.amount)


def _opening(book: _Book, command: PostOpening) -> _Draft:
    return _given(book, EntryKind.OPENING, LedgerAccount.GRANTS, command.amount)


def _given(book: _Book, kind: EntryKind, account: LedgerAccount, amount: int) -> _Draft:
    moves = [
        (LedgerAccount.AVAILABLE, amount, book.currency),
        (account, -amount, book.currency),
    ]
    return _Draft(kind, moves)


def _overdraft(_: _Book, command: PostOverdraft) -> _Draft:
    return _Draft(EntryKind.OVERDRAFT, overdraft=command.limit)


def _note(_: _Book, __: PostNote) -> _Draft:
    return _Draft(EntryKind.NOTE)


_DRAFTS: Final[Mapping[type[Command], Callable[[_Book, Any], _Draft | Refusal]]] = {
    PostReload: _reload,
    PostReversal: _reversal,
    PostHold: _hold,
    PostRelease: _release,
    PostCapture: _capture,
    PostRenewal: _renewal,
    PostUsage: _usage,
    PostCost: _cost,
    PostRefund: _refund,
    PostGrant: _grant,
    PostWriteOff: _write_off,
    PostOverdraft: _overdraft,
    PostNote: _note,
    PostOpening: _opening,
}
