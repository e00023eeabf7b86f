"""Checkouts as messages."""

from collections.abc import Mapping
from typing import Final

from billing_client.v1 import checkout_service_pb2 as pb

from application.checkouts.commands import CheckoutOrder, CheckoutResolution, Resolving
from application.checkouts.executing import CheckoutView
from application.requests.callers import Caller
from application.requests.paging import Page
from domain.billing_cycles import Cycle
from domain.checkouts import CheckoutState
from interfaces.grpc.checkouts.mapping import quote_message, sellers_view_message
from interfaces.grpc.core.money import money_message
from interfaces.grpc.core.timestamps import timestamp_message

_STATES: Final[Mapping[CheckoutState, pb.CheckoutState.ValueType]] = {
    state: pb.CheckoutState.Value(f"CHECKOUT_STATE_{state.name}") for state in CheckoutState
}
_RESOLUTIONS: Final = {
    pb.CHECKOUT_RESOLUTION_RETRY: Resolving.RETRY,
    pb.CHECKOUT_RESOLUTION_CLOSE: Resolving.CLOSE,
}


def read_order(caller: Caller, request: pb.ExecuteCheckoutRequest) -> CheckoutOrder:
    """What is asked for, and by whom; nothing of it is checked yet."""
    return CheckoutOrder(request.quote, request.payment_method, caller.subject, caller.home)


def read_resolution(request: pb.ResolveCheckoutRequest) -> CheckoutResolution:
    """What an operator decides."""
    decided = _RESOLUTIONS.get(request.resolution)
    return CheckoutResolution(request.id, decided, request.reason)


def checkout_message(view: CheckoutView) -> pb.Checkout:
    """A checkout as its caller may see it."""
    record, terms, data = view.record, view.terms, view.data
    quote = quote_message(terms.quote.buyers_view())
    progress = record.progress
    changed = max(progress.history[-1].at, data.changed_at or record.created_at)
    message = pb.Checkout(
        id=record.id,
        state=_STATES[view.state] if view.state else pb.CHECKOUT_STATE_UNSPECIFIED,
        buyer=terms.buyer,
        seller=terms.seller or "",
        item=quote.item,
        kind=quote.kind,
        lines=quote.lines,
        total=quote.total,
        renewal=quote.renewal if quote.HasField("renewal") else None,
        interval=quote.interval,
        interval_count=quote.interval_count,
        refunded=money_message(data.gone, terms.total.currency),
        stripe_account=terms.stripe_account,
        customer=data.customer,
        payment_method=data.payment_method or terms.payment_method,
        payment_intent=data.payment_intent,
        subscription=data.renewal,
        client_secret=view.client_secret,
        decline_code=data.decline_code,
        attention=progress.attention,
        actor=terms.actor,
        steps=[
            pb.CheckoutStep(state=entry.state, reason=entry.why, time=timestamp_message(entry.at))
            for entry in progress.history
        ],
        create_time=timestamp_message(record.created_at),
        update_time=timestamp_message(changed),
    )
    if view.shows_cost:
        message.sellers_view.CopyFrom(sellers_view_message(terms.quote))
    interval = terms.quote.interval
    if interval is not None and data.captured_at is not None:
        cycle = Cycle(data.captured_at, interval, terms.quote.interval_count)
        message.period_end.CopyFrom(timestamp_message(cycle.boundary(1)))
    return message


def checkouts_message(page: Page[CheckoutView]) -> pb.ListCheckoutsResponse:
    """A page of checkouts."""
    return pb.ListCheckoutsResponse(
        checkouts=map(checkout_message, page.items), next_page_token=page.next_page_token
    )
