"""What follows a sale, for as long as anybody can do something to it: refunds, disputes, lapses."""

import datetime as dt

from typing_extensions import override

from application.checkouts.checkout_process import SaleFollowing
from application.checkouts.checkout_terms import CheckoutRun, state_of
from application.checkouts.lapsing import LOOK_EVERY, Followed, Lapses
from application.checkouts.sale_returns import (
    SaleReturns,
    is_returned,
    lost_so_far,
    under_way,
)
from application.processes.ports import Course
from domain.checkouts import state_at_rest
from domain.errors import FailedPrecondition, Reason
from domain.lapses import Why
from domain.store_subscriptions import StoreSubscription


class Following(SaleFollowing):
    """Tends a sale that is completed."""

    def __init__(self, returns: SaleReturns, lapses: Lapses) -> None:
        self._returns = returns
        self._lapses = lapses

    @override
    async def tend(self, run: CheckoutRun) -> None:
        terms = run.frozen
        if run.record.progress.course is not Course.COMPLETED and not under_way(run.data):
            # Completed a moment ago. What was done to it since comes with its own event.
            if terms.renews:
                run.look_at(run.now() + LOOK_EVERY)
            return
        again: dt.datetime | None = None
        try:
            again = await self._returns.tend(run)
        except FailedPrecondition as error:
            # Where the seller's account is cut off, what was sold is to be suspended all the same.
            if error.reason is not Reason.STRIPE_CONNECTION_REVOKED or not terms.renews:
                raise
        followed = Followed()
        if terms.renews:
            followed = await self._lapses.tend(run, returned=is_returned(run.data))
        times = [at for at in (again, followed.look_at) if at is not None]
        if times:
            run.look_at(min(times))
        self._enter(run, followed.sold)

    def _enter(self, run: CheckoutRun, sold: StoreSubscription | None) -> None:
        """Be in the state that it has come to; one that people have closed stays as they said."""
        if state_of(run.record) is None:
            return
        lapsed = sold is not None and not sold.stands and sold.why != Why.REFUNDED
        state = state_at_rest(
            lost_so_far(run.data),
            refunding=bool(under_way(run.data)),
            returned=is_returned(run.data),
            lapsed=lapsed,
        )
        run.enter(state)
