"""What invoices come to, added up by the database from the mirror."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TotalsFilter:
    """Which invoices count: of one customer or of all, created from inclusive to exclusive."""

    customer: str = ""
    created_after: dt.datetime | None = None
    created_before: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class TotalsRow:
    """The invoices of one currency and status: how many, and the sum of `Invoice.counted`.

    `overdue_count` and `overdue_amount` are the same of those whose due date had passed.
    """

    currency: str
    status: str
    count: int
    amount: int
    overdue_count: int
    overdue_amount: int


class InvoiceTotals(Protocol):
    """Sums over mirrored invoices. The boundary is cut where two databases differ: rows out.

    Answered from an index that covers it, for one customer from his invoices alone. Raises
    Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def totals(
        self,
        stripe_account: str,
        where: TotalsFilter,
        statuses: Sequence[str],
        *,
        now: dt.datetime,
    ) -> Sequence[TotalsRow]:
        """A row for each currency and each of the `statuses` that has an invoice, in no order."""
        ...
