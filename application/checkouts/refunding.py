"""RefundCheckout: the seller gives a sale back, or a part of it."""

from dataclasses import replace
from typing import Final

from application.checkouts.checkout_terms import (
    KIND,
    CheckoutData,
    CheckoutRun,
    CheckoutTerms,
    SaleRefund,
    data_of,
    terms_of,
)
from application.checkouts.commands import CheckoutRefund
from application.checkouts.executing import CheckoutCalls, CheckoutView
from application.checkouts.sale_returns import GIVEN_BACK, under_way
from application.checkouts.violations import refund_violations
from application.mutations.mutations import Mutations
from application.mutations.steps import Steps
from application.processes.ports import Course
from application.processes.processes import Processes
from application.processes.starting import Began
from application.requests.callers import OPERATOR, Caller
from application.requests.violations import refuse
from application.wallet.posting import reused
from domain.errors import (
    FailedPrecondition,
    PermissionDenied,
    Reason,
    WrongState,
)

MAX_REFUNDS: Final = 50
"""How many parts of one sale are given back by RefundCheckout."""

PROVISIONED: Final = "provisioned"
"""The state in which the cost of a sale comes back by operators alone."""


class SaleRefunds:
    """Takes the orders; what they come to is their process's affair (`SaleReturns`)."""

    def __init__(self, calls: CheckoutCalls, processes: Processes, mutations: Mutations) -> None:
        self._calls = calls
        self._processes = processes
        self._refund = mutations.method(
            "CheckoutService.RefundCheckout", CheckoutRefund, Began, self._steps, connected=False
        )

    async def refund(self, caller: Caller, request_id: str, order: CheckoutRefund) -> CheckoutView:
        """Give a sale back, or a part of it: how the checkout stands then.

        Raises InvalidArgument, NotFound, PermissionDenied (NOT_CREDITOR) for others than the seller
        and operators, WrongState before the capture, and of `return_cost` once it is provided, and
        FailedPrecondition (REFUND_TOO_LARGE, STRIPE_REFUSED).
        """
        refuse(refund_violations(request_id, order))
        view = await self._calls.get(caller, order.checkout)
        if caller.home not in (view.terms.seller or OPERATOR, OPERATOR):
            words = "only the seller may give a sale back"
            raise PermissionDenied(Reason.NOT_CREDITOR, words)
        wanted = replace(order, by_operator=caller.home == OPERATOR)
        await self._refund.run(caller, request_id, wanted)
        return await self._calls.get(caller, order.checkout)

    async def _steps(self, steps: Steps, wanted: CheckoutRefund) -> Began:
        request_id, checkout = steps.request_id, wanted.checkout

        async def order(run: CheckoutRun) -> None:
            if not any(part.request_id == request_id for part in run.data.refunds):
                run.data = _ordered(run, wanted, request_id)

        await self._processes.act(checkout, order)
        record = await self._processes.get(checkout)
        _tell_outcome(terms_of(record), data_of(record), wanted, request_id)
        return Began(checkout)


def _ordered(run: CheckoutRun, wanted: CheckoutRefund, request_id: str) -> CheckoutData:
    """What a checkout knows with another part to give back.

    Raises WrongState, FailedPrecondition (REFUND_TOO_LARGE).
    """
    progress, data = run.record.progress, run.data
    gone_back = progress.course in (Course.BACKWARD, Course.TAKEN_BACK)
    if data.captured_at is None or gone_back:
        raise WrongState(KIND, run.id, progress.state)
    if wanted.return_cost and data.provisioned and not wanted.by_operator:
        raise WrongState(KIND, run.id, PROVISIONED)
    left = left_of(data)
    amount = wanted.amount or left
    # One for which nothing was paid is taken back once, so that what it costs its seller ends.
    least = 0 if not data.amount and not data.refunds else 1
    if not least <= amount <= left or len(data.refunds) >= MAX_REFUNDS:
        raise _too_large()
    part = SaleRefund(len(data.refunds) + 1, request_id, amount, wanted.reason, wanted.return_cost)
    return replace(data, refunds=(*data.refunds, part), changed_at=run.now())


def left_of(data: CheckoutData) -> int:
    """What can be given back yet: not what is gone, disputed, or on its way."""
    on_its_way = sum(part.amount for part in under_way(data))
    return max(0, data.amount - data.gone - data.withheld - on_its_way)


def _tell_outcome(
    terms: CheckoutTerms, data: CheckoutData, wanted: CheckoutRefund, request_id: str
) -> None:
    """Raise why a part was not given back, if so."""
    part = next((one for one in data.refunds if one.request_id == request_id), None)
    if part is None or part.outcome in ("", GIVEN_BACK):
        return
    if (wanted.amount or part.amount, wanted.reason) != (part.amount, part.reason):
        raise reused()
    if part.outcome in (Reason.INVALID_FIELDS, Reason.REFUND_TOO_LARGE, Reason.WRONG_STATE):
        raise _too_large()
    words = f"Stripe did not give it back in {terms.total.currency}: {part.outcome}"
    raise FailedPrecondition(Reason.STRIPE_REFUSED, words, subject=KIND)


def _too_large() -> FailedPrecondition:
    words = "more would be given back than is left of the payment"
    return FailedPrecondition(Reason.REFUND_TOO_LARGE, words, subject=KIND)
