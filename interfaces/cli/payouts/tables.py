"""Payouts, what they consist of, and balances as an operator reads them."""

from collections.abc import Iterable

from billing_client.v1 import money_pb2
from billing_client.v1 import payout_service_pb2 as pb
from rich.table import Table
from rich.text import Text

from domain.money import Money
from interfaces.cli.output import facts_table, table_of
from interfaces.cli.times import shown

_NO_CATEGORY = "(none)"


def payouts_table(payouts: Iterable[pb.Payout]) -> Table:
    """A row a payout, with both of its dates; folded, it fits 80 columns."""
    table = table_of("payout", "status", "arrives", ids=("payout",), numbers=("amount",))
    for payout in payouts:
        why = payout.failure_code.replace("_", " ")
        status = f"{payout.status}: {why}" if why else payout.status
        dates = shown(payout.arrival_time)
        if payout.HasField("failure_time"):
            dates += f", came back {shown(payout.failure_time)}"
        table.add_row(
            Text(payout.id),
            Text(f"{status}, {_kind(payout)}"),
            Text(dates),
            Text(money(payout.amount)),
        )
    return table


def details_table(details: pb.PayoutDetails) -> Table:
    """A payout and what belongs to it."""
    payout, destination = details.payout, details.destination
    failed = payout.HasField("failure_time")
    return facts_table(
        [
            ("payout", payout.id),
            ("amount", money(payout.amount)),
            ("status", payout.status),
            ("kind", _kind(payout)),
            ("created", shown(payout.create_time)),
            ("arrives", shown(payout.arrival_time)),
            ("came back", shown(payout.failure_time) if failed else ""),
            ("failure", " ".join(filter(None, (payout.failure_code, payout.failure_message)))),
            ("reverses", payout.original_payout),
            ("reversed by", payout.reversed_by),
            ("destination", _destination(destination) if details.HasField("destination") else ""),
            ("trace id", payout.trace_id),
            ("statement", payout.statement_descriptor),
            ("transaction", payout.balance_transaction),
        ]
    )


def summary_table(summary: pb.PayoutSummary) -> Table:
    """A row a reporting category; the nets add up to zero."""
    table = table_of(
        "category", "counts to", ids=("category",), numbers=("count", "gross", "fee", "net")
    )
    for row in summary.rows:
        name = row.reporting_category or _NO_CATEGORY
        table.add_row(
            f"{name} (this one)" if row.own else name, row.part, f"{row.count:,}",
            money(row.gross), money(row.fee), money(row.net),
        )  # fmt: skip
    return table


def balance_table(balance: pb.Balance) -> Table:
    """A row a part of each currency's balance, however large the amounts are."""
    table = table_of("currency", "part", numbers=("amount",))
    for part in balance.currencies:
        difference = money(part.difference) if part.HasField("difference") else "not known yet"
        for name, amount in (
            ("available", money(part.available)),
            ("of that instant", money(part.instant_available)),
            ("pending", money(part.pending)),
            ("reserved", money(part.reserved)),
            ("by the mirror", money(part.mirrored)),
            ("difference", difference),
        ):
            table.add_row(part.currency, name, amount)
    return table


def money(amount: money_pb2.Money) -> str:
    """An amount for people."""
    return Money(amount.amount, amount.currency).formatted()


def _kind(payout: pb.Payout) -> str:
    return " ".join(filter(None, ("automatic" if payout.automatic else "manual", payout.method)))


def _destination(destination: pb.Destination) -> str:
    known = (destination.bank_name, f"…{destination.last4}" if destination.last4 else "")
    words = [*filter(None, known), destination.currency.upper(), destination.id]
    return " ".join(filter(None, [*words, "(deleted)" if destination.deleted else ""]))
