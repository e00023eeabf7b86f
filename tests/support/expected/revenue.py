"""An oracle of revenue: docs/metrics.md once more, over plain lists, in the plainest Python.

It shares no code with what it judges: no bucket edges, no columns, no sums by a database. A bucket
is told by the local date of its first day.
"""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from domain.balance_transactions import BalanceTransaction
from domain.charges import Charge
from domain.disputes import Dispute
from domain.invoice_payments import InvoicePayment
from domain.invoices import Invoice
from domain.payment_intents import PaymentIntent
from domain.payouts import Payout
from domain.refunds import Refund

When = Callable[[dt.datetime], bool]
"""Whether an instant is in the period."""

GROSS = ("charge", "partial_capture_reversal")
PARTS = ("charge_failure", "refund", "refund_failure", "dispute", "dispute_reversal")
FEES = ("fee", "network_cost")
APART = {
    "payout": "payouts", "payout_reversal": "payouts",
    "transfer": "transfers", "transfer_reversal": "transfers",
    "connect_collection_transfer": "transfers",
    "topup": "top_ups", "topup_reversal": "top_ups",
    "connect_reserved_funds": "reserves", "risk_reserved_funds": "reserves",
    "payment_network_reserve_hold": "reserves", "payment_network_reserve_release": "reserves",
    "payout_minimum_balance_hold": "reserves", "payout_minimum_balance_release": "reserves",
    "advance": "financing", "advance_funding": "financing", "anticipation_repayment": "financing",
    "financing_paydown": "financing", "financing_paydown_reversal": "financing",
    "financing_payout": "financing", "financing_payout_reversal": "financing",
    "issuing_authorization_hold": "issuing", "issuing_authorization_release": "issuing",
    "issuing_dispute": "issuing", "issuing_transaction": "issuing",
    "issuing_disbursement": "issuing", "issuing_dispute_fraud_liability_debit": "issuing",
    "issuing_dispute_provisional_credit": "issuing",
    "issuing_dispute_provisional_credit_reversal": "issuing",
}  # fmt: skip
"""What is shown apart and never in net, by reporting category."""


@dataclass(frozen=True, slots=True)
class History:
    """All that one Stripe account ever had."""

    charges: Sequence[Charge] = ()
    intents: Sequence[PaymentIntent] = ()
    refunds: Sequence[Refund] = ()
    disputes: Sequence[Dispute] = ()
    payouts: Sequence[Payout] = ()
    transactions: Sequence[BalanceTransaction] = ()
    invoices: Sequence[Invoice] = ()
    invoice_payments: Sequence[InvoicePayment] = ()


@dataclass(slots=True)
class Volume:
    """An amount in minor units, and how many make it up."""

    amount: int = 0
    count: int = 0

    def add(self, amount: int, count: int = 1) -> None:
        self.amount += amount
        self.count += count


@dataclass(slots=True)
class Net:
    """Net of a settlement currency: the parts sum to it."""

    gross: int = 0
    charge_failure: int = 0
    refund: int = 0
    refund_failure: int = 0
    dispute: int = 0
    dispute_reversal: int = 0
    fees: int = 0
    other: Counter[str] = field(default_factory=Counter)
    apart: Counter[str] = field(default_factory=Counter)
    closing: int = 0

    @property
    def net(self) -> int:
        """What is left of gross: without what is shown apart."""
        parts = sum(getattr(self, name) for name in ("gross", *PARTS, "fees"))
        return parts + sum(self.other.values())


@dataclass(slots=True)
class Payments:
    """Payments by what became of them, and the attempts that they took."""

    paid: int = 0
    failed: int = 0
    blocked: int = 0
    open: int = 0
    recovered: int = 0
    attempts: int = 0
    paid_in: Counter[str] = field(default_factory=Counter)
    captured: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Payouts:
    """What arrived, what came back, what is on its way, in one currency."""

    arrived: int = 0
    returned: int = 0
    on_its_way: int = 0


def within(start: dt.datetime, end: dt.datetime) -> When:
    """From the first instant up to, but not including, the last."""
    return lambda instant: start <= instant < end


def first_day(instant: dt.datetime, zone: str, granularity: str) -> dt.date:
    """The local date on which the day, week or month of an instant begins."""
    date = instant.astimezone(ZoneInfo(zone)).date()
    if granularity == "week":
        return date - dt.timedelta(days=date.weekday())
    return date.replace(day=1) if granularity == "month" else date


# --- charges ---


