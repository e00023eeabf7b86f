"""Payouts: how they are read from Stripe."""

from typing import Final, final

import msgspec
from msgspec import UNSET, UnsetType

from application.mirror.nouns import PAYOUTS
from domain.money import Money
from domain.payouts import Payout, TraceId
from infrastructure.stripe.core.shapes import (
    Amount,
    Expandable,
    Fields,
    Seconds,
    Shape,
    Translation,
    instant,
    reference,
)


@final
class _TraceId(msgspec.Struct, frozen=True, gc=False):
    status: str
    value: str | None = None


class PayoutShape(Shape, frozen=True, gc=False, kw_only=True):
    """A payout, as in the API reference, "The Payout object"."""

    amount: Amount
    currency: str
    status: str | UnsetType = UNSET
    arrival_date: Seconds | UnsetType = UNSET
    automatic: bool | UnsetType = UNSET
    type: str | UnsetType | None = UNSET
    method: str | UnsetType | None = UNSET
    destination: Expandable = UNSET
    balance_transaction: Expandable = UNSET
    failure_code: str | UnsetType | None = UNSET
    reconciliation_status: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    failure_message: str | UnsetType | None = UNSET
    failure_balance_transaction: Expandable = UNSET
    original_payout: Expandable = UNSET
    reversed_by: Expandable = UNSET
    source_type: str | UnsetType | None = UNSET
    trace_id: _TraceId | UnsetType | None = UNSET
    statement_descriptor: str | UnsetType | None = UNSET
    application_fee_amount: Amount | UnsetType | None = UNSET


def to_domain(shape: PayoutShape) -> tuple[Payout, frozenset[str]]:
    """The payout, and the names of its fields that were not told."""
    fields = Fields()
    failure = reference(shape.failure_balance_transaction)
    trace = fields("trace_id", shape.trace_id, None)
    fee = fields("application_fee_amount", shape.application_fee_amount, None)
    payout = Payout(
        id=shape.id,
        created=instant(shape.created),
        amount=Money(shape.amount, shape.currency),
        status=fields("status", shape.status, ""),
        arrival_date=instant(fields("arrival_date", shape.arrival_date, shape.created)),
        automatic=fields("automatic", shape.automatic, False),
        type=fields("type", shape.type, None),
        method=fields("method", shape.method, None),
        destination=fields("destination", reference(shape.destination), None),
        balance_transaction=fields(
            "balance_transaction", reference(shape.balance_transaction), None
        ),
        failure_code=fields("failure_code", shape.failure_code, None),
        reconciliation_status=fields("reconciliation_status", shape.reconciliation_status, None),
        description=fields("description", shape.description, None),
        metadata=fields.metadata(shape.metadata),
        failure_message=fields("failure_message", shape.failure_message, None),
        failure_balance_transaction=fields("failure_balance_transaction", failure, None),
        original_payout=fields("original_payout", reference(shape.original_payout), None),
        reversed_by=fields("reversed_by", reference(shape.reversed_by), None),
        source_type=fields("source_type", shape.source_type, None),
        trace_id=trace and TraceId(trace.status, trace.value),
        statement_descriptor=fields("statement_descriptor", shape.statement_descriptor, None),
        application_fee_amount=None if fee is None else Money(fee, shape.currency),
    )
    return payout, fields.unknown


PAYOUT: Final = Translation(PAYOUTS, "/v1/payouts", PayoutShape, to_domain)
