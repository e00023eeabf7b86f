"""Lapses: what was sold is suspended, put into service again, or ended, as people pay or do not.

`domain.lapses` says what is to be so. Here that is brought about: what was sold first and its job,
then what follows at Stripe. Each part is done again until it is done, and then not again.
"""

import contextlib
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from application.checkouts.checkout_terms import CheckoutRun
from application.checkouts.cost_leg import NOT_AS_ASKED
from application.checkouts.ports import StoreSubscriptions
from application.checkouts.renewals_at_stripe import RenewalGateway
from application.checkouts.shortness import short_since
from application.checkouts.sold import Sold
from application.checkouts.store_jobs import StoreJobs
from application.mirror.nouns import SUBSCRIPTIONS
from application.subscriptions.ports import (
    Cancellation,
    CollectionPause,
    ResumeCollection,
    ResumeSubscription,
    SubscriptionGateway,
)
from application.wallet.ports import Journal
from domain.errors import FailedPrecondition, NotFound, Reason, WrongState
from domain.lapses import (
    SHORT_FOR,
    BuyersSide,
    SellersSide,
    Verdict,
    Why,
    buyers_side,
    verdict,
)
from domain.store_subscriptions import Standing, StoreSubscription
from domain.subscriptions import Subscription
from domain.wallets import Wallet

SUSPEND: Final = "store.suspend"
RESUME: Final = "store.resume"
DEPROVISION: Final = "store.deprovision"
"""The kinds of the jobs for who provides what was bought."""

LOOK_EVERY: Final = dt.timedelta(days=1)
"""How often it is looked at whatever happens: for events that never came, and for the wallet."""

MAX_CHANGES: Final = 100
"""How often the payments of one renewal are paused, or collected again; then people have to look.
"""

_KINDS: Final = {
    Standing.SUSPENDED: SUSPEND,
    Standing.ACTIVE: RESUME,
    Standing.ENDED: DEPROVISION,
}
_NEAR: Final = dt.timedelta(days=1)
"""How long after the seller's own period the buyer's may end, and be the same period: the seller's
begins a little earlier."""

_NOT_RUNNING: Final = ("paused", "unpaid")


@dataclass(frozen=True, slots=True)
class Followed:
    """What was sold as it stands (None: nothing recurs), and when it is to be looked at again."""

    sold: StoreSubscription | None = None
    look_at: dt.datetime | None = None


