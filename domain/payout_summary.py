"""What a payout consists of: a row a reporting category, whose nets add up to zero.

A payout's own transaction takes out of the balance what all others in it brought. So whatever is
left over is something that nobody has read, and it is shown as such. Other payouts may be among
those: a manual one, which was made between two automatic ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from domain.reporting_categories import CATEGORIES, Part

UNEXPLAINED: Final = "UNEXPLAINED"
"""The row of what no transaction explains. No category of Stripe's is in capitals."""

PAYOUT: Final = "payout"
"""The category of the payout's own transaction, and of those of other payouts in it."""

UNKNOWN_PART: Final = "unknown"
"""The part of a category that is not in `CATEGORIES`."""

UNEXPLAINED_PART: Final = "unexplained"

PARTS: Final[Sequence[str]] = (
    *(part.value for part in Part if part is not Part.PAYOUTS),
    UNKNOWN_PART,
    UNEXPLAINED_PART,
    Part.PAYOUTS.value,
)
"""All parts, in the order in which they are told."""


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """What the transactions of one reporting category add up to, in minor units.

    `category` is Stripe's; empty for those without one. `net` is `gross` less `fee`. `own` is the
    row of the payout's own transaction.
    """

    category: str
    count: int
    gross: int
    fee: int
    net: int
    own: bool = False

    def less(self, other: "SummaryRow") -> "SummaryRow":
        """This row without another one that is in it."""
        return replace(
            self,
            count=self.count - other.count,
            gross=self.gross - other.gross,
            fee=self.fee - other.fee,
            net=self.net - other.net,
        )

    @property
    def part(self) -> str:
        """What the category counts to: one of PARTS."""
        if self.category == UNEXPLAINED:
            return UNEXPLAINED_PART
        known = CATEGORIES.get(self.category)
        return UNKNOWN_PART if known is None else known.part.value


@dataclass(frozen=True, slots=True)
class Step:
    """A step from what was sold to what was paid out: by `amount` the sum changes to `total`."""

    name: str
    amount: int
    total: int


def summarize(
    rows: Iterable[SummaryRow], own: SummaryRow | None, *, not_understood: int = 0
) -> Sequence[SummaryRow]:
    """The rows in order, with an UNEXPLAINED one where their nets do not add up to zero.

    `rows` are one a category; `own` is the payout's own transaction, which is in them too, or None
    where it is not: it becomes a row of its own, the last one. The net of UNEXPLAINED is what is
    missing; `not_understood`, its count, are the transactions of Stripe's list that were not read.
    """
    told = [_without_own(row, own) for row in rows]
    told = [row for row in told if row.count]
    if own is not None:
        told.append(replace(own, own=True))
    missing = -sum(row.net for row in told)
    if missing:
        told.append(SummaryRow(UNEXPLAINED, not_understood, missing, 0, missing))
    return sorted(told, key=_place)


def _without_own(row: SummaryRow, own: SummaryRow | None) -> SummaryRow:
    return row if own is None or row.category != own.category else row.less(own)


def unexplained(rows: Iterable[SummaryRow]) -> int:
    """What no transaction explains; 0 where all is."""
    return sum(row.net for row in rows if row.category == UNEXPLAINED)


def waterfall(rows: Sequence[SummaryRow]) -> Sequence[Step]:
    """The way from gross to payout, one step a part; the last total is what was paid out.

    All fees make one step, whatever they were taken from. What other payouts took is a step of its
    own, `payout`, and what came back of failed ones another, `payout_reversal`.
    """
    others = [row for row in rows if not row.own]
    amounts: dict[str, int] = {}
    for row in others:
        name = row.category if row.part == Part.PAYOUTS.value else row.part
        amounts[name] = amounts.get(name, 0) + row.gross
    fees = -sum(row.fee for row in others)
    if fees or Part.FEES.value in amounts:
        amounts[Part.FEES.value] = amounts.get(Part.FEES.value, 0) + fees
    return _steps(amounts)


def _steps(amounts: Mapping[str, int]) -> Sequence[Step]:
    steps, total = [], 0
    for name in sorted(amounts, key=_step_place):
        total += amounts[name]
        steps.append(Step(name, amounts[name], total))
    return steps


def _step_place(name: str) -> tuple[int, str]:
    return (PARTS.index(name) if name in PARTS else len(PARTS), name)


def _place(row: SummaryRow) -> tuple[bool, int, str]:
    """The payout's own row is last."""
    return (row.own, PARTS.index(row.part), row.category)


def of_groups(
    groups: Iterable[tuple[str | None, int, Sequence[int]]],
) -> Sequence[SummaryRow]:
    """Rows of what the store grouped: category, count, and the sums of amount, fee and net."""
    merged: dict[str, SummaryRow] = {}
    for category, count, (gross, fee, net) in groups:
        name = category or ""
        row = merged.get(name, SummaryRow(name, 0, 0, 0, 0))
        merged[name] = replace(
            row,
            count=row.count + count,
            gross=row.gross + gross,
            fee=row.fee + fee,
            net=row.net + net,
        )
    return list(merged.values())
