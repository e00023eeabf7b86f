"""What this release does not do yet after a sale: people have to look at what recurs."""

from typing_extensions import override

from application.checkouts.checkout_process import Renewing, SaleFollowing
from application.checkouts.checkout_terms import CheckoutRun


class NoRenewals(Renewing):
    """No renewal is made by itself."""

    @override
    async def begin(self, run: CheckoutRun) -> None:
        run.ask_people("RENEWAL_NOT_SERVED")


class NoFollowing(SaleFollowing):
    """Nothing that befalls a sale is followed."""

    @override
    async def tend(self, run: CheckoutRun) -> None:
        """Nothing is to be done."""
