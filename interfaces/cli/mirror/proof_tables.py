"""A proof as commands print it."""

from collections.abc import Mapping, Sequence
from typing import Final

from billing_client.v1 import mirror_service_pb2 as pb
from billing_client.v1 import money_pb2
from rich.table import Table
from rich.text import Text

from domain.money import Money
from interfaces.cli.output import counted, print_table, say, table_of

_CHECKS: Final[Mapping[int, str]] = {
    pb.CHECK_PARTS: "amount less fee is net",
    pb.CHECK_FIGURES: "a month's figures are its rows",
    pb.CHECK_SETTLEMENTS: "what is settled is told so",
    pb.CHECK_BANK: "it ties to the bank",
    pb.CHECK_PAYOUTS: "a payout holds what it paid out",
    pb.CHECK_FACTS: "facts follow from their evidence",
}
"""What each check is, for people to read."""


def print_proof(report: pb.MirrorReport, differences: int) -> None:
    """What a proof found, so many of the differences, and whether it ties."""
    print_table(_checks_table(report))
    if report.differences[:differences]:
        print_table(_differences_table(report.differences[:differences]))
    say(_bank_line(report))
    if report.difference_count:
        say(f"{counted(report.difference_count, 'difference')}: the books do not hold")
    else:
        say("the books hold")


def _checks_table(report: pb.MirrorReport) -> Table:
    table = table_of("what holds", numbers=("checked", "differ"))
    for count in report.checks:
        name = _CHECKS.get(count.check, "another check")
        table.add_row(name, f"{count.checked_count:,}", f"{count.difference_count:,}")
    return table


def _differences_table(differences: Sequence[pb.Difference]) -> Table:
    heading = "what differs"
    table = table_of(heading, ids=(heading,), numbers=("expected", "found"))
    for each in differences:
        name = _CHECKS.get(each.check, "another check")
        expected, found = (
            _money(getattr(each, side)) if each.HasField(side) else "nothing"
            for side in ("expected", "found")
        )
        table.add_row(Text(f"{each.subject}\n{name}"), expected, found)
    return table


def _bank_line(report: pb.MirrorReport) -> str:
    """Whether it ties to the bank, and by how much of it that is known."""
    (bank,) = [one for one in report.checks if one.check == pb.CHECK_BANK] or [pb.CheckCount()]
    if not bank.checked_count:
        return "the bank: no two balances are known yet that rows could make the difference of"
    steps = counted(bank.checked_count, "step") + " from one balance to the next"
    if bank.difference_count:
        return f"the bank: {bank.difference_count:,} of {steps} do not tie"
    return f"the bank: ties, all {steps}"


def _money(amount: money_pb2.Money) -> str:
    return Money(amount.amount, amount.currency).formatted()
