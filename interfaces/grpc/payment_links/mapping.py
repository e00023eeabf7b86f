"""Payment links."""

from billing_client.v1 import payment_link_service_pb2 as pb

from application.payment_links.use_cases import DEFAULT_DAYS_UNTIL_DUE, NewPaymentLink
from domain.errors import FieldViolation
from domain.payment_links import PaymentLink
from interfaces.grpc.core.money import money_message
from interfaces.grpc.core.timestamps import timestamp_message
from interfaces.grpc.invoices.mapping import read_item


def read_create(
    request: pb.CreatePaymentLinkRequest, violations: list[FieldViolation]
) -> NewPaymentLink:
    """What a contact is to pay."""
    days = request.days_until_due if request.HasField("days_until_due") else DEFAULT_DAYS_UNTIL_DUE
    return NewPaymentLink(
        contact=request.contact,
        currency=request.currency,
        items=tuple(
            read_item(item, request.currency, f"items[{place}]", violations)
            for place, item in enumerate(request.items)
        ),
        days_until_due=days,
        memo=request.memo,
        metadata=dict(request.metadata),
    )


def link_message(link: PaymentLink) -> pb.PaymentLink:
    """A payment link."""
    return pb.PaymentLink(
        invoice=link.invoice,
        customer=link.customer,
        contact=link.contact,
        url=link.url,
        short_url=link.short_url,
        shortened=link.shortened,
        amount_due=money_message(link.amount_due.amount, link.amount_due.currency),
        due_time=timestamp_message(link.due_time) if link.due_time else None,
        customer_created=link.customer_created,
    )
