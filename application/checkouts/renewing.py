"""Renewals: what was bought and recurs is kept, and renewed by the buyer's subscription.

The subscription is made at the seller's after the capture. Nothing is charged then: it begins to
bill where the period ends that the sale has paid for.
"""

import hashlib
from dataclasses import replace
from typing import Final

from application.background.clock import Clock
from application.catalogue.ports import NewProduct, ProductFields, ProductGateway
from application.checkouts.checkout_terms import CheckoutRun
from application.checkouts.cost_leg import NOT_AS_ASKED
from application.checkouts.ports import StoreSubscriptions
from application.checkouts.renewals_at_stripe import NewRenewal, RenewalGateway
from application.checkouts.sold import Sold
from application.checkouts.store_jobs import StoreJobs
from application.mirror.nouns import PRODUCTS, SUBSCRIPTIONS
from application.mutations.failures import is_definite
from application.mutations.steps import Steps, shown
from domain.errors import AlreadyExists, BillingError, NotFound, Reason
from domain.lapses import paid_until
from domain.money import Money
from domain.quotes import CostLeg
from domain.store_subscriptions import StoreSubscription, StripeSubscription

RENEWAL_FAILED: Final = "store.renewal_failed"
"""The kind of the job that tells that what was bought ends with its period."""

_CUT: Final = (Reason.STRIPE_CONNECTION_REVOKED, Reason.STRIPE_NOT_CONNECTED)


class Renewals:
    """Makes renewals."""

    def __init__(
        self, subscriptions: StoreSubscriptions, products: ProductGateway,
        renewals: RenewalGateway, jobs: StoreJobs, clock: Clock,
    ) -> None:  # fmt: skip
        self._subscriptions = subscriptions
        self._sold = Sold(subscriptions)
        self._products = products
        self._renewals = renewals
        self._jobs = jobs
        self._clock = clock

    async def begin(self, run: CheckoutRun) -> None:
        """Keep what was bought, and make its renewal; once, however often called.

        A refusal does not take the sale back: it is written down and told by a job, and what was
        bought ends with its period. What is free needs no renewal at Stripe.
        """
        await self._keep(run)
        terms, data = run.frozen, run.data
        if not terms.quote.renewal or data.renewal_refused:
            return
        try:
            made = await self._make(run)
        except BillingError as error:
            if not _refuses(run, error):
                raise
            await self._refused(run, error)
            return
        try:
            await run.watch(terms.stripe_account, made)
        except AlreadyExists:
            run.ask_people(NOT_AS_ASKED)
        run.data = replace(run.data, renewal=made)
        renewal = StripeSubscription(terms.stripe_account, made)

        def renewed(sold: StoreSubscription) -> StoreSubscription:
            known = sold.renewal == renewal
            return sold if known else sold.with_stripe(self._clock.now(), renewal=renewal)

        await self._sold.change(terms.buyer, run.id, renewed)

    async def _keep(self, run: CheckoutRun) -> None:
        try:
            await self._subscriptions.add(_sold(run, self._clock))
        except AlreadyExists as error:  # a second listing, which was paid for
            run.ask_people(error.reason)

    async def _make(self, run: CheckoutRun) -> str:
        """The id of the buyer's subscription."""
        terms, data = run.frozen, run.data
        there = run.steps.at(terms.stripe_account)
        sold = _sold(run, self._clock)
        wanted = NewRenewal(
            customer=data.customer or terms.customer,
            product=await self._product(run, there),
            amount=terms.quote.renewal,
            interval=sold.interval,
            interval_count=sold.interval_count,
            payment_method=data.payment_method or terms.payment_method,
            anchor=sold.cycle.renewal(run.now()),
            description=_name(run),
            metadata={"billing_checkout": run.id},
        )
        made = await there.call(
            "renewal", SUBSCRIPTIONS, wanted, self._renewals.create, self._renewals.find_created
        )
        return shown(SUBSCRIPTIONS, made).id

    async def _product(self, run: CheckoutRun, there: Steps) -> str:
        """The seller's product of what is sold; made where there is none.

        Its id is made of the store's, so that each Stripe account has one of each, and nobody has
        to remember it. One that the seller has archived or deleted is left alone.
        """
        product = product_id(run.frozen.quote.product)
        fields = ProductFields(
            name=_name(run), metadata={"billing_store_product": run.frozen.quote.product}
        )
        if not there.was_sent("renewal-product") and await self._is_sold(there, product):
            return product
        try:
            made = await there.call(
                "renewal-product", PRODUCTS, NewProduct(fields, product),
                self._products.create, self._products.find_created,
            )  # fmt: skip
        except AlreadyExists:
            if not there.was_sent("renewal-product-anew") and await self._is_sold(there, product):
                return product
            made = await there.call(
                "renewal-product-anew", PRODUCTS, NewProduct(fields),
                self._products.create, self._products.find_created,
            )  # fmt: skip
        return shown(PRODUCTS, made).id

    async def _is_sold(self, there: Steps, product: str) -> bool:
        try:
            standing = await there.standing(PRODUCTS, product)
        except NotFound:
            return False
        return bool(standing.active)

    async def _refused(self, run: CheckoutRun, error: BillingError) -> None:
        """Let it end with the period that is paid for, and tell of it."""
        reason = str(error.reason)

        def ending(sold: StoreSubscription) -> StoreSubscription:
            now = self._clock.now()
            return sold.ending(paid_until(sold, now), now)

        sold = await self._sold.change(run.frozen.buyer, run.id, ending)
        payload = {
            "checkout": run.id,
            "account": sold.account,
            "seller": sold.seller,
            "product": sold.product,
            "reason": reason,
            "ends_at": None if sold.ends_at is None else sold.ends_at.isoformat(),
        }
        await self._jobs.tell(RENEWAL_FAILED, sold.account, run.id, payload)
        run.data = replace(run.data, renewal_refused=reason)


def product_id(product: str) -> str:
    """The id at each seller's Stripe account of the product of the store."""
    return f"billing_store_{hashlib.sha256(product.encode()).hexdigest()[:24]}"


def _refuses(run: CheckoutRun, error: BillingError) -> bool:
    """Whether there will be no renewal: it was refused, or the seller's account is cut off."""
    return is_definite(error) or (error.reason in _CUT and run.steps.is_settled)


def _name(run: CheckoutRun) -> str:
    return run.frozen.quote.lines[0].description


def _sold(run: CheckoutRun, clock: Clock) -> StoreSubscription:
    """What was bought, as it begins."""
    terms, data = run.frozen, run.data
    quote = terms.quote
    if data.captured_at is None or quote.interval is None:
        raise ValueError("what recurs has an interval, and begins with the capture")
    by_wallet = quote.leg is CostLeg.WALLET
    sellers = data.sellers_subscription
    return StoreSubscription(
        id=run.id,
        account=quote.buyer,
        seller=quote.seller,
        kind=quote.kind,
        product=quote.product,
        price=quote.item.price,
        quantity=quote.item.quantity,
        amount=quote.renewal,
        cost=quote.renewal_cost if by_wallet else Money.zero(quote.renewal_cost.currency),
        start=data.captured_at.replace(microsecond=0),
        interval=quote.interval,
        interval_count=quote.interval_count,
        updated_at=clock.now(),
        sellers=StripeSubscription(terms.platform_account, sellers) if sellers else None,
        country=quote.item.country,
        number_kind=quote.item.number_kind,
    )
