"""What a sale loses: by its refunds and disputes as Stripe shows them now, not by their events.

As with reloads, targets are stored first and acted upon then. What the seller orders is made here,
too: the sale's payment is the seller's, so nothing has to be held for it.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from application.background.clock import Clock
from application.charges.ports import RefundGateway, RefundOrder
from application.checkouts.checkout_terms import CheckoutData, CheckoutRun, SaleRefund
from application.checkouts.sale_leg import REFUND_FAILED
from application.checkouts.store_jobs import StoreJobs
from application.mirror.nouns import REFUNDS
from application.mutations.failures import is_definite
from application.mutations.steps import shown
from application.payment_intents.ports import GivenBack, PaymentIntentGateway
from application.wallet.aftermath import Aftermath
from application.wallet.ports import Journal
from application.wallet.posting import payload_hash
from domain.errors import BillingError
from domain.ledger_amounts import share
from domain.ledger_commands import PostRefund, sale_refund_key, settled_key
from domain.ledger_entries import EntryKind
from domain.ledger_outcomes import Refused
from domain.reloads import Lost, lost_of

REVERSED: Final = "store.reversed"
"""The kind of the job that tells of what of a sale was given back, or is disputed."""

GIVEN_BACK: Final = "given_back"

SELLER: Final = "seller"
"""Who asks for the cost to come back."""

_OVER: Final = ("failed", "canceled")
_LOOK_AGAIN: Final = dt.timedelta(hours=6)
"""How often a refund that the bank takes its time with is looked at, whatever events come."""


class SaleReturns:
    """Follows a sale's refunds and disputes, and makes the refunds that its seller asks for."""

    def __init__(
        self, payments: PaymentIntentGateway, refunds: RefundGateway, journal: Journal,
        aftermath: Aftermath, jobs: StoreJobs, clock: Clock,
    ) -> None:  # fmt: skip
        self._payments = payments
        self._refunds = refunds
        self._journal = journal
        self._aftermath = aftermath
        self._jobs = jobs
        self._clock = clock

    async def tend(self, run: CheckoutRun) -> dt.datetime | None:
        """Give back what is ordered, and bring the sale to what Stripe shows of it.

        When it is to be looked at again; None: only once it is woken. Asks people where a refund
        has failed.
        """
        if not run.data.payment_intent:
            await self._give_up(run)
            return None
        await self._tell(run)
        for part in under_way(run.data):
            await self._give_back(run, part)
        await self._bring_to(run, self._lost(run, await self._at_stripe(run)))
        if run.data.refund_failed:
            run.data = replace(run.data, refund_failed=False)
            run.ask_people(REFUND_FAILED)
        return run.now() + _LOOK_AGAIN if under_way(run.data) else None

    async def _give_up(self, run: CheckoutRun) -> None:
        """Take back a sale for which nothing was paid: its cost may come back."""
        for part in under_way(run.data):
            await self._return_cost(run, part)
            self._ends(run, part, GIVEN_BACK)

    async def _give_back(self, run: CheckoutRun, part: SaleRefund) -> None:
        """Refund a part at Stripe, and the cost if that is wanted."""
        try:
            refund = await self._refund(run, part)
        except BillingError as error:
            if not is_definite(error):
                raise
            self._ends(run, part, str(error.reason))  # whoever ordered it is told why
            return
        given = await self._at_stripe(run)
        status = next((one.status for one in given.refunds if one.id == refund), None)
        if status == "succeeded":
            await self._return_cost(run, part)
            self._ends(run, part, GIVEN_BACK)
        elif status in _OVER:
            self._ends(run, part, REFUND_FAILED)
            run.data = replace(run.data, refund_failed=True)

    async def _refund(self, run: CheckoutRun, part: SaleRefund) -> str:
        """The id of the refund at Stripe."""
        terms = run.frozen
        order = RefundOrder(
            run.data.charge, part.amount, terms.total.currency, "requested_by_customer"
        )
        made = await run.steps.at(terms.stripe_account).call(
            f"give-back-{part.number}", REFUNDS, order,
            self._refunds.refund, self._refunds.find_refund,
        )  # fmt: skip
        return shown(REFUNDS, made).id

    async def _return_cost(self, run: CheckoutRun, part: SaleRefund) -> None:
        """Give the seller its share of the cost back: all parts together never more than it."""
        terms, data = run.frozen, run.data
        wallet, held = terms.sellers_wallet, terms.quote.held
        if not part.return_cost or wallet is None or not held:
            return
        amount = part.amount + sum(
            one.amount for one in data.refunds if one.return_cost and one.outcome == GIVEN_BACK
        )
        free = not data.amount
        target = held.amount if free else share(held.amount, min(amount, data.amount), data.amount)
        back = target - data.cost_returned
        if back <= 0:
            return
        command = PostRefund(
            key=sale_refund_key(run.id, part.number),
            payload_hash=payload_hash(run.id),
            actor=SELLER,
            at=self._clock.now(),
            refunded=settled_key(run.id),
            of=EntryKind.CAPTURE,
            quantity=back,
            details={"checkout": run.id, "buyer": terms.buyer},
        )
        (outcome,) = await self._journal.append(wallet, [command])
        if isinstance(outcome, Refused):
            run.ask_people(outcome.refusal)
        self._aftermath.posted(wallet, outcome.entry)
        run.data = replace(run.data, cost_returned=target)

    async def _bring_to(self, run: CheckoutRun, lost: Lost) -> None:
        """Store other targets, and tell of them. Less is gone only where a refund has failed."""
        data = run.data
        if lost == lost_so_far(data):
            return
        run.data = replace(
            data,
            number=data.number + 1,
            gone=lost.gone,
            withheld=lost.withheld,
            refund_failed=data.refund_failed or lost.gone < data.gone,
            changed_at=run.now(),
        )
        await run.save()
        await self._tell(run)

    async def _tell(self, run: CheckoutRun) -> None:
        """Tell of the last targets, unless that is done."""
        terms, data = run.frozen, run.data
        if data.told == data.number:
            return
        payload = {
            "checkout": run.id,
            "account": terms.buyer,
            "seller": terms.seller,
            "number": data.number,
            "amount": data.amount,
            "gone": data.gone,
            "withheld": data.withheld,
            "currency": terms.total.currency,
        }
        await self._jobs.tell(REVERSED, terms.buyer, f"{run.id}/{data.number}", payload)
        run.data = replace(data, told=data.number)

    async def _at_stripe(self, run: CheckoutRun) -> GivenBack:
        return await self._payments.given_back(run.frozen.stripe_account, run.data.payment_intent)

    def _lost(self, run: CheckoutRun, given: GivenBack) -> Lost:
        return lost_of(run.data.amount, given.refunds, given.disputes)

    def _ends(self, run: CheckoutRun, part: SaleRefund, outcome: str) -> None:
        refunds = [
            replace(one, outcome=outcome) if one.number == part.number else one
            for one in run.data.refunds
        ]
        run.data = replace(run.data, refunds=tuple(refunds), changed_at=run.now())


def under_way(data: CheckoutData) -> Sequence[SaleRefund]:
    """The parts that are being given back."""
    return [part for part in data.refunds if not part.outcome]


def is_returned(data: CheckoutData) -> bool:
    """Whether the sale was given back as a whole; of a free one, whether that was ordered."""
    if data.amount:
        return data.gone >= data.amount
    return any(part.outcome == GIVEN_BACK for part in data.refunds)


def lost_so_far(data: CheckoutData) -> Lost:
    """What of the payment is lost, by the last targets."""
    return Lost(data.gone, data.withheld)
