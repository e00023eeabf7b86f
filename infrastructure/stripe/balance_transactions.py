"""Balance transactions: how they are read from Stripe."""

from decimal import Decimal
from typing import Final, final

import msgspec
from msgspec import UNSET, UnsetType

from application.mirror.nouns import BALANCE_TRANSACTIONS
from domain.balance_transactions import BalanceTransaction, FeeDetail
from domain.money import Money
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
class _FeeDetail(msgspec.Struct, frozen=True, gc=False):
    amount: Amount
    currency: str
    type: str
    description: str | None = None
    application: str | None = None


class BalanceTransactionShape(Shape, frozen=True, gc=False, kw_only=True):
    """A balance transaction, as in the API reference, "The Balance Transaction object".

    Its exchange rate is a number in the JSON, read digit by digit.
    """

    amount: Amount
    currency: str
    fee: Amount | UnsetType = UNSET
    net: Amount | UnsetType = UNSET
    type: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    available_on: Seconds | UnsetType = UNSET
    source: Expandable = UNSET
    reporting_category: str | UnsetType | None = UNSET
    exchange_rate: Decimal | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    fee_details: list[_FeeDetail] | UnsetType | None = UNSET
    balance_type: str | UnsetType | None = UNSET


def to_domain(shape: BalanceTransactionShape) -> tuple[BalanceTransaction, frozenset[str]]:
    """The balance transaction, and the names of its fields that were not told."""
    fields = Fields()
    rate = fields("exchange_rate", shape.exchange_rate, None)
    if rate is not None and not rate.is_finite():
        raise ValueError("exchange_rate: must be a number")
    transaction = BalanceTransaction(
        id=shape.id,
        created=instant(shape.created),
        amount=Money(shape.amount, shape.currency),
        fee=fields.money("fee", shape.fee, shape.currency),
        net=fields.money("net", shape.net, shape.currency),
        type=fields("type", shape.type, ""),
        status=fields("status", shape.status, ""),
        available_on=instant(fields("available_on", shape.available_on, shape.created)),
        source=fields("source", reference(shape.source), None),
        reporting_category=fields("reporting_category", shape.reporting_category, None),
        exchange_rate=None if rate is None else str(rate),
        description=fields("description", shape.description, None),
        fee_details=tuple(
            FeeDetail(one.type, Money(one.amount, one.currency), one.description, one.application)
            for one in fields("fee_details", shape.fee_details, None) or ()
        ),
        balance_type=fields("balance_type", shape.balance_type, None),
    )
    return transaction, fields.unknown


BALANCE_TRANSACTION: Final = Translation(
    BALANCE_TRANSACTIONS, "/v1/balance_transactions", BalanceTransactionShape, to_domain
)
