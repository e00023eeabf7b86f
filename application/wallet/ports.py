"""What the wallet needs of a store: the journal, the settings, and who buys as which customer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from domain.ledger_commands import Command
from domain.ledger_entries import Entry
from domain.ledger_outcomes import Outcome
from domain.wallets import Buyer, Wallet, WalletSettings

MAX_COMMANDS: Final = 256
"""How many commands one call appends at most."""

MAX_WAITING: Final = 4_096
"""How many commands may wait for one wallet in one process; more are refused at once."""

MAX_ENTRIES: Final = 1_000
"""How many entries, settings or keys one call reads at most."""


class Journal(Protocol):
    """The entries of all wallets, in their order; `domain.ledger.decide` says what is appended.

    The boundary is here because what a wallet holds must not depend on which store keeps it.
    Entries are never changed and never removed. `wallet` as text is a wallet's name.

    Every method raises Unavailable (STORE_UNAVAILABLE) when the store does not answer. ValueError
    for more than a call may ask for.
    """

    async def append(self, wallet: Wallet, commands: Sequence[Command]) -> Sequence[Outcome]:
        """Decide 1 to MAX_COMMANDS commands and append what follows; the outcome of each, in order.

        Each is atomic by itself: its entry is there whole and durable (by a majority, journaled),
        or not at all, and a refused one leaves the others alone. Sequences have no hole and keys
        stand once, whoever appends at the same time, in this process or another. A refusal was
        decided on a head that was read after the call.

        Raises Unavailable also where it is not known whether entries were appended, and RateLimited
        (OVERLOADED) with nothing appended where MAX_WAITING wait. To repeat the call with the same
        keys is safe and gives the entries that stand.
        """
        ...

    async def head(self, wallet: str) -> Entry | None:
        """The last entry, whose balance is the wallet's; None where there is none yet.

        It shows all that was acknowledged before the call. As quick for a million entries as for
        one.
        """
        ...

    async def by_keys(self, wallet: str, keys: Sequence[str]) -> Mapping[str, Entry]:
        """Those entries of 1 to MAX_ENTRIES keys that are there, by key."""
        ...

    async def last_follower(
        self, wallet: str, reference: str, *, before: int | None = None
    ) -> Entry | None:
        """The last entry that follows from the entry with the key `reference`, or None.

        It bears the totals of what was refunded or lost. `before`: of those below this sequence.
        """
        ...

    async def list(
        self, wallet: str, *, after: int | None = None, newest_first: bool = False, limit: int
    ) -> Sequence[Entry]:
        """Entries in order of sequence, from behind the sequence `after`; 1 to MAX_ENTRIES."""
        ...


@dataclass(frozen=True, slots=True)
class KeptSettings:
    """Settings, with the balance that was seen last: of the entry `seen_sequence` (0: none yet)."""

    settings: WalletSettings
    seen_available: int = 0
    seen_sequence: int = 0


class WalletSettingsStore(Protocol):
    """What owners and creditors have set, a document a wallet in `onebalance`.

    Every method raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def get(self, wallet: str) -> KeptSettings | None:
        """The settings, or None where nothing was set yet."""
        ...

    async def put(self, settings: WalletSettings) -> bool:
        """Put settings in the place of their revision before, atomically and durably.

        Revision 1 is put where nothing is. False, and nothing written, where another revision
        stands. What was seen last stays.
        """
        ...

    async def see(self, wallet: str, *, available: int, sequence: int) -> None:
        """Note the balance after an entry, unless a later one was noted. Nothing without settings.

        It finds wallets that may be short, and decides nothing.
        """
        ...

    async def list_short(self, *, after: str, limit: int) -> Sequence[KeptSettings]:
        """Wallets above the name `after`, by name, whose last seen balance is below the threshold.

        Only of those whose auto-reload is armed. 1 to MAX_ENTRIES. A hint: the journal decides.
        """
        ...


class Buyers(Protocol):
    """Which customer an account is at a Stripe account: `billing.buyers`, unique both ways.

    Every method raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def add(self, buyer: Buyer) -> Buyer:
        """Keep a buyer durably, once: gives the one that stands for its account there.

        Raises AlreadyExists (CUSTOMER_LINKED) where the customer is another account.
        """
        ...

    async def get(self, account: str, stripe_account: str) -> Buyer | None:
        """The customer that an account is there, or None."""
        ...

    async def find(self, stripe_account: str, customer: str) -> Buyer | None:
        """The account that a customer there is, or None. For who comes from Stripe's side."""
        ...
