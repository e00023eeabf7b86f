"""What is wrong with what callers ask of wallets: every violation at once."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from application.mutations.mutations import request_id_violations
from application.requests.violations import (
    CUSTOMER_ID,
    METHOD_ID,
    id_violations,
    mask_violations,
    optional_id_violations,
    text_violations,
)
from application.wallet.commands import (
    Adjustment,
    AdjustmentKind,
    AutoReloadValues,
    Debit,
    ReloadDecision,
    ReloadOrder,
    ReloadPart,
    ReloadRetry,
    Span,
    UsageRefund,
)
from domain.errors import FieldViolation
from domain.ledger_amounts import MAX_QUANTITY
from domain.money import CURRENCIES
from domain.reloads import amount_rules
from domain.wallets import (
    MAX_AMOUNT,
    MAX_MULTIPLIERS,
    MULTIPLIER_RULE,
    SERVICE,
    SERVICE_RULE,
    is_multiplier,
)

MAX_WORDS: Final = 500
"""How many characters a description or a reason has at most."""

MAX_SEQUENCE: Final = 2**53
RELOAD_ID: Final = re.compile(r"[a-z0-9_]{1,100}")
_CHANGEABLE: Final = ("auto_reload",)


def debit_violations(request_id: str, debit: Debit) -> Iterator[FieldViolation]:
    """What is wrong with a debit, but for whether there is such a service."""
    yield from request_id_violations(request_id)
    if not SERVICE.fullmatch(debit.service):
        yield FieldViolation("service", SERVICE_RULE)
    yield from _quantity_violations(debit.quantity)
    yield from text_violations(debit.description, "description", MAX_WORDS)


def refund_violations(request_id: str, refund: UsageRefund) -> Iterator[FieldViolation]:
    """What is wrong with a refund, whatever the entry is."""
    yield from request_id_violations(request_id)
    if not 1 <= refund.sequence <= MAX_SEQUENCE:
        yield FieldViolation("sequence", "the sequence of an entry, from 1")
    yield from _quantity_violations(refund.quantity)
    yield from _reason_violations(refund.reason)


def adjustment_violations(
    request_id: str, adjustment: Adjustment, currency: str
) -> Iterator[FieldViolation]:
    """What is wrong with an adjustment, whatever is owed."""
    yield from request_id_violations(request_id)
    yield from _reason_violations(adjustment.reason)
    if adjustment.kind is None:
        yield FieldViolation("adjustment", "one of: grant, write_off, overdraft")
        return
    least = 0 if adjustment.kind is AdjustmentKind.OVERDRAFT else 1
    if not least <= adjustment.amount <= MAX_AMOUNT:
        yield FieldViolation(f"{adjustment.kind}.amount", f"{least} to {MAX_AMOUNT:,} minor units")
    if adjustment.currency != currency:
        yield FieldViolation(f"{adjustment.kind}.currency", f"this wallet's is {currency}")


def settings_violations(
    request_id: str, values: AutoReloadValues | None, mask: Sequence[str]
) -> Iterator[FieldViolation]:
    """What is wrong with settings: amounts out of range, or in the wrong order."""
    yield from request_id_violations(request_id)
    has_value = values is not None
    yield from mask_violations(mask, _CHANGEABLE, has_value=has_value, noun="settings")
    if values is None:
        return
    path = "settings.auto_reload"
    for name in ("threshold", "amount", "most_per_charge", "most_per_day"):
        least = 0 if name == "threshold" else 1
        if not least <= getattr(values, name) <= MAX_AMOUNT:
            yield FieldViolation(f"{path}.{name}", f"{least} to {MAX_AMOUNT:,} minor units")
    if values.amount > values.most_per_charge:
        yield FieldViolation(f"{path}.most_per_charge", "at least amount")
    if values.most_per_charge > values.most_per_day:
        yield FieldViolation(f"{path}.most_per_day", "at least most_per_charge")
    yield from id_violations(values.payment_method, f"{path}.payment_method", METHOD_ID)


def rebilling_violations(
    request_id: str, multipliers: Mapping[str, str], *, is_sub_account: bool
) -> Iterator[FieldViolation]:
    """What is wrong with multipliers; each is named by its service, if that is a service."""
    yield from request_id_violations(request_id)
    yield from sub_account_violations(is_sub_account=is_sub_account)
    if len(multipliers) > MAX_MULTIPLIERS:
        yield FieldViolation("settings.multipliers", f"at most {MAX_MULTIPLIERS}")
    for service, multiplier in [*multipliers.items()][: MAX_MULTIPLIERS + 1]:
        if service != "*" and not SERVICE.fullmatch(service):
            yield FieldViolation("settings.multipliers", f"a service, or *: {SERVICE_RULE}")
        elif not is_multiplier(multiplier):
            yield FieldViolation(f"settings.multipliers.{service}", MULTIPLIER_RULE)


def sub_account_violations(*, is_sub_account: bool) -> Iterator[FieldViolation]:
    """What needs a parent."""
    if not is_sub_account:
        yield FieldViolation("account", "a sub-account: only a parent rebills")


def preparation_violations(request_id: str, customer: str) -> Iterator[FieldViolation]:
    """What is wrong with a preparation."""
    yield from request_id_violations(request_id)
    yield from optional_id_violations(customer, "customer", CUSTOMER_ID)


def reload_violations(request_id: str, order: ReloadOrder) -> Iterator[FieldViolation]:
    """What is wrong with a reload, but for whose the payment method is."""
    yield from request_id_violations(request_id)
    if order.currency not in CURRENCIES:
        rule = "a currency that Stripe charges in, lower-case ISO 4217"
        yield FieldViolation("amount.currency", rule)
    else:
        for rule in amount_rules(order.amount, order.currency):
            yield FieldViolation("amount.amount", rule)
    yield from optional_id_violations(order.payment_method, "payment_method", METHOD_ID)


def retry_violations(request_id: str, retry: ReloadRetry) -> Iterator[FieldViolation]:
    """What is wrong with another try."""
    yield from request_id_violations(request_id)
    yield from _reload_id_violations(retry.reload)
    yield from id_violations(retry.payment_method, "payment_method", METHOD_ID)


def cancel_violations(request_id: str, reload: str) -> Iterator[FieldViolation]:
    """What is wrong with a cancellation."""
    yield from request_id_violations(request_id)
    yield from _reload_id_violations(reload)


def part_violations(request_id: str, part: ReloadPart) -> Iterator[FieldViolation]:
    """What is wrong with giving a part back, whatever is left of the payment."""
    yield from request_id_violations(request_id)
    yield from _reload_id_violations(part.reload)
    if not 1 <= part.amount <= MAX_AMOUNT:
        yield FieldViolation("amount.amount", f"1 to {MAX_AMOUNT:,} minor units")
    if part.currency not in CURRENCIES:
        yield FieldViolation("amount.currency", "the payment's, in lower-case ISO 4217")
    yield from _reason_violations(part.reason)


def decision_violations(request_id: str, decision: ReloadDecision) -> Iterator[FieldViolation]:
    """What is wrong with a decision, however the reload stands."""
    yield from request_id_violations(request_id)
    yield from _reload_id_violations(decision.reload)
    if decision.resolution is None:
        yield FieldViolation("resolution", "RETRY or CLOSE")
    yield from _reason_violations(decision.reason)


def _reload_id_violations(reload: str) -> Iterator[FieldViolation]:
    if not RELOAD_ID.fullmatch(reload):
        yield FieldViolation("id", "the id of a reload, as ReloadWallet gave it")


def span_violations(span: Span) -> Iterator[FieldViolation]:
    """What is wrong with the order of a period's bounds."""
    if span.start and span.end and span.start >= span.end:
        yield FieldViolation("end_time", "must be after start_time")


def _quantity_violations(quantity: int) -> Iterator[FieldViolation]:
    if not 1 <= quantity <= MAX_QUANTITY:
        yield FieldViolation("quantity", f"1 to {MAX_QUANTITY:,}")


def _reason_violations(reason: str) -> Iterator[FieldViolation]:
    if not reason.strip():
        yield FieldViolation("reason", "must be given: it stands in the statement")
    yield from text_violations(reason, "reason", MAX_WORDS)
