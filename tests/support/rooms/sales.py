"""What follows sales, as it is wired: renewals, their costs, lapses and refunds."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import stripe
from typing_extensions import override

from application.checkouts.following import Following
from application.checkouts.lapsing import Lapses
from application.checkouts.refunding import SaleRefunds
from application.checkouts.renewal_costs import RenewalCosts
from application.checkouts.renewing import Renewals
from application.checkouts.sale_returns import SaleReturns
from application.checkouts.store_jobs import StoreJobs
from application.processes.ports import Watch
from application.wallet.aftermath import Aftermath
from application.wallet.costs import Costs
from application.wallet.low import LowBalances
from application.wallet.whose import Wallets
from domain.jobs import Job
from domain.store_subscriptions import StoreSubscription
from infrastructure.stripe.catalogue.gateway import StripeProducts
from infrastructure.stripe.charges.gateway import StripeRefundGateway
from infrastructure.stripe.checkouts.renewals import StripeRenewals
from infrastructure.stripe.payment_intents.gateway import StripePaymentIntents
from infrastructure.stripe.subscriptions.gateway import StripeSubscriptions
from sandbox.emulator.core.grants import CLIENT_ID
from tests.support.rooms.checkouts import CheckoutWorld
from tests.support.rooms.processes import carried_on


@dataclass
class SaleWorld(CheckoutWorld):
    """A store whose sales are followed."""

    @override
    def wire(self) -> None:
        api, stores, clock, queued = self.api, self.stores, self.clock, asyncio.Event()
        wallets, jobs = Wallets(stores.accounts, "usd"), StoreJobs(stores.outbox, clock, queued)
        low = LowBalances(stores.wallet_settings, stores.outbox, clock, queued, asyncio.Event())
        aftermath = Aftermath(
            stores.accounts, wallets, stores.journal, Costs(stores.journal, clock), low, clock
        )
        sold, self.ending = stores.store_subscriptions, StripeSubscriptions(api)
        self.products = StripeProducts(api)
        self.renewals, self.refund_gateway = StripeRenewals(api), StripeRefundGateway(api)
        self.renewing = Renewals(sold, self.products, self.renewals, jobs, clock)
        self.following = Following(
            SaleReturns(
                StripePaymentIntents(api, CLIENT_ID), self.refund_gateway, stores.journal,
                aftermath, jobs, clock,
            ),
            Lapses(sold, self.renewals, self.ending, stores.journal, jobs),
        )  # fmt: skip
        self.calendar = RenewalCosts(sold, wallets, stores.journal, aftermath, clock)
        super().wire()
        self.sale_refunds = SaleRefunds(self.calls, self.processes, self.mutations)

    async def sold(self, checkout: str, account: str = "lily") -> StoreSubscription:
        """What was bought, as it stands."""
        found = await self.stores.store_subscriptions.get(account, checkout)
        assert found is not None
        return found

    async def renewal(self, checkout: str) -> stripe.Subscription:
        """The buyer's subscription at the seller's."""
        id_ = (await self.data(checkout)).renewal
        return await self.sdk.v1.subscriptions.retrieve_async(id_, None, self.options)

    async def sellers_own(self, checkout: str) -> stripe.Subscription:
        """The seller's own subscription at the platform."""
        id_ = (await self.data(checkout)).sellers_subscription
        return await self.sdk.v1.subscriptions.retrieve_async(id_)

    async def change(self, checkout: str, **params: Any) -> None:
        """Somebody changes the renewal at Stripe, and its event comes."""
        id_ = (await self.data(checkout)).renewal
        wanted: Any = params
        await self.sdk.v1.subscriptions.update_async(id_, wanted, self.options)
        await self.told(checkout)

    async def told(self, checkout: str) -> None:
        """Events of all that the checkout watches come."""
        watches: Sequence[Watch] = (await self.record(checkout)).watches
        await self.stores.process_log.wake(watches, now=self.clock.now())
        await carried_on(self.processes)

    async def pass_days(self, days: float) -> None:
        """Let days pass, one after the other, and do what is due on each."""
        left = dt.timedelta(days=days)
        while left > dt.timedelta():
            step = min(left, dt.timedelta(days=1))
            await self.later(step)
            await self.calendar.run()
            left -= step

    async def store_jobs(self, *kinds: str) -> list[Job]:
        """The jobs of these kinds, or of all of what follows a sale, as they were made."""
        wanted = kinds or (
            "store.suspend", "store.resume", "store.deprovision", "store.renewal_failed",
            "store.reversed", "store.needs_attention",
        )  # fmt: skip
        found = [job for job in await self.jobs() if job.kind in wanted]
        return sorted(found, key=lambda job: job.created_at)

    async def told_jobs(self) -> list[str]:
        """What jobs have told after the sale, in order."""
        return [job.kind.removeprefix("store.") for job in await self.store_jobs()]

    async def renewal_keys(self) -> Counter[str]:
        """The keys of the costs of renewals that stand."""
        return Counter(entry.key for entry in await self.entries() if entry.kind == "renewal")
