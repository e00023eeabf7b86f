"""Metrics: each a declaration that one engine a store answers from one covering index.

What a figure means, with worked examples, stands in docs/metrics.md under the metric's name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from application.mirror.nouns import (
    BALANCE_TRANSACTIONS,
    CHARGES,
    DISPUTES,
    PAYMENT_INTENTS,
    PAYOUTS,
    REFUNDS,
)
from application.mirror.ports import Noun
from domain.analytics import FAILED, SUCCEEDED
from domain.balance_transactions import PAYMENTS as OF_PAYMENTS
from domain.reporting_categories import NetPart, categories_of


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

    @property
    def past(self) -> "Metric":
        """The same, kept apart by those columns alone whose changes its noun keeps."""
        return replace(self, by=tuple(name for name in self.by if name in self.noun.kept))

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


_COUNTED: Final = (
    "status", "counted_at", "id", "currency", "amount_captured", "settled_in", "billing_reason",
)  # fmt: skip
_LEDGER: Final = (
    "balance_type", "created", "id", "currency", "reporting_category", "status", "amount", "fee",
    "fee_application", "fee_tax", "first_known_at",
)  # fmt: skip
_CATEGORY: Final = (
    "reporting_category", "created", "id", "currency", "source", "amount", "fee", "status",
    "balance_type", "first_known_at",
)  # fmt: skip
_FAILED: Final = ("status", "created", "id", "currency", "outcome_type", "failure_code")

GROSS_VOLUME: Final = Metric(
    name="gross_volume",
    doc="What was captured of charges, in the currency that the customer paid in.",
    unit=Unit.AMOUNT,
    noun=CHARGES,
    index=_COUNTED,
    date="counted_at",
    where={"status": (SUCCEEDED,)},
    above_zero=("amount_captured",),  # an authorisation alone is no volume, and no success
    by=("settled_in",),
    sums=(Sum("amount", ("amount_captured",)),),
)

REVENUE_BY_REASON: Final = replace(
    GROSS_VOLUME,
    name="revenue_by_reason",
    doc="Gross volume by the billing reason of the charge's invoice.",
    by=("billing_reason", "settled_in"),
)

SPEND: Final = replace(
    GROSS_VOLUME,
    name="spend",
    doc="Gross volume by customer.",
    index=("status", "counted_at", "id", "currency", "customer", "amount_captured"),
    by=("customer",),
)

SUCCEEDED_CHARGES: Final = replace(
    GROSS_VOLUME,
    name="succeeded_charges",
    doc="How many charges took money, by the currency that they settled in.",
    unit=Unit.COUNT,
    sums=(),
)

FAILED_CHARGES: Final = Metric(
    name="failed_charges",
    doc="How many charges were declined or blocked.",
    unit=Unit.COUNT,
    noun=CHARGES,
    index=_FAILED,
    date="created",
    where={"status": (FAILED,)},
)

FAILURES: Final = replace(
    FAILED_CHARGES,
    name="failures",
    doc="How many charges failed, by outcome and failure code.",
    by=("outcome_type", "failure_code"),
)

ATTEMPTS: Final = Metric(
    name="attempts",
    doc="How many charges there were, by what became of them and by risk.",
    unit=Unit.COUNT,
    noun=CHARGES,
    index=("created", "id", "currency", "status", "outcome_type", "risk_level"),
    date="created",
    where={},
    by=("status", "outcome_type", "risk_level"),
)

PAYMENTS: Final = Metric(
    name="payments",
    doc="Payments of intents by what became of them, at their first attempt.",
    unit=Unit.COUNT,
    noun=PAYMENT_INTENTS,
    index=(
        "first_attempt", "id", "attempt_currency", "outcome", "recovered", "attempt_count",
        "captured",
    ),
    date="first_attempt",
    currency="attempt_currency",
    where={},
    by=("outcome", "recovered"),
    sums=(Sum("attempts", ("attempt_count",)), Sum("captured", ("captured",))),
)  # fmt: skip

SINGLE_CHARGES: Final = Metric(
    name="single_charges",
    doc="Charges that no intent made: each is a payment of its own.",
    unit=Unit.COUNT,
    noun=CHARGES,
    index=(
        "payment_intent", "created", "id", "currency", "status", "outcome_type", "amount_captured",
    ),
    date="created",
    where={"payment_intent": ("",)},
    by=("status", "outcome_type"),
    sums=(Sum("captured", ("amount_captured",)),),
)  # fmt: skip

PAID_SINGLE_CHARGES: Final = replace(
    SINGLE_CHARGES,
    name="paid_single_charges",
    doc="Those of them that took money.",
    where={"payment_intent": ("",), "status": (SUCCEEDED,)},
    above_zero=("amount_captured",),
)

NET_VOLUME: Final = Metric(
    name="net_volume",
    doc="What moved the balance of payments, by reporting category.",
    unit=Unit.AMOUNT,
    noun=BALANCE_TRANSACTIONS,
    index=_LEDGER,
    date="created",
    where={"balance_type": (OF_PAYMENTS,)},
    by=("reporting_category", "status"),
    sums=(
        Sum("amount", ("amount",)),
        Sum("fee", ("fee",)),
        Sum("fee_application", ("fee_application",)),
        Sum("fee_tax", ("fee_tax",)),
    ),
)

LEDGER: Final = replace(
    NET_VOLUME,
    name="ledger",
    doc="Its amounts and fees, whatever the category.",
    by=(),
    sums=NET_VOLUME.sums[:2],
)
"""What ExplainFigure explains; its parts are those of some reporting categories."""

SETTLEMENT_GROSS: Final = Metric(
    name="settlement_gross",
    doc="Gross volume by the currency and the date that it settled in.",
    unit=Unit.AMOUNT,
    noun=BALANCE_TRANSACTIONS,
    index=_CATEGORY,
    date="created",
    where={
        "reporting_category": categories_of(NetPart.GROSS),
        "balance_type": (OF_PAYMENTS,),
    },
    by=("status",),
    sums=(Sum("amount", ("amount",)),),
)

REFUNDS_MOVED: Final = replace(
    SETTLEMENT_GROSS,
    name="refunds",
    doc="What refunds took, and what failed ones gave back.",
    where={"reporting_category": ("refund", "refund_failure"), "balance_type": (OF_PAYMENTS,)},
    by=("reporting_category", "status"),
)

DISPUTES_MOVED: Final = replace(
    REFUNDS_MOVED,
    name="disputes",
    doc="What disputes withdrew, and what was reinstated.",
    where={"reporting_category": ("dispute", "dispute_reversal"), "balance_type": (OF_PAYMENTS,)},
)

REFUNDS_MADE: Final = Metric(
    name="refunds_made",
    doc="How many refunds took money for the first time.",
    unit=Unit.COUNT,
    noun=REFUNDS,
    index=("first_at", "id", "first_currency"),
    date="first_at",
    currency="first_currency",
    where={},
)

DISPUTES_OPENED: Final = Metric(
    name="disputes_opened",
    doc="How many disputes withdrew money for the first time, by how they stand.",
    unit=Unit.COUNT,
    noun=DISPUTES,
    index=("first_at", "id", "first_currency", "status"),
    date="first_at",
    currency="first_currency",
    where={},
    by=("status",),
)

PAYOUTS_PAID: Final = Metric(
    name="payouts_paid",
    doc="Payouts that arrived and stayed.",
    unit=Unit.AMOUNT,
    noun=PAYOUTS,
    index=(
        "status", "arrival_date", "id", "automatic", "currency", "created", "amount", "returned_at",
    ),
    date="arrival_date",
    where={"status": ("paid",)},
    sums=(Sum("amount", ("amount",)),),
)  # fmt: skip

PAYOUTS_UNDER_WAY: Final = replace(
    PAYOUTS_PAID,
    name="payouts_under_way",
    doc="Payouts on their way, by status.",
    where={"status": ("pending", "in_transit")},
    by=("status",),
)

PAYOUTS_FAILED: Final = replace(
    PAYOUTS_PAID,
    name="payouts_failed",
    doc="Payouts that failed, by the days on which they arrived and came back.",
    where={"status": ("failed",)},
    by=("arrival_date", "returned_at"),
)

PAYOUTS_RETURNED: Final = replace(
    PAYOUTS_FAILED,
    name="payouts_returned",
    doc="Payouts that failed, at the instant at which they came back.",
    index=("status", "returned_at", "id", "currency", "amount", "arrival_date"),
    date="returned_at",
)

METRICS: Final[tuple[Metric, ...]] = (
    GROSS_VOLUME, REVENUE_BY_REASON, SPEND, SUCCEEDED_CHARGES, FAILED_CHARGES, FAILURES, ATTEMPTS,
    PAYMENTS, SINGLE_CHARGES, PAID_SINGLE_CHARGES, NET_VOLUME, SETTLEMENT_GROSS, REFUNDS_MOVED,
    DISPUTES_MOVED, REFUNDS_MADE, DISPUTES_OPENED, PAYOUTS_PAID, PAYOUTS_UNDER_WAY, PAYOUTS_FAILED,
    PAYOUTS_RETURNED,
)  # fmt: skip
"""Every declared metric: the contract suite proves each on every store."""
