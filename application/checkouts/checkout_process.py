"""The process of a checkout: nobody pays twice, pays without getting, or gets without paying.

    priced → held → authorised → subscribed → captured → settled → completed

Beside it awaiting_customer and paying; backwards compensating → canceled. The capture is the pivot:
what was done before is taken back after a refusal, what follows is only repeated.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Protocol

from typing_extensions import override

from application.checkouts.checkout_terms import KIND, CheckoutData, CheckoutRun, CheckoutTerms
from application.checkouts.cost_leg import CostLegs
from application.checkouts.sale_leg import SaleLeg
from application.checkouts.telling import Telling
from application.processes.process import Process, Stage
from domain.checkouts import CheckoutState
from domain.errors import WrongState


class Renewing(Protocol):
    """What follows the capture of a sale that recurs."""

    async def begin(self, run: CheckoutRun) -> None:
        """Make the renewal at the seller's, and keep what was bought; once, however often called.

        A refusal does not take the sale back: it is written down, and told by a job.
        """
        ...


class SaleFollowing(Protocol):
    """What is done to a sale that rests: refunds, disputes."""

    async def tend(self, run: CheckoutRun) -> None:
        """Bring the sale to what Stripe shows of it, and give back what is ordered."""
        ...


class Checkouts(Process[CheckoutTerms, CheckoutData]):
    """Sales of the store."""

    kind: ClassVar[str] = KIND
    compensating: ClassVar[str] = CheckoutState.COMPENSATING
    completed: ClassVar[str] = CheckoutState.COMPLETED
    taken_back: ClassVar[str] = CheckoutState.CANCELED
    frozen = CheckoutTerms
    data = CheckoutData

    def __init__(
        self, sale: SaleLeg, costs: CostLegs, renewing: Renewing, following: SaleFollowing,
        telling: Telling,
    ) -> None:  # fmt: skip
        self._sale = sale
        self._costs = costs
        self._renewing = renewing
        self._following = following
        self._telling = telling

    @property
    @override
    def stages(self) -> Sequence[Stage[CheckoutTerms, CheckoutData]]:
        return (
            Stage("hold", CheckoutState.PRICED, self._costs.hold, self._costs.release),
            Stage("customer", CheckoutState.HELD, self._sale.know_customer),
            Stage("authorise", CheckoutState.HELD, self._sale.authorise, self._sale.let_go),
            Stage("subscribe", CheckoutState.AUTHORISED, self._subscribe, self._costs.unsubscribe),
            Stage("capture", CheckoutState.SUBSCRIBED, self._sale.capture, pivot=True),
            Stage("settle", CheckoutState.CAPTURED, self._costs.settle),
            Stage("renew", CheckoutState.SETTLED, self._renew),
            Stage("tell", CheckoutState.SETTLED, self._tell),
        )

    @override
    async def tend(self, run: CheckoutRun) -> None:
        if run.data.captured_at is not None:
            await self._following.tend(run)

    @override
    async def attention(self, run: CheckoutRun) -> None:
        await self._telling.attention(run)

    async def leave(self, run: CheckoutRun) -> None:
        """What is still ours to do where people close a checkout as it stands at Stripe.

        Where nothing was captured there is no sale, so nothing stays held for it.
        """
        if run.data.captured_at is None:
            await self._costs.release(run)

    async def _subscribe(self, run: CheckoutRun) -> None:
        """The seller's own subscription, while the buyer's money is only authorised."""
        self._sale.check_time(run)
        await self._costs.subscribe(run)

    async def _renew(self, run: CheckoutRun) -> None:
        if run.frozen.renews:
            await self._renewing.begin(run)

    async def _tell(self, run: CheckoutRun) -> None:
        await self._telling.tell(run)
        run.data = replace(run.data, provisioned=True)


def canceled(checkout: str) -> WrongState:
    """The order to give up a checkout."""
    return WrongState(KIND, checkout, CheckoutState.CANCELED)
