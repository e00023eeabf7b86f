"""What comes of a command to a wallet's ledger, and what a store has to know to decide it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.ledger_entries import Entry


class Refusal(StrEnum):
    """Why no entry follows from a command."""

    BALANCE_TOO_LOW = "BALANCE_TOO_LOW"
    """A debit or a hold would take what is available below -overdraft."""

    KEY_REUSED = "KEY_REUSED"
    """Something else was asked for under this key of a caller's."""

    NOT_FOUND = "NOT_FOUND"
    """What is to be refunded, reversed or ended is not in this wallet."""

    REFUND_TOO_LARGE = "REFUND_TOO_LARGE"
    """More would be refunded in all than there was."""

    CAPTURE_TOO_LARGE = "CAPTURE_TOO_LARGE"
    """More would be captured than is held."""

    REVERSAL_TOO_LARGE = "REVERSAL_TOO_LARGE"
    """More would be lost than was paid."""

    OUT_OF_ORDER = "OUT_OF_ORDER"
    """The targets before these are not posted, or later ones are."""

    NO_SUCH_DEBT = "NO_SUCH_DEBT"
    """More would be written off than is owed."""

    WRONG_CURRENCY = "WRONG_CURRENCY"
    """The wallet is kept in another currency, or a currency was credited with another amount."""

    BALANCE_TOO_LARGE = "BALANCE_TOO_LARGE"
    """The balance would leave what a store can hold."""


@dataclass(frozen=True, slots=True)
class References:
    """What a store knows of other entries than the head: nothing that commands need may be missing.

    `entries` by their keys; `last`: of each entry that others follow from, by its key, the follower
    with the greatest sequence.
    """

    entries: Mapping[str, Entry] = field(default_factory=dict)
    last: Mapping[str, Entry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Appended:
    """A new entry follows."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Standing:
    """The key has its entry already: nothing follows. Under our own keys it may be of any kind."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing follows. `available` is what was there when it was decided."""

    refusal: Refusal
    available: int


Outcome = Appended | Standing | Refused
