"""What a wallet's journal is made of: entries, their postings, and the chain of their digests."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from json.encoder import encode_basestring_ascii as _text
from typing import Final

from domain.periods import to_milliseconds


class LedgerAccount(StrEnum):
    """An account of a wallet's books: `+` is the owner's gain."""

    AVAILABLE = "available"
    HELD = "held"
    STRIPE = "stripe"
    DISPUTED = "disputed"
    USAGE = "usage"
    COST = "cost"
    SALES = "sales"
    GRANTS = "grants"
    WRITTEN_OFF = "written_off"
    FX = "fx"


class EntryKind(StrEnum):
    """What has happened to a wallet: application/wallet/README.md has the postings of each."""

    RELOAD = "reload"
    REVERSAL = "reversal"
    HOLD = "hold"
    RELEASE = "release"
    CAPTURE = "capture"
    RENEWAL = "renewal"
    USAGE = "usage"
    COST = "cost"
    USAGE_REFUND = "usage_refund"
    COST_REFUND = "cost_refund"
    SALE_REFUND = "sale_refund"
    GRANT = "grant"
    WRITE_OFF = "write_off"
    OVERDRAFT = "overdraft"
    NOTE = "note"
    OPENING = "opening"


@dataclass(frozen=True, slots=True)
class Posting:
    """An amount in minor units, never zero, that an entry adds to an account of the books."""

    account: LedgerAccount
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Refunded:
    """How much of an entry has been refunded in all: units, and millionths of a minor unit."""

    quantity: int
    exact: int


@dataclass(frozen=True, slots=True)
class Targets:
    """What a reload has lost in all, in minor units of the currency that was paid.

    `gone` by refunds and lost disputes, `withheld` by open ones; `number` counts the targets of a
    reload from 1.
    """

    number: int
    gone: int
    withheld: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a wallet's journal. It is never changed; corrections are entries.

    `wallet` is the wallet's name, `sequence` counts its entries from 1. Amounts are minor units of
    `currency`, `exact` and `carry_after` millionths of one. `quantity` counts what `exact` is the
    price of, so that it can be refunded in parts; of a capture these are minor units. `reference`
    is the key of the entry that this one follows from: what is refunded or reversed, or the hold
    that ends; of a cost what `costs_of` gives. `refunded` and `targets` are totals after this
    entry. `rate` is the decimal that a reload was converted at. `details` are for people (service,
    reason).
    """

    wallet: str
    sequence: int
    key: str
    payload_hash: str
    kind: EntryKind
    postings: tuple[Posting, ...]
    currency: str
    available_after: int
    held_after: int
    overdraft_after: int
    exact: int
    carry_after: int
    quantity: int
    reference: str
    rate: str
    actor: str
    created_at: dt.datetime
    details: Mapping[str, str] = field(default_factory=dict)
    refunded: Refunded | None = None
    targets: Targets | None = None
    digest: str = ""

    def posted(self, account: LedgerAccount) -> int:
        """What the entry adds to an account, in the wallet's currency."""
        return sum(
            posting.amount
            for posting in self.postings
            if posting.account is account and posting.currency == self.currency
        )


FIRST_DIGEST: Final = "0" * 64
"""What stands before the digest of a wallet's first entry."""

_deterministic: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def chained(before: str, entry: Entry) -> str:
    """The digest of an entry behind the digest `before`: 64 hexadecimal digits.

    SHA-256 over `before`, a line feed, and the entry `as_json`.
    """
    return hashlib.sha256(f"{before}\n{as_json(entry)}".encode()).hexdigest()


def sealed(before: str, entry: Entry) -> Entry:
    """An entry that nobody has seen yet, with its digest behind the digest `before`.

    It is given the digest in place: a copy would take longer than all else that is decided.
    """
    object.__setattr__(entry, "digest", chained(before, entry))
    return entry


def as_json(entry: Entry) -> str:
    """An entry as deterministic JSON, for its digest, which is left out.

    Keys are sorted, there are no spaces, beyond ASCII all is escaped, times are milliseconds since
    1970, postings are lists of account, amount and currency. Written out, since JSON's encoder
    takes twice as long.
    """
    postings = ",".join(
        f"[{_text(posting.account)},{posting.amount},{_text(posting.currency)}]"
        for posting in entry.postings
    )
    refunded, targets = entry.refunded, entry.targets
    refunded_ = f"[{refunded.quantity},{refunded.exact}]" if refunded else "null"
    targets_ = f"[{targets.number},{targets.gone},{targets.withheld}]" if targets else "null"
    details = _deterministic(dict(entry.details)) if entry.details else "{}"
    return (
        f'{{"actor":{_text(entry.actor)},"available_after":{entry.available_after},'
        f'"carry_after":{entry.carry_after},"created_at":{to_milliseconds(entry.created_at)},'
        f'"currency":{_text(entry.currency)},"details":{details},"exact":{entry.exact},'
        f'"held_after":{entry.held_after},"key":{_text(entry.key)},"kind":{_text(entry.kind)},'
        f'"overdraft_after":{entry.overdraft_after},"payload_hash":{_text(entry.payload_hash)},'
        f'"postings":[{postings}],"quantity":{entry.quantity},"rate":{_text(entry.rate)},'
        f'"reference":{_text(entry.reference)},"refunded":{refunded_},'
        f'"sequence":{entry.sequence},"targets":{targets_},"wallet":{_text(entry.wallet)}}}'
    )


def unbalanced(entry: Entry) -> Mapping[str, int]:
    """The currencies in which the postings of an entry do not sum to zero, with the sums."""
    sums: dict[str, int] = {}
    for posting in entry.postings:
        sums[posting.currency] = sums.get(posting.currency, 0) + posting.amount
    return {currency: amount for currency, amount in sums.items() if amount}
