"""Histories of a business's money, for Hypothesis: where figures go wrong if they ever do.

Instants lie around clock changes, month ends and leap days of zones that are hard; amounts have 0,
2 and 3 decimals; payments are captured in part, refunded in another month, contested, fail days
later.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from domain.balance_transactions import BalanceTransaction
from domain.charges import Charge
from domain.disputes import Dispute
from domain.invoice_payments import InvoicePayment
from domain.invoices import Invoice
from domain.money import Money
from domain.payment_intents import PaymentIntent
from domain.payouts import Payout
from domain.refunds import Refund
from tests.support.expected.revenue import History

ZONES: Final = ("America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "US/Eastern", "UTC")
"""The fourth is an alias; Lord Howe's clocks change by half an hour."""

TURNS: Final = (
    ("America/New_York", "2026-03-08T02:00"), ("America/New_York", "2026-11-01T01:00"),
    ("Australia/Lord_Howe", "2026-04-05T02:00"), ("Australia/Lord_Howe", "2026-10-04T02:00"),
    ("Asia/Kathmandu", "2024-02-29T00:00"), ("US/Eastern", "2024-03-01T00:00"),
    ("UTC", "2025-12-31T23:59"), ("America/New_York", "2026-02-28T23:59"),
)  # fmt: skip
"""Local times where a day, a month, or a clock turns."""

CURRENCIES: Final = ("usd", "eur", "jpy", "kwd")
CUSTOMERS: Final = (None, "cus_b", "cus_a", "cus_c")
RISKS: Final = ("normal", None, "elevated", "highest")
CODES: Final = ("card_declined", None, "expired_card")
REASONS: Final = (
    "subscription_create", "subscription_cycle", "subscription_update", "manual", "of_tomorrow",
    "subscription", "subscription_threshold", "quote_accept",
)  # fmt: skip
_DAY: Final = dt.timedelta(days=1)


def turn(number: int) -> dt.datetime:
    """One of the turns, in UTC."""
    zone, local = TURNS[number % len(TURNS)]
    return dt.datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)


@dataclass
class Business:
    """What has happened so far. Each fate adds a payment with all that follows from it."""

    charges: list[Charge] = field(default_factory=list)
    intents: list[PaymentIntent] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    disputes: list[Dispute] = field(default_factory=list)
    payouts: list[Payout] = field(default_factory=list)
    transactions: list[BalanceTransaction] = field(default_factory=list)
    invoices: list[Invoice] = field(default_factory=list)
    invoice_payments: list[InvoicePayment] = field(default_factory=list)

    def history(self) -> History:
        """All that it has had."""
        return History(
            tuple(self.charges),
            tuple(self.intents),
            tuple(self.refunds),
            tuple(self.disputes),
            tuple(self.payouts),
            tuple(self.transactions),
            tuple(self.invoices),
            tuple(self.invoice_payments),
        )

    def charge(
        self, at: dt.datetime, amount: Money, status: str = "succeeded", *,
        captured: int | None = None, intent: str | None = None, outcome: str | None = None,
    ) -> Charge:  # fmt: skip
        taken = captured if captured is not None else amount.amount
        taken = taken if status == "succeeded" else 0
        made = Charge(
            f"ch_{len(self.charges)}", at, amount, Money(taken, amount.currency),
            Money(0, amount.currency), status, taken > 0, False, False, payment_intent=intent,
            outcome_type=outcome, customer=CUSTOMERS[len(self.charges) % len(CUSTOMERS)],
            risk_level=RISKS[len(self.charges) % len(RISKS)],
            failure_code=CODES[len(self.charges) % len(CODES)] if status == "failed" else None,
        )  # fmt: skip
        self.charges.append(made)
        return made

    def intent(self, at: dt.datetime, amount: Money, status: str = "succeeded") -> str:
        id_ = f"pi_{len(self.intents)}"
        self.intents.append(PaymentIntent(id_, at, amount, amount, status))
        return id_

    def moved(
        self, at: dt.datetime, category: str, amount: Money, *,
        fee: int = 0, source: str | None = None, kind: str | None = None, status: str = "available",
    ) -> None:  # fmt: skip
        code = amount.currency
        self.transactions.append(
            BalanceTransaction(
                f"txn_{len(self.transactions)}",
                at,
                amount,
                Money(fee, code),
                Money(amount.amount - fee, code),
                kind or category,
                status,
                at + 2 * _DAY,
                source,
                category,
            )
        )


