"""Charges and refunds."""

from typing import Final

from billing_client.v1 import charge_service_pb2 as pb

from application.charges.commands import ListCharges, ListRefunds
from application.charges.ports import RefundOrder
from application.charges.use_cases import REFUND_REASONS
from application.requests.paging import Page
from domain.charges import Charge
from domain.errors import FieldViolation
from domain.refunds import Refund
from interfaces.grpc.core.metadata import callers_own
from interfaces.grpc.core.money import money_message
from interfaces.grpc.core.timestamps import read_instant, timestamp_message

_REASONS: Final = {
    pb.RefundReason.Value(f"REFUND_REASON_{reason.upper()}"): reason for reason in REFUND_REASONS
}


def charge_message(charge: Charge) -> pb.Charge:
    """A charge, without what is Billing's own."""
    currency = charge.amount.currency
    return pb.Charge(
        id=charge.id,
        create_time=timestamp_message(charge.created),
        amount=money_message(charge.amount.amount, currency),
        amount_captured=money_message(charge.amount_captured.amount, currency),
        amount_refunded=money_message(charge.amount_refunded.amount, currency),
        status=charge.status,
        captured=charge.captured,
        refunded=charge.refunded,
        disputed=charge.disputed,
        customer=charge.customer or "",
        payment_intent=charge.payment_intent or "",
        payment_method=charge.payment_method or "",
        payment_method_type=charge.payment_method_type or "",
        description=charge.description or "",
        failure_code=charge.failure_code or "",
        metadata=callers_own(charge.metadata),
    )


def refund_message(refund: Refund) -> pb.Refund:
    """A refund, without what is Billing's own."""
    return pb.Refund(
        id=refund.id,
        create_time=timestamp_message(refund.created),
        amount=money_message(refund.amount.amount, refund.amount.currency),
        status=refund.status or "",
        charge=refund.charge or "",
        payment_intent=refund.payment_intent or "",
        reason=refund.reason or "",
        failure_reason=refund.failure_reason or "",
        metadata=callers_own(refund.metadata),
    )


def charges_message(page: Page[Charge]) -> pb.ListChargesResponse:
    """A page of charges."""
    return pb.ListChargesResponse(
        charges=map(charge_message, page.items), next_page_token=page.next_page_token
    )


def refunds_message(page: Page[Refund]) -> pb.ListRefundsResponse:
    """A page of refunds."""
    return pb.ListRefundsResponse(
        refunds=map(refund_message, page.items), next_page_token=page.next_page_token
    )


def read_list(request: pb.ListChargesRequest, violations: list[FieldViolation]) -> ListCharges:
    """Which charges to list."""
    return ListCharges(
        page_size=request.page_size,
        page_token=request.page_token,
        customer=request.customer,
        payment_intent=request.payment_intent,
        status=request.status,
        created_after=read_instant(request, "created_after", violations),
        created_before=read_instant(request, "created_before", violations),
    )


def read_list_refunds(
    request: pb.ListRefundsRequest, violations: list[FieldViolation]
) -> ListRefunds:
    """Which refunds to list."""
    return ListRefunds(
        page_size=request.page_size,
        page_token=request.page_token,
        charge=request.charge,
        created_after=read_instant(request, "created_after", violations),
        created_before=read_instant(request, "created_before", violations),
    )


def read_refund(request: pb.RefundChargeRequest, violations: list[FieldViolation]) -> RefundOrder:
    """What to give back."""
    given = request.HasField("amount")
    if request.reason and request.reason not in _REASONS:
        violations.append(FieldViolation("reason", "a reason that this contract knows"))
    return RefundOrder(
        charge=request.id,
        amount=request.amount.amount if given else None,
        currency=request.amount.currency if given else "",
        reason=_REASONS.get(request.reason),
        metadata=dict(request.metadata) or None,
    )
