"""Reloads as messages."""

from collections.abc import Mapping
from typing import Final

from billing_client.v1 import wallet_service_pb2 as pb

from application.requests.paging import Page
from application.wallet.commands import ReloadOrder, Resolution
from application.wallet.reloading import ReloadView
from domain.reloads import ReloadState
from interfaces.grpc.core.money import money_message
from interfaces.grpc.core.timestamps import timestamp_message

_STATES: Final[Mapping[ReloadState, pb.ReloadState.ValueType]] = {
    state: pb.ReloadState.Value(f"RELOAD_STATE_{state.name}") for state in ReloadState
}

RESOLUTIONS: Final[Mapping[pb.ReloadResolution.ValueType, Resolution]] = {
    pb.RELOAD_RESOLUTION_RETRY: Resolution.RETRY,
    pb.RELOAD_RESOLUTION_CLOSE: Resolution.CLOSE,
}


def read_reload(request: pb.ReloadWalletRequest) -> ReloadOrder:
    """What is asked for; nothing of it is checked yet."""
    return ReloadOrder(
        request.amount.amount,
        request.amount.currency,
        request.payment_method,
        request.save_payment_method,
    )


def reload_message(view: ReloadView) -> pb.Reload:
    """A reload as it stands."""
    record, terms, learnt = view.record, view.terms, view.learnt
    changed = max(record.progress.history[-1].at, learnt.changed_at or record.created_at)
    message = pb.Reload(
        id=record.id,
        state=_STATES[view.state] if view.state else pb.RELOAD_STATE_UNSPECIFIED,
        amount=money_message(terms.amount, terms.currency),
        credit=money_message(terms.credit, terms.wallet_currency),
        rate=terms.rate,
        stripe_account=terms.stripe_account,
        customer=terms.customer,
        payment_method=learnt.payment_method or terms.payment_method,
        payment_intent=learnt.payment_intent,
        client_secret=view.client_secret,
        decline_code=learnt.decline_code,
        advice=learnt.advice,
        automatic=terms.automatic,
        attention=record.progress.attention,
        gone=money_message(learnt.gone, terms.currency),
        withheld=money_message(learnt.withheld, terms.currency),
        create_time=timestamp_message(record.created_at),
        update_time=timestamp_message(changed),
    )
    if terms.rate_time is not None:
        message.rate_time.CopyFrom(timestamp_message(terms.rate_time))
    return message


def reloads_message(page: Page[ReloadView]) -> pb.ListReloadsResponse:
    """A page of reloads."""
    return pb.ListReloadsResponse(
        reloads=map(reload_message, page.items), next_page_token=page.next_page_token
    )
