"""Reporting categories: what each movement of a balance is, and about whom it tells.

The category is Stripe's own sorting for the books; the older `type` mixes kinds, an `adjustment`
may be a dispute or a refund that failed. (Stripe, "Reporting categories and types".) Nothing is
told by how an id begins.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SETTLEMENT: Final = "settlement"
"""The facet of what a movement of money cost and brought."""

REVERSAL: Final = "reversal"
"""The facet of what its failure or reversal took back."""

RELEASE: Final = "release"
"""The facet of what was authorised and not captured: a refund object of Stripe's, but no refund."""


class Part(StrEnum):
    """What a category counts to, from what was sold to what is paid out."""

    SALES = "sales"
    REFUNDS = "refunds"
    DISPUTES = "disputes"
    FEES = "fees"
    TAXES = "taxes"
    CONNECT = "connect"
    FINANCING = "financing"
    ISSUING = "issuing"
    RESERVES = "reserves"
    TOPUPS = "topups"
    OTHER = "other"
    PAYOUTS = "payouts"


@dataclass(frozen=True, slots=True)
class Category:
    """A category: its part, and the noun and facet of what its source tells about, if it is ours.

    `noun` is empty where the source is none that is mirrored, or there is none.
    """

    part: Part
    noun: str = ""
    facet: str = ""


CATEGORIES: Final[Mapping[str, Category]] = {
    "advance": Category(Part.FINANCING),
    "advance_funding": Category(Part.FINANCING),
    "anticipation_repayment": Category(Part.FINANCING),
    "charge": Category(Part.SALES, "charge", SETTLEMENT),
    # Of payments that were not good in the end: the source is a refund object.
    "charge_failure": Category(Part.SALES, "refund", SETTLEMENT),
    "climate_order_purchase": Category(Part.OTHER),
    "climate_order_refund": Category(Part.OTHER),
    "connect_collection_transfer": Category(Part.CONNECT),
    "connect_reserved_funds": Category(Part.RESERVES),
    "contribution": Category(Part.OTHER),
    "dispute": Category(Part.DISPUTES, "dispute", SETTLEMENT),
    "dispute_reversal": Category(Part.DISPUTES, "dispute", REVERSAL),
    "fee": Category(Part.FEES),
    "financing_paydown": Category(Part.FINANCING),
    "financing_paydown_reversal": Category(Part.FINANCING),
    "financing_payout": Category(Part.FINANCING),
    "financing_payout_reversal": Category(Part.FINANCING),
    "issuing_authorization_hold": Category(Part.ISSUING),
    "issuing_authorization_release": Category(Part.ISSUING),
    "issuing_disbursement": Category(Part.ISSUING),
    "issuing_dispute": Category(Part.ISSUING),
    "issuing_dispute_fraud_liability_debit": Category(Part.ISSUING),
    "issuing_dispute_provisional_credit": Category(Part.ISSUING),
    "issuing_dispute_provisional_credit_reversal": Category(Part.ISSUING),
    "issuing_transaction": Category(Part.ISSUING),
    "network_cost": Category(Part.FEES),
    "other_adjustment": Category(Part.OTHER),
    # Against the sale, which shows all that was authorised. The source is a refund object.
    "partial_capture_reversal": Category(Part.SALES, "refund", RELEASE),
    "payment_network_reserve_hold": Category(Part.RESERVES),
    "payment_network_reserve_release": Category(Part.RESERVES),
    "payout": Category(Part.PAYOUTS, "payout", SETTLEMENT),
    "payout_minimum_balance_hold": Category(Part.RESERVES),
    "payout_minimum_balance_release": Category(Part.RESERVES),
    "payout_reversal": Category(Part.PAYOUTS, "payout", REVERSAL),
    "platform_earning": Category(Part.CONNECT),
    "platform_earning_refund": Category(Part.CONNECT),
    "refund": Category(Part.REFUNDS, "refund", SETTLEMENT),
    "refund_failure": Category(Part.REFUNDS, "refund", REVERSAL),
    "risk_reserved_funds": Category(Part.RESERVES),
    "tax": Category(Part.TAXES),
    "topup": Category(Part.TOPUPS),
    "topup_reversal": Category(Part.TOPUPS),
    "transfer": Category(Part.CONNECT),
    "transfer_reversal": Category(Part.CONNECT),
    "unreconciled_customer_funds": Category(Part.OTHER),
}
"""Every category that Stripe documents. One that is new is unknown, and a part of its own."""

_BY_TYPE: Final[Mapping[str, str]] = {
    "charge": "charge",
    "payment": "charge",
    "payment_failure_refund": "charge_failure",
    "refund": "refund",
    "payment_refund": "refund",
    "refund_failure": "refund_failure",
    "payout": "payout",
    "payout_cancel": "payout_reversal",
    "payout_failure": "payout_reversal",
}
"""The category of the types that have one whatever else is known."""


def category_of(reporting_category: str | None, type_: str) -> Category | None:
    """What a balance transaction is, by its category, and by its type where that tells nothing.

    None for one of neither: nobody knows about whom it tells.
    """
    known = CATEGORIES.get(reporting_category or "")
    return known or CATEGORIES.get(_BY_TYPE.get(type_, ""))
