"""What the invoices of each currency and status come to."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from application.invoices.totals_port import TotalsRow
from domain.money import Money


@dataclass(frozen=True, slots=True)
class InvoiceTotal:
    """A number of invoices, and their sum."""

    count: int
    amount: Money


@dataclass(frozen=True, slots=True)
class CurrencyTotals:
    """The totals of one currency; `past_due` is the part of `open` whose due date has passed."""

    currency: str
    draft: InvoiceTotal
    open: InvoiceTotal
    past_due: InvoiceTotal
    paid: InvoiceTotal
    void: InvoiceTotal
    uncollectible: InvoiceTotal


def totals_of(rows: Sequence[TotalsRow]) -> list[CurrencyTotals]:
    """The totals, in order of the currencies' codes."""
    by_currency: dict[str, dict[str, TotalsRow]] = defaultdict(dict)
    for row in rows:
        by_currency[row.currency][row.status] = row
    return [_currency_totals(code, by_currency[code]) for code in sorted(by_currency)]


def _currency_totals(currency: str, by_status: Mapping[str, TotalsRow]) -> CurrencyTotals:
    def row_of(status: str) -> TotalsRow:
        return by_status.get(status) or TotalsRow(currency, status, 0, 0, 0, 0)

    def total(status: str) -> InvoiceTotal:
        row = row_of(status)
        return InvoiceTotal(row.count, Money(row.amount, currency))

    opened = row_of("open")
    return CurrencyTotals(
        currency,
        draft=total("draft"),
        open=total("open"),
        past_due=InvoiceTotal(opened.overdue_count, Money(opened.overdue_amount, currency)),
        paid=total("paid"),
        void=total("void"),
        uncollectible=total("uncollectible"),
    )
