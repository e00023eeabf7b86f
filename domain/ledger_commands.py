"""What may be asked of a wallet's ledger, and the keys that make each happen once."""

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from domain.ids import ID_RULE, is_object_id
from domain.ledger_amounts import MAX_EXACT, MAX_QUANTITY
from domain.ledger_entries import EntryKind
from domain.money import Money
from domain.rates import RATE_RULE, is_rate
from domain.wallets import MAX_AMOUNT

MAX_DETAILS: Final = 16
MAX_DETAIL: Final = 1_000
_DETAIL: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


def reload_key(reload: str) -> str:
    """The key of a reload's credit."""
    return f"reload/{reload}"


def reversal_key(reload: str, number: int) -> str:
    """The key of what a reload lost by its targets of this number."""
    return f"reversal/{reload}/{number}"


def hold_key(hold: str) -> str:
    """The key of a hold."""
    return f"hold/{hold}"


def settled_key(hold: str) -> str:
    """The key of whatever ends a hold: so it ends once."""
    return f"settled/{hold}"


def cost_key(account: str, sequence: int) -> str:
    """The key of what a usage entry of a sub-account costs its parent."""
    return f"cost/{account}/{sequence}"


def costs_of(account: str) -> str:
    """What all costs of a sub-account's usage refer to in its parent's wallet: no entry's key."""
    return f"cost/{account}"


def renewal_key(checkout: str, period: int) -> str:
    """The key of what a further period of something sold costs its seller; periods from 2."""
    return f"{renewals_of(checkout)}/{period}"


def renewals_of(checkout: str) -> str:
    """What all renewals of a sale refer to: no entry's key."""
    return f"renewal/{checkout}"


def sale_refund_key(checkout: str, part: int) -> str:
    """The key of the cost that comes back to the seller with a part of a sale."""
    return f"sale-refund/{checkout}/{part}"


def purchase_key(checkout: str) -> str:
    """The key of the note in its buyer's wallet that something was bought."""
    return f"purchase/{checkout}"


def opening_key(name: str) -> str:
    """The key of a balance that was brought from elsewhere."""
    return f"opening/{name}"


