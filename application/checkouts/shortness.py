"""Since when a seller's wallet is below its overdraft."""

import datetime as dt
from typing import Final

from application.wallet.ports import MAX_ENTRIES, Journal
from domain.ledger_entries import Entry

MAX_PAGES: Final = 50
"""How many pages of a journal are read: of one with more entries since, it is short that long."""


async def short_since(journal: Journal, wallet: str, enough: dt.datetime) -> dt.datetime | None:
    """When the wallet fell below its overdraft and has been since; None where it is not below.

    Looked for no further back than `enough`: any earlier instant says the same. Raises Unavailable.
    """
    head = await journal.head(wallet)
    if head is None or not _is_short(head):
        return None
    since, after = head.created_at, head.sequence
    for _ in range(MAX_PAGES):
        page = await journal.list(wallet, after=after, newest_first=True, limit=MAX_ENTRIES)
        for entry in page:
            if not _is_short(entry):
                return since
            since, after = entry.created_at, entry.sequence
        if len(page) < MAX_ENTRIES or since < enough:
            break
    return since


def _is_short(entry: Entry) -> bool:
    return entry.available_after + entry.overdraft_after < 0