def gross(history: History, when: When) -> Mapping[str, Volume]:
    """Gross volume by the currency that the customer paid in."""
    volumes: dict[str, Volume] = defaultdict(Volume)
    for charge, at, _ in counted(history):
        if when(at):
            volumes[charge.amount.currency].add(charge.amount_captured.amount)
    return volumes


def provisional(history: History, when: When) -> Mapping[str, int]:
    """What of gross volume no transaction dates yet."""
    amounts: Counter[str] = Counter()
    for charge, at, settled in counted(history):
        if when(at) and not settled:
            amounts[charge.amount.currency] += charge.amount_captured.amount
    return amounts


def counted(history: History) -> Iterator[tuple[Charge, dt.datetime, bool]]:
    """The charges that took money, when each counts, and whether a transaction says so."""
    settled = {
        transaction.source: transaction.created
        for transaction in history.transactions
        if transaction.reporting_category == "charge"
    }
    for charge in history.charges:
        if _took_money(charge):
            yield charge, settled.get(charge.id, charge.created), charge.id in settled


def split(history: History, when: When) -> Mapping[tuple[str, str], int]:
    """Gross volume by currency and what it was for."""
    reasons = {invoice.id: invoice.billing_reason for invoice in history.invoices}
    of_intent = {paid.payment_intent: reasons[paid.invoice] for paid in history.invoice_payments}
    kinds = {
        "subscription_create": "new",
        "subscription_cycle": "renewing", "subscription_threshold": "renewing",
        "subscription": "renewing",
        "subscription_update": "upgrade",
        "manual": "one_off", "quote_accept": "one_off",
    }  # fmt: skip
    amounts: Counter[tuple[str, str]] = Counter()
    for charge, at, _ in counted(history):
        reason = of_intent.get(charge.payment_intent) if charge.payment_intent else None
        if when(at):
            kind = kinds.get(reason, reason) if reason else "one_off"
            amounts[charge.amount.currency, str(kind)] += charge.amount_captured.amount
    return amounts


def spend(history: History, when: When, currency: str) -> Mapping[str, Volume]:
    """Gross volume of a currency by customer; empty: of charges without one."""
    volumes: dict[str, Volume] = defaultdict(Volume)
    for charge, at, _ in counted(history):
        if when(at) and charge.amount.currency == currency:
            volumes[charge.customer or ""].add(charge.amount_captured.amount)
    return volumes


def gross_by_bucket(
    history: History, when: When, zone: str, granularity: str
) -> Mapping[tuple[str, dt.date], Volume]:
    """The same by currency and first day of the bucket. What is zero is not there."""
    volumes: dict[tuple[str, dt.date], Volume] = defaultdict(Volume)
    for charge, at, _ in counted(history):
        if when(at):
            day = first_day(at, zone, granularity)
            volumes[charge.amount.currency, day].add(charge.amount_captured.amount)
    return volumes


def charge_counts(history: History, when: When, currency: str | None = None) -> tuple[int, int]:
    """How many charges succeeded, how many failed."""
    succeeded = [
        charge
        for charge, at, _ in counted(history)
        if when(at) and currency in (None, charge.amount.currency)
    ]
    return len(succeeded), len(_failed(history, when, currency))


def failures(history: History, when: When, currency: str | None = None) -> Counter[str]:
    """Attempts that failed, by reason; those that Stripe blocked as `blocked`."""
    return Counter(
        "blocked" if _blocked(charge) else charge.failure_code or "unknown"
        for charge in _failed(history, when, currency)
    )


def risks(history: History, when: When, currency: str | None = None) -> Counter[str]:
    """All attempts by risk level."""
    return Counter(
        charge.risk_level or "unknown"
        for charge in history.charges
        if when(charge.created) and currency in (None, charge.amount.currency)
    )


def _failed(history: History, when: When, currency: str | None) -> Sequence[Charge]:
    return [
        charge
        for charge in history.charges
        if when(charge.created)
        and charge.status == "failed"
        and currency in (None, charge.amount.currency)
    ]


def _took_money(charge: Charge) -> bool:
    return charge.status == "succeeded" and charge.amount_captured.amount > 0


# --- net ---


def net(history: History, when: When) -> Mapping[str, Net]:
    """Net and its parts, and what is shown apart, by settlement currency."""
    found: dict[str, Net] = defaultdict(Net)
    for transaction in _of_payments(history):
        if not when(transaction.created):
            continue
        part, category = found[transaction.amount.currency], transaction.reporting_category or ""
        amount = transaction.amount.amount
        part.fees -= transaction.fee.amount
        part.closing += transaction.net.amount
        if category in GROSS:
            part.gross += amount
        elif category in PARTS:
            setattr(part, category, getattr(part, category) + amount)
        elif category in FEES:
            part.fees += amount
        elif category in APART:
            part.apart[APART[category]] += amount
        else:
            part.other[category] += amount
    return found