def is_own_key(key: str) -> bool:
    """Whether a key is one of Billing's own: a caller's request id holds no slash."""
    return "/" in key


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One entry to post. Amounts are integer minor units of the wallet's currency.

    `key` is the entry's for good, `payload_hash` that of what was asked for under it. `at` is when
    it came: aware, kept in milliseconds. `actor` is who asked. `details` are for people. ValueError
    for what no entry could hold.
    """

    key: str
    payload_hash: str
    actor: str
    at: dt.datetime
    details: Mapping[str, str] = field(default_factory=dict)


def _check(command: Command, prefix: str = "") -> None:
    if not is_object_id(command.key):
        raise ValueError(f"key: {ID_RULE}")
    if not command.key.startswith(prefix):
        raise ValueError(f"key: begins with {prefix}")
    if command.at.tzinfo is None:
        raise ValueError("at: an aware datetime is needed")
    if len(command.details) > MAX_DETAILS:
        raise ValueError(f"details: at most {MAX_DETAILS}")
    for name, text in command.details.items():
        if not _DETAIL.fullmatch(name):
            raise ValueError("details: names of lower-case letters, digits and _")
        if len(text) > MAX_DETAIL:
            raise ValueError(f"details: texts of at most {MAX_DETAIL} characters")
    if any(
        map(_SURROGATE.search, (command.payload_hash, command.actor, *command.details.values()))
    ):
        raise ValueError("texts: without surrogates, which are no characters")


def _check_amount(name: str, amount: int, least: int = 1) -> None:
    if type(amount) is not int or not least <= amount <= MAX_AMOUNT:
        raise ValueError(f"{name}: an integer from {least} to {MAX_AMOUNT:,}")


def _check_price(exact: int, quantity: int) -> None:
    if type(exact) is not int or not 0 <= exact <= MAX_EXACT:
        raise ValueError(f"exact: an integer from 0 to {MAX_EXACT:,}")
    if type(quantity) is not int or not 1 <= quantity <= MAX_QUANTITY:
        raise ValueError(f"quantity: an integer from 1 to {MAX_QUANTITY:,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostReload(Command):
    """Credit a reload that Stripe says is paid: `charged` there, `credited` here.

    Key: `reload_key`. `rate` is the decimal of the conversion, empty within one currency.
    """

    charged: Money
    credited: int
    rate: str = ""

    def __post_init__(self) -> None:
        _check(self, "reload/")
        _check_amount("charged", self.charged.amount)
        _check_amount("credited", self.credited)
        if self.rate and not is_rate(self.rate):
            raise ValueError(f"rate: {RATE_RULE}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostReversal(Command):
    """Bring what a reload has lost to targets, in minor units of the currency that was paid.

    `number` counts the reload's targets from 1. Key: `reversal_key`; `settled_key` where `hold`
    names the hold that this ends: what was held goes first, the rest of it becomes available.
    """

    reload: str
    number: int
    gone: int
    withheld: int
    hold: str = ""

    def __post_init__(self) -> None:
        _check(self)
        _check_amount("number", self.number)
        _check_amount("gone", self.gone, 0)
        _check_amount("withheld", self.withheld, 0)
        wanted = settled_key(self.hold) if self.hold else reversal_key(self.reload, self.number)
        if self.key != wanted:
            raise ValueError("key: that of the reversal, or of the hold's end")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostHold(Command):
    """Set an amount aside, never below the overdraft. Key: `hold_key`."""

    amount: int

    def __post_init__(self) -> None:
        _check(self, "hold/")
        _check_amount("amount", self.amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostRelease(Command):
    """End a hold: all of it is available again. Key: `settled_key`."""

    hold: str

    def __post_init__(self) -> None:
        _check(self)
        if self.key != settled_key(self.hold):
            raise ValueError("key: that of the hold's end")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostCapture(Command):
    """End a hold: `amount` of it is spent on a sale, the rest available again.

    Key: `settled_key`.
    """

    hold: str
    amount: int

    def __post_init__(self) -> None:
        _check(self)
        if self.key != settled_key(self.hold):
            raise ValueError("key: that of the hold's end")
        _check_amount("amount", self.amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostRenewal(Command):
    """Post what a further period of something sold costs its seller, also below the overdraft.

    Key: `renewal_key`.
    """

    amount: int

    def __post_init__(self) -> None:
        _check(self, "renewal/")
        _check_amount("amount", self.amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostUsage(Command):
    """Spend `exact` millionths of a minor unit on `quantity` units, never below the overdraft."""

    exact: int
    quantity: int

    def __post_init__(self) -> None:
        _check(self)
        _check_price(self.exact, self.quantity)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostCost(Command):
    """Post what a sub-account's usage costs its parent, also below the overdraft.

    Key: `cost_key`.
    """

    exact: int
    quantity: int

    def __post_init__(self) -> None:
        _check(self, "cost/")
        _check_price(self.exact, self.quantity)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostRefund(Command):
    """Give back `quantity` units of the entry `refunded`, a key; of a capture minor units.

    `of` is the kind that it must have: usage, cost or capture. One of another kind is not found.
    """

    refunded: str
    of: EntryKind
    quantity: int

    def __post_init__(self) -> None:
        _check(self)
        if self.of not in (EntryKind.USAGE, EntryKind.COST, EntryKind.CAPTURE):
            raise ValueError("of: usage, cost or capture")
        _check_amount("quantity", self.quantity)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostGrant(Command):
    """Give credit against nothing."""

    amount: int

    def __post_init__(self) -> None:
        _check(self)
        _check_amount("amount", self.amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostWriteOff(Command):
    """Give up a debt, or a part of it."""

    amount: int

    def __post_init__(self) -> None:
        _check(self)
        _check_amount("amount", self.amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostOverdraft(Command):
    """Let debits and holds take what is available to `limit` below zero from now on."""

    limit: int

    def __post_init__(self) -> None:
        _check(self)
        _check_amount("limit", self.limit, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostNote(Command):
    """Note what moved no credit, such as a purchase that was paid by card."""

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostOpening(Command):
    """Begin with a balance from elsewhere, a debt if it is negative. Key: `opening_key`."""

    amount: int

    def __post_init__(self) -> None:
        _check(self, "opening/")
        _check_amount("amount", abs(self.amount), 0)


def keys_of(command: Command) -> Iterator[str]:
    """The keys of the entries that decide about a command, its own first."""
    yield command.key
    if isinstance(command, PostRefund):
        yield command.refunded
    elif isinstance(command, PostReversal):
        yield reload_key(command.reload)
        if command.hold:
            yield hold_key(command.hold)
    elif isinstance(command, PostRelease | PostCapture):
        yield hold_key(command.hold)


def followed_by(command: Command) -> str | None:
    """The key of the entry whose last follower decides about a command, if there is one."""
    if isinstance(command, PostRefund):
        return command.refunded
    return reload_key(command.reload) if isinstance(command, PostReversal) else None


def looks_back(command: Command) -> bool:
    """Whether a command is decided by other entries than the head (and the one of its key)."""
    return isinstance(command, PostRefund | PostReversal | PostRelease | PostCapture)
