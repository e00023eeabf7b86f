"""Payment methods for a purchase: what the mirror shows, and what was read a moment ago."""

from typing_extensions import override

from application.background.clock import Clock
from application.checkouts.lately import MINUTE, Lately
from application.checkouts.paying import MethodReads
from application.mirror.nouns import CUSTOMERS
from application.mirror.ports import Mirror
from domain.payment_methods import PaymentMethod


class RememberedMethods(MethodReads):
    """Payment methods as they were at most a minute ago; what is not known is read from `reads`.

    What may be charged to whom, Stripe has the last word on: it refuses a payment by a method that
    is another customer's by then.
    """

    def __init__(self, reads: MethodReads, mirror: Mirror, clock: Clock) -> None:
        self._reads = reads
        self._mirror = mirror
        self._lately = Lately(reads.read, clock, MINUTE)

    @override
    async def default_of(self, stripe_account: str, customer: str) -> str:
        # The mirror may be late: only what it shows counts, if that is still there.
        shown = await self._shown(stripe_account, customer)
        if shown and await self.read(stripe_account, customer, shown) is not None:
            return shown
        return await self._reads.default_of(stripe_account, customer)

    @override
    async def read(
        self, stripe_account: str, customer: str, payment_method: str
    ) -> PaymentMethod | None:
        return await self._lately(stripe_account, customer, payment_method)

    async def _shown(self, stripe_account: str, customer: str) -> str:
        row = (await self._mirror.fetch(CUSTOMERS, stripe_account, [customer])).get(customer)
        known = row.snapshot.object if row and row.snapshot else None
        return (known.default_payment_method or known.default_source or "") if known else ""


class PresentDefaults(MethodReads):
    """For purchases: the default payment method as it is now, all else as `remembered` tells it.

    Who has just chosen another default is not to be charged by the one before.
    """

    def __init__(self, asked: MethodReads, remembered: MethodReads) -> None:
        self._asked = asked
        self._remembered = remembered

    @override
    async def default_of(self, stripe_account: str, customer: str) -> str:
        return await self._asked.default_of(stripe_account, customer)

    @override
    async def read(
        self, stripe_account: str, customer: str, payment_method: str
    ) -> PaymentMethod | None:
        return await self._remembered.read(stripe_account, customer, payment_method)
