"""Commands to a wallet's ledger, for tests that care for a few of their values."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from domain.ledger import decide
from domain.ledger_amounts import MILLION
from domain.ledger_commands import (
    Command,
    PostCapture,
    PostCost,
    PostGrant,
    PostHold,
    PostOverdraft,
    PostRefund,
    PostRelease,
    PostReload,
    PostRenewal,
    PostReversal,
    PostUsage,
    hold_key,
    reload_key,
    reversal_key,
    settled_key,
)
from domain.ledger_entries import Entry, EntryKind
from domain.ledger_outcomes import Appended, Outcome, References, Refusal, Refused, Standing
from domain.money import Money
from domain.wallets import Wallet

WALLET: Final = Wallet("acme", None, "usd")
NOON: Final = dt.datetime(2026, 11, 2, 12, tzinfo=dt.UTC)

C = TypeVar("C", bound=Command)


def command(kind: type[C], key: str, **values: Any) -> C:
    """A command of a kind, asked for at noon by Ada."""
    return kind(**({"key": key, "payload_hash": "h", "actor": "ada", "at": NOON} | values))


def grant(key: str, amount: int, **values: Any) -> PostGrant:
    return command(PostGrant, key, amount=amount, **values)


def overdraft(key: str, limit: int, **values: Any) -> PostOverdraft:
    return command(PostOverdraft, key, limit=limit, **values)


def usage(key: str, amount: int = 0, *, exact: int = 0, quantity: int = 1, **v: Any) -> PostUsage:
    """Usage of `amount` minor units, and `exact` millionths more."""
    exact += amount * MILLION
    return command(PostUsage, key, exact=exact, quantity=quantity, **v)


def cost(key: str, amount: int = 0, *, exact: int = 0, quantity: int = 1, **v: Any) -> PostCost:
    exact += amount * MILLION
    return command(PostCost, f"cost/{key}", exact=exact, quantity=quantity, **v)


def renewal(key: str, amount: int, **values: Any) -> PostRenewal:
    return command(PostRenewal, f"renewal/{key}", amount=amount, **values)


def refund(
    key: str, refunded: str, quantity: int, of: EntryKind = EntryKind.USAGE, **values: Any
) -> PostRefund:
    return command(PostRefund, key, refunded=refunded, of=of, quantity=quantity, **values)


def hold(name: str, amount: int, **values: Any) -> PostHold:
    return command(PostHold, hold_key(name), amount=amount, **values)


def release(name: str, **values: Any) -> PostRelease:
    return command(PostRelease, settled_key(name), hold=name, **values)


def capture(name: str, amount: int, **values: Any) -> PostCapture:
    return command(PostCapture, settled_key(name), hold=name, amount=amount, **values)


def reload(
    name: str, credited: int, charged: Money | None = None, rate: str = "", **values: Any
) -> PostReload:
    charged = charged or Money(credited, "usd")
    key = reload_key(name)
    return command(PostReload, key, charged=charged, credited=credited, rate=rate, **values)


def reversal(
    name: str, number: int, gone: int, withheld: int = 0, hold: str = "", **values: Any
) -> PostReversal:
    key = settled_key(hold) if hold else reversal_key(name, number)
    targets = {"reload": name, "number": number, "gone": gone, "withheld": withheld}
    return command(PostReversal, key, hold=hold, **targets, **values)


class Books:
    """A wallet's journal in memory: the simplest store that there is."""

    def __init__(self, wallet: Wallet = WALLET) -> None:
        self.wallet = wallet
        self.entries: list[Entry] = []

    def post(self, *commands: Command) -> Sequence[Outcome]:
        """Decide commands at once and append what follows."""
        entries = {entry.key: entry for entry in self.entries}
        last = {entry.reference: entry for entry in self.entries if entry.reference}
        head = self.entries[-1] if self.entries else None
        outcomes = decide(self.wallet, head, References(entries, last), commands)
        self.entries += [one.entry for one in outcomes if isinstance(one, Appended)]
        return outcomes

    def append(self, *commands: Command) -> Entry:
        """Append the entries of commands, none of which is refused or stands; gives the last."""
        outcomes = self.post(*commands)
        assert all(isinstance(outcome, Appended) for outcome in outcomes), outcomes
        return self.entries[-1]

    def refuse(self, refused: Command) -> Refusal:
        """Why a command is refused."""
        before = len(self.entries)
        (outcome,) = self.post(refused)
        assert isinstance(outcome, Refused), outcome
        assert len(self.entries) == before
        return outcome.refusal

    def stands(self, repeated: Command) -> Entry:
        """The entry that stands under a command's key."""
        (outcome,) = self.post(repeated)
        assert isinstance(outcome, Standing), outcome
        return outcome.entry

    @property
    def available(self) -> int:
        return self.entries[-1].available_after

    @property
    def held(self) -> int:
        return self.entries[-1].held_after

    def sums(self) -> dict[tuple[str, str], int]:
        """What stands on each account and in each currency, zeros left out."""
        sums: dict[tuple[str, str], int] = {}
        for entry in self.entries:
            for posting in entry.postings:
                place = posting.account.value, posting.currency
                sums[place] = sums.get(place, 0) + posting.amount
        return {place: amount for place, amount in sums.items() if amount}


def moved(entry: Entry) -> dict[str, int]:
    """What an entry posts, by account, and by account and currency where that is another."""
    return {
        posting.account.value
        if posting.currency == entry.currency
        else f"{posting.account.value} {posting.currency}": posting.amount
        for posting in entry.postings
    }
