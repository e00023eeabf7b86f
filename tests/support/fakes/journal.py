"""A journal in memory: the ledger's rules, and nothing of a store."""

from collections.abc import Mapping, Sequence

from typing_extensions import override

from application.wallet.ports import Journal
from domain.ledger_commands import Command
from domain.ledger_entries import Entry
from domain.ledger_outcomes import Outcome
from domain.wallets import Wallet
from tests.support.rooms.ledger import Books


class JournalInMemory(Journal):
    """`application.wallet.ports.Journal` without a store."""

    def __init__(self) -> None:
        self.books: dict[str, Books] = {}

    @override
    async def append(self, wallet: Wallet, commands: Sequence[Command]) -> Sequence[Outcome]:
        return self.books.setdefault(wallet.name, Books(wallet)).post(*commands)

    @override
    async def head(self, wallet: str) -> Entry | None:
        entries = self._entries(wallet)
        return entries[-1] if entries else None

    @override
    async def by_keys(self, wallet: str, keys: Sequence[str]) -> Mapping[str, Entry]:
        return {entry.key: entry for entry in self._entries(wallet) if entry.key in keys}

    @override
    async def last_follower(
        self, wallet: str, reference: str, *, before: int | None = None
    ) -> Entry | None:
        found = [
            entry
            for entry in self._entries(wallet)
            if entry.reference == reference and (before is None or entry.sequence < before)
        ]
        return found[-1] if found and reference else None

    @override
    async def list(
        self, wallet: str, *, after: int | None = None, newest_first: bool = False, limit: int
    ) -> Sequence[Entry]:
        entries = self._entries(wallet)
        if newest_first:
            return [e for e in reversed(entries) if after is None or e.sequence < after][:limit]
        return [entry for entry in entries if entry.sequence > (after or 0)][:limit]

    def _entries(self, wallet: str) -> Sequence[Entry]:
        return self.books[wallet].entries if wallet in self.books else []