Fate = Callable[[Business, dt.datetime, Money, int], None]
"""Takes an amount and a number of days until what is late happens."""


def _paid(business: Business, at: dt.datetime, amount: Money, late: int) -> None:
    charge = business.charge(at, amount, intent=business.intent(at, amount))
    status = "pending" if late % 2 else "available"
    business.moved(at, "charge", amount, fee=late, source=charge.id, status=status)


def _billed(business: Business, at: dt.datetime, amount: Money, late: int) -> None:
    intent = business.intent(at, amount)
    charge = business.charge(at, amount, intent=intent)
    if late % 3:  # else it settles later than anybody looks
        business.moved(at + late * _DAY, "charge", amount, fee=late, source=charge.id)
    number = len(business.invoices)
    reason = REASONS[late % len(REASONS)]
    business.invoices.append(
        Invoice(
            f"in_{number}", at, amount.currency, "paid", amount, amount, amount, amount,
            billing_reason=reason,
        )
    )  # fmt: skip
    business.invoice_payments.append(
        InvoicePayment(f"inpay_{number}", at, f"in_{number}", "paid", amount, payment_intent=intent)
    )


def _legacy(business: Business, at: dt.datetime, amount: Money, late: int) -> None:
    charge = business.charge(at, amount)  # an old one, without an intent
    business.moved(at + late * _DAY, "charge", amount, source=charge.id)  # listed late


def _captured_in_part(business: Business, at: dt.datetime, amount: Money, late: int) -> None:
    taken = amount.amount // 3
    charge = business.charge(at, amount, captured=taken)
    business.moved(at + late * _DAY, "charge", amount, source=charge.id)
    released = Money(taken - amount.amount, amount.currency)
    category = "partial_capture_reversal"
    business.moved(at + late * _DAY, category, released, source=f"re_p{charge.id}", kind="refund")


def _authorised(business: Business, at: dt.datetime, amount: Money, _: int) -> None:
    business.charge(at, amount, captured=0, intent=business.intent(at, amount, "requires_capture"))


def _recovered(business: Business, at: dt.datetime, amount: Money, late: int) -> None:
    intent = business.intent(at, amount)
    business.charge(at, amount, "failed", intent=intent, outcome="issuer_declined")
    charge = business.charge(at + late * _DAY, amount, intent=intent)
    business.moved(charge.created, "charge", amount, fee=1, source=charge.id)


def _declined(business: Business, at: dt.datetime, amount: Money, _: int) -> None:
    business.charge(at, amount, "failed", intent=business.intent(at, amount, "canceled"))


def _blocked(business: Business, at: dt.datetime, amount: Money, _: int) -> None:
    business.charge(at, amount, "failed", outcome="blocked")


def _unheard_of(business: Business, at: dt.datetime, amount: Money, _: int) -> None:
    business.charge(at, amount, "of_tomorrow")
    business.moved(at, "of_tomorrow", amount)


def _debit_that_fails(business: Business, at: dt.datetime, amount: Money, late: int) -> None:
    charge = business.charge(at, amount, "failed", intent=business.intent(at, amount, "canceled"))
    business.moved(at, "charge", amount, fee=2, source=charge.id)
    back, failure = at + (late + 1) * _DAY, f"re_f{charge.id}"
    business.moved(back, "charge_failure", -amount, fee=-2, source=failure)


def _debit_under_way(business: Business, at: dt.datetime, amount: Money, _: int) -> None:
    charge = business.charge(at, amount, "pending", intent=business.intent(at, amount))
    business.moved(at, "charge", amount, source=charge.id, status="pending")


def _refunded(business: Business, at: dt.datetime, amount: Money, late: int) -> None:
    charge = business.charge(at, amount)
    business.moved(at, "charge", amount, source=charge.id)
    _refund(business, charge, at + late * _DAY, "succeeded")


def _refund_fails(business: Business, at: dt.datetime, amount: Money, late: int) -> None:
    charge = business.charge(at, amount)
    business.moved(at, "charge", amount, source=charge.id)
    refund = _refund(business, charge, at + late * _DAY, "failed")
    kind = "refund_failure" if late % 2 else "adjustment"
    failed_at = refund.created + late * _DAY
    business.moved(failed_at, "refund_failure", refund.amount, source=refund.id, kind=kind)


