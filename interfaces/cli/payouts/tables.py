"""Payouts, what they consist of, and balances as an operator reads them."""

from collections.abc import Iterable

from billing_client.v1 import money_pb2
from billing_client.v1 import payout_service_pb2 as pb
from rich.table import Table

from domain.money import Money
from interfaces.cli.output import facts_table, table_of
from interfaces.cli.times import shown

_NO_CATEGORY = "(none)"


def payouts_table(payouts: Iterable[pb.Payout]) -> Table:
    """A row a payout, with both of its dates."""
    table = table_of(
        "payout", "status", "arrives", "came back", "kind", ids=("payout", "arrives", "came back"),
        numbers=("amount",),
    )  # fmt: skip
    for payout in payouts:
        failed = shown(payout.failure_time) if payout.HasField("failure_time") else ""
        status = f"{payout.status}: {payout.failure_code}" if payout.failure_code else payout.status
        table.add_row(
            payout.id, status, shown(payout.arrival_time), failed, _kind(payout),
            money(payout.amount),
        )  # fmt: skip
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
    """A row a currency; the parts of instant payouts and reserves beside it."""
    table = table_of(
        "currency",
        numbers=(
            "available", "pending", "instant", "reserved", "by the mirror", "difference",
        ),
    )  # fmt: skip
    for part in balance.currencies:
        table.add_row(
            part.currency, money(part.available), money(part.pending),
            money(part.instant_available), money(part.reserved), money(part.mirrored),
            money(part.difference) if part.HasField("difference") else "not known yet",
        )  # fmt: skip
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
