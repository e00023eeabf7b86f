"""The sale leg: the buyer's payment at the seller's, authorised first and captured last.

What cannot be authorised (a bank debit) is charged instead, and the checkout waits for the bank.
"""

import contextlib
import datetime as dt
from dataclasses import replace
from typing import Final

from application.charges.ports import RefundGateway, RefundOrder
from application.checkouts.checkout_terms import KIND, CheckoutRun
from application.checkouts.cost_leg import NOT_AS_ASKED
from application.mirror.nouns import REFUNDS
from application.mutations.steps import shown
from application.payment_intents.ports import (
    Confirmation,
    NewPayment,
    Payment,
    PaymentIntentGateway,
)
from application.wallet.buying import Buying
from domain.checkouts import (
    ACTION_TIME,
    CheckoutState,
    Sale,
    capture_by,
    differences,
)
from domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    WrongState,
)
from domain.payment_intents import PaymentStanding, standing_of

REFUND_FAILED: Final = "REFUND_FAILED"
"""Why people have to look: what is to be given back was not."""

_EXPIRED: Final = "expired"
_OVER: Final = ("failed", "canceled")


class SaleLeg:
    """Authorises, captures and lets go of what the buyer pays, if that is more than nothing."""

    def __init__(
        self, buying: Buying, payments: PaymentIntentGateway, refunds: RefundGateway
    ) -> None:
        self._buying = buying
        self._payments = payments
        self._refunds = refunds

    async def know_customer(self, run: CheckoutRun) -> None:
        """The customer that the buyer is at the seller's; a new one where it is none yet."""
        terms = run.frozen
        customer = terms.customer or run.data.customer
        if not customer and (terms.total or terms.renews):
            wallet = terms.buyers_wallet
            customer = await self._buying.ensure(run.steps, wallet, terms.stripe_account)
        run.data = replace(run.data, customer=customer)

    async def authorise(self, run: CheckoutRun) -> None:
        """Make the payment, attempt it, and wait until it is authorised, or paid."""
        if not run.frozen.total:
            return
        payment = await self._attempted(run, await self._ask(run))
        run.data = replace(run.data, decline_code=payment.decline_code, advice=payment.advice)
        match standing_of(payment.status):
            case PaymentStanding.AUTHORISED:
                self._check(run, payment, payment.amount.amount)
                at = payment.capture_before
                run.data = replace(
                    run.data, charge=payment.charge, capture_by=capture_by(run.now(), at)
                )
            case PaymentStanding.SUCCEEDED:  # what cannot be authorised, or somebody captured it
                self._paid(run, payment)
            case PaymentStanding.PENDING:
                run.data = replace(run.data, asks_since=None)
                run.wait(CheckoutState.PAYING)
            case PaymentStanding.ASKS:
                self._ask_customer(run)
            case PaymentStanding.CANCELED:  # by somebody at Stripe
                run.data = replace(run.data, gone_for_good=True)
                raise WrongState("payment_intent", payment.id, payment.status)
            case PaymentStanding.ODD:
                run.ask_people(NOT_AS_ASKED)

    async def let_go(self, run: CheckoutRun) -> None:
        """Cancel the payment; give back what was paid."""
        asked = run.steps.answer("ask", Payment)
        if asked is None or run.data.gone_for_good:
            return
        payment = await self._cancel(run, asked.id)
        match standing_of(payment.status):
            case PaymentStanding.CANCELED:
                await self._settle_attempt(run)
            case PaymentStanding.SUCCEEDED:
                await self._give_back(run, payment)
            case PaymentStanding.PENDING:  # until the bank has answered
                run.wait(CheckoutState.COMPENSATING)
            case _:
                run.ask_people(NOT_AS_ASKED)

    async def capture(self, run: CheckoutRun) -> None:
        """Take what is authorised: from here on the sale stands."""
        terms = run.frozen
        if run.failure is not None and not run.steps.was_sent("capture"):
            raise run.failure
        if run.data.captured_at is not None:
            return
        if not terms.total:
            run.data = replace(run.data, captured_at=_second(run.now()))
            return
        if not run.steps.was_sent("capture"):
            self.check_time(run)
        payment = await run.steps.call_unmirrored(
            "capture", Payment, run.data.payment_intent,
            self._payments.capture, self._payments.find_captured,
        )  # fmt: skip
        match standing_of(payment.status):
            case PaymentStanding.SUCCEEDED:
                self._paid(run, payment)
            case PaymentStanding.CANCELED:  # the bank, or somebody at Stripe, has let go of it
                run.data = replace(run.data, gone_for_good=True)
                raise WrongState("payment_intent", payment.id, payment.status)
            case _:
                run.ask_people(NOT_AS_ASKED)

    def check_time(self, run: CheckoutRun) -> None:
        """Raises WrongState where it is too late to capture what is authorised."""
        latest = run.data.capture_by
        if latest is not None and run.data.captured_at is None and run.now() >= latest:
            raise WrongState(KIND, run.id, _EXPIRED)

    async def _ask(self, run: CheckoutRun) -> Payment | None:
        """Make the payment, and watch it before money can move.

        How it stands after its attempt, where it was just made and is only to be authorised.
        """
        terms = run.frozen
        known = run.steps.answer("ask", Payment) is not None
        wanted = NewPayment(
            run.data.customer,
            terms.payment_method,
            terms.total,
            metadata={"billing_checkout": run.id},
            manual=not terms.charged_first,
            # What is only authorised moves no money, so it is attempted at once.
            attempted=not terms.charged_first,
            keeps_method=terms.renews and not terms.charged_first,
        )
        payment = await run.steps.call_unmirrored(
            "ask", Payment, wanted, self._payments.create, self._payments.find_created
        )
        run.data = replace(run.data, payment_intent=payment.id)
        try:
            await run.watch(terms.stripe_account, payment.id)
        except AlreadyExists:  # it belongs to another process
            run.ask_people(NOT_AS_ASKED)
        return None if known or terms.charged_first else payment

    async def _attempted(self, run: CheckoutRun, made: Payment | None) -> Payment:
        """How the payment stands after the attempt that counts now."""
        if made is not None and standing_of(made.status) is PaymentStanding.AUTHORISED:
            return made
        name = f"confirm-{run.data.attempt}"
        first = run.data.attempt == 1 and not run.frozen.charged_first
        if not first and run.steps.answer(name, Payment) is None:
            return await self._confirm(run, name)
        # How an answer stood is over: what counts is how it stands now that it is watched.
        try:
            payment, _ = await self._payments.read(
                run.frozen.stripe_account, run.data.payment_intent
            )
        except NotFound:
            run.ask_people(NOT_AS_ASKED)
        return payment

    async def _confirm(self, run: CheckoutRun, name: str) -> Payment:
        terms, data = run.frozen, run.data
        confirmation = Confirmation(
            data.payment_intent,
            data.payment_method or terms.payment_method,
            keeps_method=terms.renews,
        )
        return await run.steps.call_unmirrored(
            name, Payment, confirmation, self._payments.confirm, self._payments.find_confirmed
        )

    async def _settle_attempt(self, run: CheckoutRun) -> None:
        """Learn what came of an attempt whose answer was lost. It is canceled, so none is made."""
        if run.steps.is_settled:
            return
        with contextlib.suppress(InvalidArgument, FailedPrecondition, NotFound):
            await self._confirm(run, f"confirm-{run.data.attempt}")

    def _ask_customer(self, run: CheckoutRun) -> None:
        """Wait for the buyer, for an hour; then it is given up. Raises WrongState, or waits."""
        since = run.data.asks_since or run.now()
        run.data = replace(run.data, asks_since=since)
        if run.now() >= since + ACTION_TIME:
            raise WrongState(KIND, run.id, _EXPIRED)
        run.wait(CheckoutState.AWAITING_CUSTOMER, until=since + ACTION_TIME)

    def _check(self, run: CheckoutRun, payment: Payment, amount: int) -> None:
        """Look that what Stripe shows is what was asked for; else people have to look."""
        terms = run.frozen
        wanted = Sale(run.data.payment_intent, run.data.customer, terms.total, terms.livemode)
        shows = Sale(
            payment.id, payment.customer, replace(payment.amount, amount=amount), payment.livemode
        )
        if not payment.charge or any(differences(wanted, shows)):
            run.ask_people(NOT_AS_ASKED)

    def _paid(self, run: CheckoutRun, payment: Payment) -> None:
        self._check(run, payment, payment.received.amount)
        # A debit's balance transaction is older than the bank's answer, which makes the sale.
        at = None if run.frozen.charged_first else payment.captured_at
        run.data = replace(
            run.data,
            charge=payment.charge,
            amount=payment.received.amount,
            captured_at=at or _second(run.now()),
            decline_code="",
            advice="",
        )

    async def _cancel(self, run: CheckoutRun, payment_intent: str) -> Payment:
        payment = await run.steps.call_unmirrored(
            f"cancel-{run.data.cancels}", Payment, payment_intent,
            self._payments.cancel, self._payments.find_canceled,
        )  # fmt: skip
        standing = standing_of(payment.status)
        if standing is PaymentStanding.CANCELED:
            run.data = replace(run.data, gone_for_good=True)
        elif standing is not PaymentStanding.SUCCEEDED:
            run.data = replace(run.data, cancels=run.data.cancels + 1)
        return payment

    async def _give_back(self, run: CheckoutRun, payment: Payment) -> None:
        """Refund a payment whole, and wait until that is done."""
        terms = run.frozen
        order = RefundOrder(payment.charge, reason="requested_by_customer")
        refund = ""
        try:
            made = await run.steps.call(
                "refund", REFUNDS, order, self._refunds.refund, self._refunds.find_refund
            )
            refund = shown(REFUNDS, made).id
        except WrongState as error:
            if error.state != "refunded":
                raise
        given = await self._payments.given_back(terms.stripe_account, payment.id)
        status = next((one.status for one in given.refunds if one.id == refund), "succeeded")
        if status in _OVER:
            run.ask_people(REFUND_FAILED)
        if status != "succeeded":
            run.wait(CheckoutState.COMPENSATING)
        run.data = replace(run.data, gone=payment.received.amount, captured_at=None)


def _second(at: dt.datetime) -> dt.datetime:
    """Periods begin at whole seconds, as Stripe's do."""
    return at.replace(microsecond=0)