def _refund(business: Business, charge: Charge, at: dt.datetime, status: str) -> Refund:
    part = Money(charge.amount.amount // 2, charge.amount.currency)
    refund = Refund(f"re_{len(business.refunds)}", at, part, status, charge.id)
    business.refunds.append(refund)
    business.moved(at, "refund", -part, source=refund.id)
    return refund


def _dispute_lost(business: Business, at: dt.datetime, amount: Money, late: int) -> None:
    charge = business.charge(at, amount)
    business.moved(at, "charge", amount, source=charge.id)
    _dispute(business, charge, at + late * _DAY, "lost")


def _dispute_won(business: Business, at: dt.datetime, amount: Money, late: int) -> None:
    charge = business.charge(at, amount)
    business.moved(at, "charge", amount, source=charge.id)
    dispute = _dispute(business, charge, at + late * _DAY, "won")
    kind, back = "adjustment", dispute.created + (late + 1) * _DAY
    business.moved(back, "dispute_reversal", amount, fee=-15, source=dispute.id, kind=kind)


def _inquiry(business: Business, at: dt.datetime, amount: Money, late: int) -> None:
    charge = business.charge(at, amount)
    business.moved(at, "charge", amount, source=charge.id)
    id_ = f"dp_{len(business.disputes)}"
    status = "prevented" if late % 2 else "warning_closed"
    business.disputes.append(Dispute(id_, at + late * _DAY, amount, status, charge.id))


def _dispute(business: Business, charge: Charge, at: dt.datetime, status: str) -> Dispute:
    dispute = Dispute(f"dp_{len(business.disputes)}", at, charge.amount, status, charge.id)
    business.disputes.append(dispute)
    business.moved(at, "dispute", -charge.amount, fee=15, source=dispute.id, kind="adjustment")
    return dispute


def _payout(business: Business, at: dt.datetime, amount: Money, late: int) -> None:
    statuses = ("paid", "failed", "in_transit", "pending", "canceled")
    status, id_ = statuses[late % len(statuses)], f"po_{len(business.payouts)}"
    arrival = (at + 2 * _DAY).replace(hour=0, minute=0, second=0, microsecond=0)
    business.payouts.append(Payout(id_, at, amount, status, arrival, True))
    business.moved(at, "payout", -amount, source=id_)
    if status == "failed":
        back = at + (late + 1) * _DAY  # before it arrived, or after
        business.moved(back, "payout_reversal", amount, source=id_, kind="payout_failure")
    if status == "canceled":
        business.moved(at + _DAY / 2, "payout_reversal", amount, source=id_, kind="payout_cancel")


def _movement(business: Business, at: dt.datetime, amount: Money, late: int) -> None:
    categories = ("fee", "network_cost", "topup", "transfer", "other_adjustment", "tax", "advance")
    category = categories[late % len(categories)]
    business.moved(at, category, -amount if category in ("fee", "network_cost") else amount)


FATES: Final[tuple[Fate, ...]] = (
    _paid, _legacy, _captured_in_part, _authorised, _recovered, _declined, _blocked, _unheard_of,
    _debit_that_fails, _debit_under_way, _refunded, _refund_fails, _dispute_lost, _dispute_won,
    _inquiry, _payout, _movement, _billed,
)  # fmt: skip


@st.composite
def revenue_histories(draw: st.DrawFn, most: int = 25) -> tuple[dt.datetime, History]:
    """A turn of the calendar or the clock, and what a business had around it."""
    around = turn(draw(st.integers(0, len(TURNS) - 1)))
    business = Business()
    happened = st.tuples(
        st.sampled_from(FATES),
        # Mostly seconds from the turn, and on it; else up to forty days.
        st.one_of(st.integers(-3, 3), st.integers(-40 * 86_400, 40 * 86_400)),
        st.integers(1, 2**40),
        st.sampled_from(CURRENCIES),
        st.integers(0, 35),
    )
    for fate, seconds, amount, currency, late in draw(st.lists(happened, max_size=most)):
        at = around + dt.timedelta(seconds=seconds)
        fate(business, at, Money(amount, currency), late)
    return around, business.history()
