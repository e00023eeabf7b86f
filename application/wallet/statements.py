"""Statements: the entries of a period as a CSV file, between two balances."""

from collections.abc import AsyncGenerator, Sequence
from decimal import Decimal
from typing import Final

from application.requests.callers import Caller
from application.requests.exports import PART_CHARACTERS, Exports
from application.requests.spreadsheets import BYTE_ORDER_MARK, csv_text
from application.requests.violations import refuse
from application.wallet.commands import Span
from application.wallet.costs import SERVICE
from application.wallet.moments import last_before
from application.wallet.ports import Journal
from application.wallet.usage import DESCRIPTION
from application.wallet.violations import span_violations
from application.wallet.whose import Wallets
from domain.errors import FieldViolation
from domain.ledger_entries import Entry, LedgerAccount
from domain.money import exponent
from domain.wallets import Wallet

COLUMNS: Final = (
    "sequence", "create_time", "kind", "service", "description", "quantity", "amount", "available",
    "held", "currency", "reference", "actor",
)  # fmt: skip

_PAGE: Final = 500


class Statements:
    """Writes statements, a page of entries and a part of the file at a time."""

    def __init__(self, wallets: Wallets, journal: Journal) -> None:
        self._wallets = wallets
        self._journal = journal
        self._exports = Exports()

    async def export(
        self, caller: Caller, span: Span, violations: Sequence[FieldViolation] = ()
    ) -> AsyncGenerator[bytes, None]:
        """The entries of a period as parts of a CSV file. Close it.

        What is appended after the call began is not in it. RateLimited (OVERLOADED) where there are
        too many at once.
        """
        refuse([*violations, *span_violations(span)])
        wallet = await self._wallets.of(caller.account)
        with self._exports.running_for(caller.account):
            async for part in self._parts(wallet, span):
                yield part

    async def _parts(self, wallet: Wallet, span: Span) -> AsyncGenerator[bytes, None]:
        journal, name = self._journal, wallet.name
        last = await (last_before(journal, name, span.end) if span.end else journal.head(name))
        first = await last_before(journal, name, span.start) if span.start else None
        gathered = BYTE_ORDER_MARK + csv_text([COLUMNS, _balance("opening_balance", wallet, first)])
        after, until = (entry.sequence if entry else 0 for entry in (first, last))
        while after < until:
            page = await journal.list(name, after=after, limit=min(_PAGE, until - after))
            gathered += csv_text(map(_row, page))
            after = page[-1].sequence
            if len(gathered) >= PART_CHARACTERS:
                yield gathered.encode()
                gathered = ""
        gathered += csv_text([_balance("closing_balance", wallet, last)])
        yield gathered.encode()


def in_major_units(amount: int, currency: str) -> str:
    """An amount of minor units as a decimal, such as `-1.05`."""
    places = exponent(currency)
    return f"{Decimal(amount).scaleb(-places):.{places}f}"


def _balance(kind: str, wallet: Wallet, entry: Entry | None) -> Sequence[str]:
    """The row of a balance: that after an entry, or zero where there was none."""
    available, held = (entry.available_after, entry.held_after) if entry else (0, 0)
    amounts = (in_major_units(amount, wallet.currency) for amount in (available, held))
    return ("", "", kind, "", "", "", "", *amounts, wallet.currency, "", "")


def _row(entry: Entry) -> Sequence[str]:
    amounts = (entry.posted(LedgerAccount.AVAILABLE), entry.available_after, entry.held_after)
    return (
        str(entry.sequence),
        entry.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        entry.kind,
        entry.details.get(SERVICE, ""),
        entry.details.get(DESCRIPTION, ""),
        str(entry.quantity) if entry.quantity else "",
        *(in_major_units(amount, entry.currency) for amount in amounts),
        entry.currency,
        entry.reference,
        entry.actor,
    )
