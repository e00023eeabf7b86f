"""Metrics: each a declaration that one engine a store answers from one covering index.

What a figure means, with worked examples, stands in docs/metrics.md under the metric's name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from application.mirror.nouns import BALANCE_TRANSACTIONS, CHARGES
from application.mirror.ports import Noun
from domain.analytics import FAILED, SUCCEEDED
from domain.balance_transactions import PAYMENTS


class Unit(StrEnum):
    """What a metric's figure is: the first of its sums, or how many rows there are."""

    AMOUNT = "amount"
    """Minor units of the row's currency."""

    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum over rows: the columns of `plus`, less those of `minus`. Null counts as zero."""

    name: str
    plus: tuple[str, ...]
    minus: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that it reads."""
        return (*self.plus, *self.minus)


@dataclass(frozen=True, slots=True)
class Metric:
    """The declaration of an additive figure.

    Rows are those of `noun` whose columns have one of the values in `where`, and are above zero
    where `above_zero` names them. The column `date` says when a row counts, `currency` what its
    amounts are in; `by` are columns that the answer keeps apart. All columns stand in `index`, one
    of the noun's tuples, in which only columns of `where` come before `date`: so a question reads
    the stretch of that index that it asks for, and no row. ValueError for a declaration that breaks
    this.
    """

    name: str
    doc: str
    unit: Unit
    noun: Noun[Any]
    index: tuple[str, ...]
    date: str
    where: Mapping[str, Sequence[str]]
    above_zero: tuple[str, ...] = ()
    currency: str = "currency"
    by: tuple[str, ...] = ()
    sums: tuple[Sum, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.index not in self.noun.indexes:
            raise ValueError(f"{self.name}: {self.noun.name} declares no index {self.index}")
        read = {*self.where, *self.above_zero, self.date, self.currency, *self.by, *self.columns}
        if not read <= {*self.index}:
            raise ValueError(f"{self.name}: not in its index: {sorted(read - {*self.index})}")
        if not {*self.leading} <= {*self.where}:
            raise ValueError(f"{self.name}: only fixed columns may come before {self.date}")
        if not all(self.where.values()):
            raise ValueError(f"{self.name}: every fixed column needs a value")
        if self.unit is Unit.AMOUNT and not self.sums:
            raise ValueError(f"{self.name}: an amount needs a sum")

    @property
    def leading(self) -> tuple[str, ...]:
        """The columns of the index that come before the date: each has few values."""
        return self.index[: self.index.index(self.date)]

    @property
    def known_at(self) -> str | None:
        """The column of its index that tells when a row was first known; None where none does."""
        name = self.noun.first_known
        return name if name in self.index else None

    @property
    def is_kept(self) -> bool:
        """Whether its noun keeps the changes of all that it reads, so that the past is known."""
        read = {*self.where, *self.above_zero, self.date, self.currency, *self.by, *self.columns}
        return self.known_at is not None and read <= {*self.noun.kept}

    def counts(self, values: Mapping[str, Any], currency: str | None = None) -> bool:
        """Whether a row with these columns counts: what the engines ask of an index."""
        return (
            all(values.get(name) in allowed for name, allowed in self.where.items())
            and all((values.get(name) or 0) > 0 for name in self.above_zero)
            and currency in (None, values.get(self.currency))
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are summed, each once."""
        return tuple(dict.fromkeys(name for sum_ in self.sums for name in sum_.columns))

    def sums_of(self, totals: Mapping[str, int]) -> tuple[int, ...]:
        """The sums, in their order, from those of the single columns."""
        return tuple(
            sum(totals[name] for name in sum_.plus) - sum(totals[name] for name in sum_.minus)
            for sum_ in self.sums
        )


_CHARGES: Final = ("status", "created", "currency", "amount_captured")

GROSS_VOLUME: Final = Metric(
    name="gross_volume",
    doc="What was captured of charges, in the currency that the customer paid in.",
    unit=Unit.AMOUNT,
    noun=CHARGES,
    index=_CHARGES,
    date="created",
    where={"status": (SUCCEEDED,)},
    above_zero=("amount_captured",),  # an authorisation alone is no volume, and no success
    sums=(Sum("amount", ("amount_captured",)),),
)

SUCCEEDED_CHARGES: Final = Metric(
    name="succeeded_charges",
    doc="How many charges took money.",
    unit=Unit.COUNT,
    noun=CHARGES,
    index=_CHARGES,
    date="created",
    where={"status": (SUCCEEDED,)},
    above_zero=("amount_captured",),
)

FAILED_CHARGES: Final = Metric(
    name="failed_charges",
    doc="How many charges were declined or blocked.",
    unit=Unit.COUNT,
    noun=CHARGES,
    index=_CHARGES,
    date="created",
    where={"status": (FAILED,)},
)

LEDGER: Final = Metric(
    name="ledger",
    doc="All rows of the balance of payments: what moved it, and what that cost.",
    unit=Unit.AMOUNT,
    noun=BALANCE_TRANSACTIONS,
    index=(
        "balance_type",
        "created",
        "id",
        "currency",
        "reporting_category",
        "status",
        "amount",
        "fee",
        "first_known_at",
    ),
    date="created",
    where={"balance_type": (PAYMENTS,)},
    sums=(Sum("amount", ("amount",)), Sum("fee", ("fee",))),
)
"""What ExplainFigure explains; its parts are those of some reporting categories."""

METRICS: Final[tuple[Metric, ...]] = (GROSS_VOLUME, SUCCEEDED_CHARGES, FAILED_CHARGES)
"""Every declared metric: the contract suite proves each on every store."""