class Lapses:
    """Follows what was sold for as long as it stands, and ends what is left at Stripe."""

    def __init__(
        self, subscriptions: StoreSubscriptions, renewals: RenewalGateway,
        gateway: SubscriptionGateway, journal: Journal, jobs: StoreJobs,
    ) -> None:  # fmt: skip
        self._subscriptions = subscriptions
        self._sold = Sold(subscriptions)
        self._renewals = renewals
        self._gateway = gateway
        self._journal = journal
        self._jobs = jobs

    async def tend(self, run: CheckoutRun, *, returned: bool) -> Followed:
        """Bring what was sold to how its buyer and seller stand now.

        `returned`: the sale was given back as a whole. Raises what reading Stripe and the store
        raises; asks people where the seller's account is cut off.
        """
        sold = await self._subscriptions.get(run.frozen.buyer, run.id)
        if sold is None:
            return Followed()
        await self._tell(run, sold)
        followed = Followed(sold)
        if sold.stands:
            followed = await self._judge(run, sold, returned=returned)
        if followed.sold is not None and not followed.sold.stands:
            await self._end_renewal(run, followed.sold)
            await self._seller_goes_on(run, goes_on=False)
        return followed

    async def _judge(
        self, run: CheckoutRun, sold: StoreSubscription, *, returned: bool
    ) -> Followed:
        buyer, seller, sellers = BuyersSide(), SellersSide(), None
        if not returned:
            sellers = await self._sellers_own(run)
            seller = await self._seller(run, sold, sellers)
            try:
                buyer = await self._buyer(run, sold)
            except FailedPrecondition as error:
                if error.reason is not Reason.STRIPE_CONNECTION_REVOKED or sold.seller is None:
                    raise
                seller = replace(seller, connected=False)
        found = verdict(sold, buyer, seller, run.now(), returned=returned)
        sold = await self._bring_to(run, sold, buyer if seller.connected else None, found)
        await self._tell(run, sold)
        if not sold.stands:
            return Followed(sold)
        if found.why is Why.SELLER_DISCONNECTED:
            run.ask_people(Reason.STRIPE_CONNECTION_REVOKED)
        await self._collect(run, sold, buyer, collects=found.collects)
        await self._seller_goes_on(run, goes_on=_goes_on(sold, sellers))
        tomorrow = run.now() + LOOK_EVERY
        return Followed(sold, tomorrow if found.look_at is None else min(found.look_at, tomorrow))

    # --- how both stand ---

    async def _buyer(self, run: CheckoutRun, sold: StoreSubscription) -> BuyersSide:
        """How the buyer's subscription stands at Stripe; well, where there is none."""
        if sold.renewal is None:
            return BuyersSide()
        place, id_ = sold.renewal.stripe_account, sold.renewal.id
        try:
            subscription = await run.read(SUBSCRIPTIONS, id_, place)
        except NotFound:
            run.ask_people(NOT_AS_ASKED)
        return buyers_side(subscription, await self._renewals.invoices(place, id_), run.now())

    async def _sellers_own(self, run: CheckoutRun) -> Subscription | None:
        """The seller's subscription on the platform's account, where it pays by one."""
        own = run.data.sellers_subscription
        if not own:
            return None
        try:
            return await run.read(SUBSCRIPTIONS, own, run.frozen.platform_account)
        except NotFound:
            run.ask_people(NOT_AS_ASKED)

    async def _seller(
        self, run: CheckoutRun, sold: StoreSubscription, own: Subscription | None
    ) -> SellersSide:
        # One that we have let end is no lapse: the buyer's ends a moment later.
        lost = own is not None and (own.ended or own.status in _NOT_RUNNING)
        side = SellersSide(subscribed=not lost or run.data.sellers_end)
        if sold.seller is None or not sold.cost:
            return side
        wallet = Wallet(sold.seller, None, sold.cost.currency)
        since = await short_since(self._journal, wallet.name, run.now() - SHORT_FOR)
        return replace(side, short_since=since)

    # --- what was sold, and its jobs ---

    async def _bring_to(
        self, run: CheckoutRun, sold: StoreSubscription, buyer: BuyersSide | None, found: Verdict
    ) -> StoreSubscription:
        """Write down what Stripe shows (None: it was not to be asked) and what is to be so."""
        now = run.now()

        def brought(standing: StoreSubscription) -> StoreSubscription:
            if buyer is not None:
                standing = standing.shown(
                    now, past_due_since=buyer.unpaid_since, ends_by=buyer.ends_by
                )
            if found.ends_at is not None:
                standing = standing.ending(found.ends_at, now)
            match found.standing:
                case Standing.ENDED:
                    return standing.ended(now, found.why)
                case Standing.SUSPENDED:
                    return standing.suspended(now, found.why)
                case _:
                    return standing.resumed(now)

        return await self._sold.change(sold.account, sold.id, brought)

    async def _tell(self, run: CheckoutRun, sold: StoreSubscription) -> None:
        """Tell how it stands, if that is not told: once for each time that it changes."""
        if sold.standing == run.data.standing:
            return
        number = run.data.standings + 1
        payload = {
            "checkout": sold.id,
            "account": sold.account,
            "seller": sold.seller,
            "kind": sold.kind.value,
            "product": sold.product,
            "quantity": sold.quantity,
            "country": sold.country,
            "number_kind": sold.number_kind,
            "reason": sold.why,
            "number": number,
        }
        await self._jobs.tell(_KINDS[sold.standing], sold.account, f"{sold.id}/{number}", payload)
        run.data = replace(run.data, standing=sold.standing.value, standings=number)

    # --- what follows at Stripe ---

    async def _collect(
        self, run: CheckoutRun, sold: StoreSubscription, buyer: BuyersSide, *, collects: bool
    ) -> None:
        """Have the buyer's payments collected, or not: what falls due meanwhile is forgiven."""
        if sold.renewal is None or not buyer.runs or collects == run.data.collects:
            return
        id_, there = sold.renewal.id, run.steps.at(sold.renewal.stripe_account)
        number = self._count(run)
        with _unless_ended():
            if collects:
                await there.call(
                    f"renewal-collect-{number}", SUBSCRIPTIONS, ResumeCollection(id_),
                    self._gateway.collect, self._gateway.find_collecting,
                )  # fmt: skip
            else:
                await there.call(
                    f"renewal-pause-{number}", SUBSCRIPTIONS, CollectionPause(id_, "void"),
                    self._gateway.pause, self._gateway.find_paused,
                )  # fmt: skip
        run.data = replace(run.data, collects=collects, renewal_changes=number)

    async def _seller_goes_on(self, run: CheckoutRun, *, goes_on: bool) -> None:
        """Have the seller's own subscription end with its period, or go on after all."""
        own = run.data.sellers_subscription
        if not own or goes_on != run.data.sellers_end:
            return
        there, number = run.steps.at(run.frozen.platform_account), self._count(run)
        with _unless_ended():
            if goes_on:
                resumed = ResumeSubscription(own, at_period_end=True)
                await there.call(
                    f"sellers-go-on-{number}", SUBSCRIPTIONS, resumed,
                    self._gateway.go_on, self._gateway.find_going_on,
                )  # fmt: skip
            else:
                ending = Cancellation(own, at_period_end=True)
                await there.call(
                    f"sellers-end-{number}", SUBSCRIPTIONS, ending,
                    self._gateway.cancel, self._gateway.find_canceled,
                )  # fmt: skip
        run.data = replace(run.data, sellers_end=not goes_on, renewal_changes=number)

    async def _end_renewal(self, run: CheckoutRun, sold: StoreSubscription) -> None:
        """End the buyer's subscription: nobody pays for what is not there."""
        if sold.renewal is None or run.data.renewal_canceled:
            return
        there = run.steps.at(sold.renewal.stripe_account)
        with _unless_ended():
            await there.call(
                "renewal-cancel", SUBSCRIPTIONS, Cancellation(sold.renewal.id),
                self._gateway.cancel, self._gateway.find_canceled,
            )  # fmt: skip
        run.data = replace(run.data, renewal_canceled=True)

    def _count(self, run: CheckoutRun) -> int:
        """The number of the change to come."""
        if run.data.renewal_changes >= MAX_CHANGES:
            run.ask_people("TOO_MANY_CHANGES")
        return run.data.renewal_changes + 1


@contextlib.contextmanager
def _unless_ended() -> Iterator[None]:
    """What has ended by itself needs nothing any more."""
    with contextlib.suppress(NotFound, WrongState):
        yield


def _goes_on(sold: StoreSubscription, own: Subscription | None) -> bool:
    """Whether the seller's own subscription is renewed once more.

    Not where the buyer's has ended for good, or ends with the period that is on.
    """
    if own is None or sold.ends_at is not None:
        return own is None
    ends = [item.current_period_end for item in own.items if item.current_period_end]
    return sold.ends_by is None or not ends or sold.ends_by > min(ends) + _NEAR
