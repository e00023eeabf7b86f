"""The process of a checkout: nobody pays twice, pays without getting, or gets without paying.

    priced → held → authorised → subscribed → captured → settled → completed

Beside it awaiting_customer and paying; backwards compensating → canceled. The capture is the pivot:
what was done before is taken back after a refusal, what follows is only repeated.
"""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from typing_extensions import override

from application.checkouts.checkout_terms import KIND, CheckoutData, CheckoutTerms
from application.processes.process import Process, Run, Stage
from domain.checkouts import CheckoutState

CheckoutRun = Run[CheckoutTerms, CheckoutData]


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

    def __init__(self, renewing: Renewing, following: SaleFollowing) -> None:
        self._renewing = renewing
        self._following = following

    @property
    @override
    def stages(self) -> Sequence[Stage[CheckoutTerms, CheckoutData]]:
        return (Stage("renew", CheckoutState.SETTLED, self._renew),)

    @override
    async def tend(self, run: CheckoutRun) -> None:
        if run.data.captured_at is not None:
            await self._following.tend(run)

    async def _renew(self, run: CheckoutRun) -> None:
        if run.frozen.renews and not run.data.renewal_refused:
            await self._renewing.begin(run)