def closing(history: History, at: dt.datetime) -> Mapping[str, int]:
    """The balance of payments by currency: all rows that were made before an instant."""
    balances: Counter[str] = Counter()
    for transaction in _of_payments(history):
        if transaction.created < at:
            balances[transaction.amount.currency] += transaction.net.amount
    return balances


def _of_payments(history: History) -> Iterator[BalanceTransaction]:
    for transaction in history.transactions:
        # A row of an earlier release, or of an earlier Stripe, tells no balance.
        if (getattr(transaction, "balance_type", None) or "payments") == "payments":
            yield transaction


# --- payments ---


def payments(history: History, when: When, currency: str | None = None) -> Payments:
    """Payments whose first attempt is in the period, by what became of them since."""
    found = Payments()
    for attempts in _attempts(history):
        if when(attempts[0].created) and currency in (None, attempts[0].amount.currency):
            _count_payment(found, attempts)
    return found


def _attempts(history: History) -> Iterable[Sequence[Charge]]:
    """The charges of each payment, the first one first: of an intent, or one that has none."""
    payments: dict[tuple[str, str], list[Charge]] = defaultdict(list)
    for charge in sorted(history.charges, key=lambda charge: (charge.created, charge.id)):
        intent = charge.payment_intent
        payments[("charge", charge.id) if intent is None else ("intent", intent)].append(charge)
    return payments.values()


def _count_payment(found: Payments, attempts: Sequence[Charge]) -> None:
    found.attempts += len(attempts)
    failed = [
        n for n, each in enumerate(attempts) if each.status == "failed" and not _blocked(each)
    ]
    taken = [n for n, each in enumerate(attempts) if _took_money(each)]
    if taken:
        found.paid += 1
        code = attempts[0].amount.currency
        found.paid_in[code] += 1
        found.captured[code] += sum(attempts[n].amount_captured.amount for n in taken)
        found.recovered += any(number < taken[0] for number in failed)
    elif any(charge.status != "failed" for charge in attempts):
        found.open += 1
    elif failed:
        found.failed += 1
    else:
        found.blocked += 1


def _blocked(charge: Charge) -> bool:
    return charge.outcome_type == "blocked"


# --- what goes back ---


def refunds(history: History, when: When) -> Mapping[str, Volume]:
    """What was refunded, less what came back of failed refunds, by settlement currency."""
    return _taken_back(history, when, "refund", "refund_failure")


def disputes(history: History, when: When) -> Mapping[str, Volume]:
    """What was withdrawn for disputes, less what was reinstated, by settlement currency."""
    return _taken_back(history, when, "dispute", "dispute_reversal")


def _taken_back(history: History, when: When, category: str, reversal: str) -> Mapping[str, Volume]:
    """Amounts by the date of each row; a refund or dispute counts once, at its first row."""
    volumes: dict[str, Volume] = defaultdict(Volume)
    counted: set[str] = set()
    for transaction in sorted(_of_payments(history), key=lambda each: (each.created, each.id)):
        if transaction.reporting_category not in (category, reversal):
            continue
        of = transaction.source or transaction.id
        first = transaction.reporting_category == category and of not in counted
        counted |= {of} if first else set()
        if when(transaction.created):
            volumes[transaction.amount.currency].add(-transaction.amount.amount, int(first))
    return volumes


# --- payouts ---


def payouts(history: History, when: When, arrived_in: When) -> Mapping[str, Payouts]:
    """What arrived in the period, what came back in it, and what is on its way now.

    `arrived_in` judges arrival dates, which are days at 00:00 UTC; `when` judges instants.
    """
    found: dict[str, Payouts] = defaultdict(Payouts)
    returned = {
        transaction.source: transaction
        for transaction in history.transactions
        if transaction.type == "payout_failure"
    }
    for payout in history.payouts:
        part, amount = found[payout.amount.currency], payout.amount.amount
        failure = returned.get(payout.id)
        if payout.status in ("pending", "in_transit"):
            part.on_its_way += amount
        had_arrived = failure is not None and failure.created >= payout.arrival_date
        if arrived_in(payout.arrival_date) and (payout.status == "paid" or had_arrived):
            part.arrived += amount
        if failure is not None and had_arrived and when(failure.created):
            part.returned += amount
    return found
