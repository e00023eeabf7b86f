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


class NetPart(StrEnum):
    """What a category counts to in net volume, or what it is shown apart as (`APART`)."""

    GROSS = "gross"
    CHARGE_FAILURE = "charge_failure"
    REFUND = "refund"
    REFUND_FAILURE = "refund_failure"
    DISPUTE = "dispute"
    DISPUTE_REVERSAL = "dispute_reversal"
    FEES = "fees"
    OTHER = "other"
    PAYOUTS = "payouts"
    TRANSFERS = "transfers"
    TOP_UPS = "top_ups"
    RESERVES = "reserves"
    FINANCING = "financing"
    ISSUING = "issuing"


APART: Final = (
    NetPart.PAYOUTS,
    NetPart.TRANSFERS,
    NetPart.TOP_UPS,
    NetPart.RESERVES,
    NetPart.FINANCING,
    NetPart.ISSUING,
)
"""What moves the balance and is never net."""


@dataclass(frozen=True, slots=True)
class Category:
    """A category: its part, and the noun and facet of what its source tells about, if it is ours.

    `noun` is empty where the source is none that is mirrored, or there is none. `net` is its place
    in net volume.
    """

    part: Part
    net: NetPart
    noun: str = ""
    facet: str = ""


CATEGORIES: Final[Mapping[str, Category]] = {
    "advance": Category(Part.FINANCING, NetPart.FINANCING),
    "advance_funding": Category(Part.FINANCING, NetPart.FINANCING),
    "anticipation_repayment": Category(Part.FINANCING, NetPart.FINANCING),
    "charge": Category(Part.SALES, NetPart.GROSS, "charge", SETTLEMENT),
    # Of payments that were not good in the end: the source is a refund object.
    "charge_failure": Category(Part.SALES, NetPart.CHARGE_FAILURE, "refund", SETTLEMENT),
    "climate_order_purchase": Category(Part.OTHER, NetPart.OTHER),
    "climate_order_refund": Category(Part.OTHER, NetPart.OTHER),
    "connect_collection_transfer": Category(Part.CONNECT, NetPart.TRANSFERS),
    "connect_reserved_funds": Category(Part.RESERVES, NetPart.RESERVES),
    "contribution": Category(Part.OTHER, NetPart.OTHER),
    "dispute": Category(Part.DISPUTES, NetPart.DISPUTE, "dispute", SETTLEMENT),
    "dispute_reversal": Category(Part.DISPUTES, NetPart.DISPUTE_REVERSAL, "dispute", REVERSAL),
    "fee": Category(Part.FEES, NetPart.FEES),
    "financing_paydown": Category(Part.FINANCING, NetPart.FINANCING),
    "financing_paydown_reversal": Category(Part.FINANCING, NetPart.FINANCING),
    "financing_payout": Category(Part.FINANCING, NetPart.FINANCING),
    "financing_payout_reversal": Category(Part.FINANCING, NetPart.FINANCING),
    "issuing_authorization_hold": Category(Part.ISSUING, NetPart.ISSUING),
    "issuing_authorization_release": Category(Part.ISSUING, NetPart.ISSUING),
    "issuing_disbursement": Category(Part.ISSUING, NetPart.ISSUING),
    "issuing_dispute": Category(Part.ISSUING, NetPart.ISSUING),
    "issuing_dispute_fraud_liability_debit": Category(Part.ISSUING, NetPart.ISSUING),
    "issuing_dispute_provisional_credit": Category(Part.ISSUING, NetPart.ISSUING),
    "issuing_dispute_provisional_credit_reversal": Category(Part.ISSUING, NetPart.ISSUING),
    "issuing_transaction": Category(Part.ISSUING, NetPart.ISSUING),
    "network_cost": Category(Part.FEES, NetPart.FEES),
    "other_adjustment": Category(Part.OTHER, NetPart.OTHER),
    # Against the sale, which shows all that was authorised. The source is a refund object.
    "partial_capture_reversal": Category(Part.SALES, NetPart.GROSS, "refund", RELEASE),
    "payment_network_reserve_hold": Category(Part.RESERVES, NetPart.RESERVES),
    "payment_network_reserve_release": Category(Part.RESERVES, NetPart.RESERVES),
    "payout": Category(Part.PAYOUTS, NetPart.PAYOUTS, "payout", SETTLEMENT),
    "payout_minimum_balance_hold": Category(Part.RESERVES, NetPart.RESERVES),
    "payout_minimum_balance_release": Category(Part.RESERVES, NetPart.RESERVES),
    "payout_reversal": Category(Part.PAYOUTS, NetPart.PAYOUTS, "payout", REVERSAL),
    "platform_earning": Category(Part.CONNECT, NetPart.OTHER),
    "platform_earning_refund": Category(Part.CONNECT, NetPart.OTHER),
    "refund": Category(Part.REFUNDS, NetPart.REFUND, "refund", SETTLEMENT),
    "refund_failure": Category(Part.REFUNDS, NetPart.REFUND_FAILURE, "refund", REVERSAL),
    "risk_reserved_funds": Category(Part.RESERVES, NetPart.RESERVES),
    "tax": Category(Part.TAXES, NetPart.OTHER),
    "topup": Category(Part.TOPUPS, NetPart.TOP_UPS),
    "topup_reversal": Category(Part.TOPUPS, NetPart.TOP_UPS),
    "transfer": Category(Part.CONNECT, NetPart.TRANSFERS),
    "transfer_reversal": Category(Part.CONNECT, NetPart.TRANSFERS),
    "unreconciled_customer_funds": Category(Part.OTHER, NetPart.OTHER),
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


def net_part(reporting_category: str | None) -> NetPart:
    """Where a category counts in net volume; one that is unknown here is `other`."""
    known = CATEGORIES.get(reporting_category or "")
    return NetPart.OTHER if known is None else known.net


def categories_of(part: NetPart) -> tuple[str, ...]:
    """The categories that count to a part."""
    return tuple(name for name, category in CATEGORIES.items() if category.net is part)
