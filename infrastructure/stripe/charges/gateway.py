"""Charges at Stripe: their money given back."""

import datetime as dt
from dataclasses import replace
from typing import Final

from stripe.params import RefundCreateParams
from typing_extensions import override

from application.charges.ports import RefundGateway, RefundOrder
from application.mutations.stripe import REQUEST_TAG, Call
from domain.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    RateLimited,
    Reason,
    Unavailable,
    WrongState,
)
from domain.mirror import Snapshot
from domain.refunds import Refund
from infrastructure.stripe.charges.refund_translation import REFUND
from infrastructure.stripe.charges.translation import CHARGE
from infrastructure.stripe.core.client import Request, StripeApi
from infrastructure.stripe.core.errors import Subject
from infrastructure.stripe.core.send import find_tagged, read, send

_STATES: Final = {"charge_already_refunded": "refunded", "charge_disputed": "disputed"}
"""The states that Stripe's codes tell of ("Error codes")."""


class StripeRefundGateway(RefundGateway):
    """Refunds at Stripe (API reference, "Refunds")."""

    def __init__(self, api: StripeApi) -> None:
        """Send through `api`."""
        self._api = api

    @override
    async def refund(self, call: Call, params: RefundOrder) -> Snapshot[Refund]:
        wanted: RefundCreateParams = {
            "charge": params.charge,
            "metadata": {**(params.metadata or {}), REQUEST_TAG: call.tag},
        }
        if params.amount is not None:
            wanted["amount"] = params.amount
        if params.reason:
            wanted["reason"] = params.reason
        request = Request.change(call, REFUND.path, Subject("charge", params.charge), wanted)
        try:
            return await send(self._api, request, REFUND)
        except (FailedPrecondition, InvalidArgument) as error:
            state = await self._forbidding_state(call, params.charge, error)
            if not state:
                raise
            raise WrongState("charge", params.charge, state) from None

    @override
    async def find_refund(
        self, call: Call, params: RefundOrder, sent_at: dt.datetime
    ) -> Snapshot[Refund] | None:
        of_charge = replace(REFUND, list_all={**REFUND.list_all, "charge": params.charge})
        return await find_tagged(self._api, of_charge, call, sent_at)

    async def _forbidding_state(
        self, call: Call, charge_id: str, error: FailedPrecondition | InvalidArgument
    ) -> str:
        """The charge's state that explains a refusal; empty where none does.

        NotFound where it is that there is no such charge: as a parameter it is refused otherwise.
        """
        if error.reason not in (Reason.STRIPE_REFUSED, Reason.INVALID_FIELDS):
            return ""
        if state := _STATES.get(error.metadata.get("stripe_code", "")):
            return state
        try:
            charge = (await read(self._api, CHARGE, call.stripe_account, charge_id)).object
        except (RateLimited, Unavailable, FailedPrecondition):
            return ""
        if charge is None:
            raise NotFound("charge", charge_id)
        if charge.status != "succeeded":
            return charge.status
        return "" if charge.captured else "uncaptured"
