"""Where a moment divides a journal: what a statement opens and closes with."""

import datetime as dt

from application.wallet.ports import Journal
from domain.ledger_entries import Entry


async def last_before(journal: Journal, wallet: str, moment: dt.datetime) -> Entry | None:
    """The last entry that was made before a moment, whose balance was the wallet's then.

    None where the wallet had none yet. Times never go back within a wallet, so this halves the
    sequences: twenty reads for a million entries. Raises Unavailable (STORE_UNAVAILABLE).
    """
    last = await journal.head(wallet)
    if last is None or last.created_at < moment:
        return last
    found: Entry | None = None
    earliest, latest = 1, last.sequence - 1
    while earliest <= latest:
        middle = (earliest + latest) // 2
        (entry,) = await journal.list(wallet, after=middle - 1, limit=1)
        if entry.created_at < moment:
            found, earliest = entry, middle + 1
        else:
            latest = middle - 1
    return found
